"""The configuration's table about Ray."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from fedactors.config.table import Count, Positive, Table


class RayTable(Table):
    """Where learners work if runtime.engine = "ray", and what each of them needs there while it is at work.

    Attributes:
        address: host:port of a running Ray cluster that this machine is a node of, or "auto". Where it is not given: that of the
            environment's RAY_ADDRESS, else a Ray on this machine that ends with the run.
        cpus_per_learner: CPUs; may be a fraction. As many learners are at work at once as the cluster has room for.
        gpus_per_learner: GPUs: a whole number, or a fraction below 1.
        memory_bytes_per_learner: memory that is reserved; without it, nothing is said of memory.
    """

    address: Annotated[str, Field(min_length=1)] | None = None
    cpus_per_learner: Positive = 1.0
    gpus_per_learner: Annotated[float, Field(ge=0)] = 0.0
    memory_bytes_per_learner: Count | None = None

    @field_validator("cpus_per_learner", "gpus_per_learner")
    @classmethod
    def _countable(cls, number: float) -> float:
        if number != round(number, 4):
            raise ValueError("must have no more than four decimals, to which Ray counts")
        return number

    @field_validator("gpus_per_learner")
    @classmethod
    def _whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("must be a whole number, or a fraction below 1")
        return gpus
