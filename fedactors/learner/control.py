"""SCAFFOLD on the learner's side: its own control variates c_i, from one update to the next. Pure.

correction    c - c_i, which training adds to every gradient
difference    of a training that ended, what c_i is to grow by: it travels with the update
settle        whether that update counts: c_i grows when it is certain that the federation's c does, too
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedactors.errors import LearnerFailed
from fedactors.model import Array, Version, Weights
from fedactors.task import TaskId, TrainParams, TrainReport

LEARNING_RATE = "learning_rate"
"""The metric by which a learner says how long its local steps were, where the task does not."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What c_i is to grow by.

    Attributes:
        task: that it answers.
        version: that training started from.
        difference: by tensor.
        accepted: its update counts.
    """

    task: TaskId
    version: Version
    difference: Mapping[str, Array]
    accepted: bool = False


class ControlVariates:
    """c_i of one learner: zero before its first update.

    After K local steps of length eta from x, with corrected gradients, to y_i:

        c_i+ = c_i - c + (x - y_i) / (K eta),    difference = c_i+ - c_i = (x - y_i) / (K eta) - c

    An update that was accepted counts when its round commits. A second task at the same version tells that the round was begun
    again without it, and a task at version 0 that the federation was.

    Source: Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, ICML 2020, Algorithm 1 with
    option II, arXiv:1910.06378.
    """

    def __init__(self) -> None:
        self._own: dict[str, Array] = {}
        self._sent: Sent | None = None

    def correction(self, version: Version, c: Weights) -> dict[str, Array]:
        """C - c_i by tensor, for a training that begins from this version; read-only."""
        self._grow(version)
        found = {name: array - self._own[name] if name in self._own else array for name, array in c.items()}
        for array in found.values():
            array.flags.writeable = False
        return found

    def _grow(self, version: Version) -> None:
        """Let what was accepted count, now that it is known whether its round came to a commit."""
        sent, self._sent = self._sent, None
        if version == 0:
            self._own = {}
        elif sent is not None and sent.accepted and sent.version != version:
            self._own = {name: self._own[name] + d if name in self._own else d for name, d in sent.difference.items()}

    def difference(
        self, task: TaskId, version: Version, c: Weights, x: Weights, y: Weights, steps: int, step_length: float
    ) -> dict[str, Array]:
        """What c_i is to grow by, in the variates' dtypes; kept until it is settled.

        Args:
            task: that the update answers.
            version: that training started from.
            c: its variates, by tensor.
            x: its tensors.
            y: the tensors after training.
            steps: K >= 1.
            step_length: eta > 0.
        """
        scale = 1.0 / (steps * step_length)
        with np.errstate(all="ignore"):  # a diverged learner's infinities are refused where every other is
            found = {name: (x[name].astype(v.dtype) - y[name].astype(v.dtype)) * v.dtype.type(scale) - v for name, v in c.items()}
        self._sent = Sent(task, version, found)
        return found

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update of this task counts; a task that was followed by another is no longer asked about."""
        if self._sent is not None and self._sent.task == task:
            self._sent = replace(self._sent, accepted=accepted)


def local_steps(params: TrainParams, report: TrainReport) -> tuple[int, float]:
    """How many local steps a training took, and how long they were: what the learner reports, or what the task said.

    Raises:
        LearnerFailed: one of the two is not known.
    """
    step_length = report.metrics.get(LEARNING_RATE, params.learning_rate)
    if step_length is None or not step_length > 0:
        said = f"scaffold needs the learning rate of the local steps, and it is {step_length or 'not known'}"
        raise LearnerFailed(f"{said}: write [train] learning_rate, or have train() return the metric {LEARNING_RATE!r}")
    if report.num_batches < 1:
        raise LearnerFailed("scaffold needs the number of local steps: have train() return the metric 'num_batches'")
    return report.num_batches, step_length
