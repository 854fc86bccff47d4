"""What a virtual learner computes: nothing but the time it takes, or really the user's own training."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from fedactors.form import IDENTITY, Form
from fedactors.learner.packing import Packed, Packing
from fedactors.learner.trainee import Trainee
from fedactors.model import Buffer, GlobalModel, Weights
from fedactors.simulation.population import Profile
from fedactors.task import EvaluateParams, EvaluationReport, TaskId, TrainParams, TrainReport


class Idle:
    """Gives back what it got: for questions of time and size alone.

    Every version is zeros then, for it begins with zeros and nobody changes them; so all learners' updates are one and the same
    buffer, and a learner needs no version to make its own. They are unpacked and folded like any others.

    Args:
        version: float32 zeros.
        update: no change to them, as it travels; shared by all.
    """

    __slots__ = ("_profile", "_report", "_trained", "update", "version")

    def __init__(self, version: GlobalModel, update: Packed, profile: Profile) -> None:
        self.update = update
        self.version = version
        self._profile = profile
        self._trained: tuple[float, int | None] | None = None  # what the report is of
        self._report = TrainReport(profile.examples)

    def initialise(self) -> Weights:
        """The weights to start from."""
        return self.version.weights

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

    def __init__(self, trainee: Trainee, profile: Profile, form: Form = IDENTITY) -> None:
        self._trainee = trainee
        self._profile = profile
        self._packing = Packing(form)

    def initialise(self) -> Weights:
        """The weights to start from."""
        return self._trainee.initialise()

    def train(self, task: TaskId, model: GlobalModel, params: TrainParams, out: Buffer) -> tuple[TrainReport, Packed]:
        """Fill `out` with the new weights; what travels of them, in `out` or in a buffer of its own."""
        trained = self._trainee.train(task, model, params, clock=lambda: 0.0)
        model.layout.pack(trained.weights, out)
        return _timed(trained.report, params, self._profile), self._packing.pack(task, out, model, params.seed)

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts."""
        self._trainee.settle(task, accepted)
        self._packing.settle(task, accepted)

    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        """Metrics of this version."""
        return self._trainee.evaluate(model, params)


Work: TypeAlias = Idle | Real
"""The arithmetic of one virtual learner; it takes no virtual time, its `Profile` says how much passes."""


def _timed(report: TrainReport, params: TrainParams, profile: Profile) -> TrainReport:
    """With the virtual times in place of those that it took."""
    batches = report.num_batches or params.steps or max(1, round(params.epochs * profile.epoch_s / profile.batch_s))
    return replace(report, num_batches=batches, ms_per_batch=1e3 * profile.batch_s, ms_per_epoch=1e3 * profile.epoch_s)
