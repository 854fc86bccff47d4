"""The configuration's tables about what learners do, and until when."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from fedactors.config.table import Count, Positive, Table, without_none

ROUNDS = 10
"""How many rounds a federation runs whose configuration does not say when to stop."""


class OpenTable(Table):
    """A table of which every key that is not known here is handed to the learner's code."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The keys for the learner's code."""
        return dict(self.__pydantic_extra__)


class TrainTable(OpenTable):
    """How learners train; any other key is handed to `Learner.train` as `params.options`.

    Attributes:
        epochs: passes over the local data in each round; may be fractional.
        steps: batches to train on; takes the place of `epochs`.
        batch_size: examples in a batch; without it, the learner's own choice.
        learning_rate: without it, the learner's own choice.
        proximal_mu: FedProx's mu, how strongly training is held to the global model that it starts from; 0: not at all.
            TorchLearner obeys by itself, other learners with `fedactors.learner.proximal_gradient`.
    """

    epochs: Positive = 1.0
    steps: Count | None = None
    batch_size: Count | None = None
    learning_rate: Positive | None = None
    proximal_mu: Annotated[float, Field(ge=0)] = 0.0


class EvaluateTable(OpenTable):
    """How learners evaluate; any other key is handed to `Learner.evaluate` as `params.options`.

    Attributes:
        every: evaluate the result of every k-th round, and of the last; 0: never.
        timeout_s: how long an evaluation is waited for.
    """

    every: Annotated[int, Field(ge=0)] = 1
    timeout_s: Positive = 3600.0


class MetricTable(Table):
    """Stop when a metric is good enough, or no longer gets better.

    Attributes:
        name: of the metric, as the learners' `evaluate` calls it.
        target: stop at this value.
        direction: whether more or less of it is better.
        patience: stop after so many evaluated rounds in a row without a gain.
        min_delta: a gain is more than this.
    """

    name: str
    target: float | None = None
    direction: Literal["max", "min"] = "max"
    patience: Count | None = None
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class StopTable(Table):
    """When the federation stops: at the first of these. Without any, after 10 rounds.

    Attributes:
        rounds: committed rounds.
        updates: accepted updates; the round that reaches it is the last. Counts alike in every protocol.
        duration_s: wall-clock time since training began.
        metric: a metric's target, or its standstill.
    """

    rounds: Count | None = None
    updates: Count | None = None
    duration_s: Positive | None = None
    metric: MetricTable | None = None

    @model_validator(mode="before")
    @classmethod
    def _stops(cls, given: Any) -> Any:
        return given if not isinstance(given, dict) or any(given.values()) else {"rounds": ROUNDS, **without_none(given)}
