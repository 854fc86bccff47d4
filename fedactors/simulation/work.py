"""What a virtual learner computes: nothing but the time it takes, or really the user's own training."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from typing_extensions import override

from fedactors.learner.trainee import Trainee
from fedactors.model import Buffer, GlobalModel, Layout, Weights
from fedactors.simulation.population import Profile
from fedactors.task import EvaluateParams, EvaluationReport, TrainParams, TrainReport


class Work(ABC):
    """The arithmetic of one virtual learner; it takes no virtual time, its `Profile` says how much passes."""

    @abstractmethod
    def initialise(self) -> Weights:
        """The weights to start from."""

    @abstractmethod
    def train(self, model: GlobalModel, params: TrainParams, out: Buffer) -> TrainReport:
        """Fill `out` with the new weights."""

    @abstractmethod
    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        """Metrics of this version."""


class Idle(Work):
    """Gives back what it got: for questions of time and size alone."""

    def __init__(self, layout: Layout, profile: Profile) -> None:
        self._layout = layout
        self._profile = profile

    @override
    def initialise(self) -> Weights:
        return self._layout.views(np.zeros(self._layout.nbytes, np.uint8))

    @override
    def train(self, model: GlobalModel, params: TrainParams, out: Buffer) -> TrainReport:
        np.copyto(out, model.buffer)
        profile = self._profile
        batches = params.steps or max(1, round(params.epochs * profile.epoch_s / profile.batch_s))
        return TrainReport(profile.examples, batches, params.epochs, 1e3 * profile.batch_s, 1e3 * profile.epoch_s)

    @override
    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        return EvaluationReport(self._profile.examples)


class Real(Work):
    """The user's learner, called where it stands; only its times are virtual."""

    def __init__(self, trainee: Trainee, profile: Profile) -> None:
        self._trainee = trainee
        self._profile = profile

    @override
    def initialise(self) -> Weights:
        return self._trainee.initialise()

    @override
    def train(self, model: GlobalModel, params: TrainParams, out: Buffer) -> TrainReport:
        trained = self._trainee.train(model, params, clock=lambda: 0.0)
        model.layout.pack(trained.weights, out)
        report, profile = trained.report, self._profile
        batches = report.num_batches or params.steps or max(1, round(params.epochs * profile.epoch_s / profile.batch_s))
        timings = (1e3 * profile.batch_s, 1e3 * profile.epoch_s)
        return TrainReport(report.num_examples, batches, report.epochs, *timings, report.metrics)

    @override
    def evaluate(self, model: GlobalModel, params: EvaluateParams) -> EvaluationReport:
        return self._trainee.evaluate(model, params)
