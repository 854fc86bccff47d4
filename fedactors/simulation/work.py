"""What a virtual learner computes: nothing but the time it takes, or really the user's own training."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from fedactors.learner.trainee import Trainee
from fedactors.model import Buffer, GlobalModel, Layout, Weights
from fedactors.simulation.population import Profile
from fedactors.task import EvaluateParams, EvaluationReport, TaskId, TrainParams, TrainReport


class Idle:
    """Gives back what it got: for questions of time and size alone.

    Every version is zeros then, for it begins with zeros and nobody changes them; so all learners' updates are one and the same
    buffer, and a learner needs no version to make its own. They are folded like any others.

    Args:
        update: float32 zeros, uint8[layout.nbytes], read-only; shared by all.
    """

    __slots__ = ("_layout", "_profile", "_report", "_trained", "update")

    def __init__(self, layout: Layout, update: Buffer, profile: Profile) -> None:
        self.update = update
        self._layout = layout
        self._profile = profile
        self._trained: tuple[float, int | None] | None = None  # what the report is of
        self._report = TrainReport(profile.examples)

    def initialise(self) -> Weights:
        """The weights to start from."""
        return self._layout.views(self.update)

    def train(self, params: TrainParams) -> TrainReport:
        """What it says of a training: always the same, as long as it is asked for the same."""
        if self._trained != (params.epochs, params.steps):
            self._trained = (params.epochs, params.steps)
            self._report = _timed(TrainReport(self._profile.examples, epochs=params.epochs), params, self._profile)
        return self._report

    def evaluate(self) -> EvaluationReport:
        """What it says of an evaluation."""
        return EvaluationReport(self._profile.examples)


class Real:
    """The user's learner, called where it stands; only its times are virtual."""

    def __init__(self, trainee: Trainee, profile: Profile) -> None:
        self._trainee = trainee
        self._profile = profile

    def initialise(self) -> Weights:
        """The weights to start from."""
        return self._trainee.initialise()

    def train(self, task: TaskId, model: GlobalModel, params: TrainParams, out: Buffer) -> TrainReport:
        """Fill `out` with the new weights."""
        trained = self._trainee.train(task, model, params, clock=lambda: 0.0)
        model.layout.pack(trained.weights, out)
        return _timed(trained.report, params, self._profile)

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts."""
        self._trainee.settle(task, accepted)

    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        """Metrics of this version."""
        return self._trainee.evaluate(model, params)


Work: TypeAlias = Idle | Real
"""The arithmetic of one virtual learner; it takes no virtual time, its `Profile` says how much passes."""


def _timed(report: TrainReport, params: TrainParams, profile: Profile) -> TrainReport:
    """With the virtual times in place of those that it took."""
    batches = report.num_batches or params.steps or max(1, round(params.epochs * profile.epoch_s / profile.batch_s))
    return replace(report, num_batches=batches, ms_per_batch=1e3 * profile.batch_s, ms_per_epoch=1e3 * profile.epoch_s)
