"""What is scheduled, and what a single task then asks for. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fedactors.actors.ledger import DETAIL_LEARNERS_MAX
from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import Evaluate, Protocol, Terms, Train
from fedactors.selection.base import Selection
from fedactors.task import EvaluateParams, Round, TaskId, TaskKey, TrainParams


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What is scheduled.

    Attributes:
        protocol: when learners train.
        selection: who trains.
        train: the hyper-parameters; round, version and seed are filled in for each task.
        evaluate: likewise.
        seed: the run's.
        min_learners, min_always, selection_seed, evaluate_every, evaluate_timeout_s: see `Terms`.
        detail_learners_max: a round of more learners is told of as a whole.
    """

    protocol: Protocol
    selection: Selection
    train: TrainParams
    evaluate: EvaluateParams
    seed: int
    min_learners: int = 1
    evaluate_every: int = 1
    evaluate_timeout_s: float | None = None
    detail_learners_max: int = DETAIL_LEARNERS_MAX
    min_always: bool = False
    selection_seed: int | None = None

    def terms(self, tasks: Iterator[TaskId], given: Mapping[TaskKey, TaskId], version: Version, first_round: Round) -> Terms:
        """What the protocol's machine is told: unused task ids, tasks of a machine before it, where it begins."""
        return Terms(
            selection=self.selection,
            seed=self.seed,
            tasks=tasks,
            min_learners=self.min_learners,
            min_always=self.min_always,
            selection_seed=self.selection_seed,
            evaluate_every=self.evaluate_every,
            evaluate_timeout_s=self.evaluate_timeout_s,
            version=version,
            first_round=first_round,
            given=given,
        )

    def train_params(self, command: Train, again: int) -> TrainParams:
        """What a training task asks for; `again`: tasks that its learner was given before in the same round."""
        seed, steps = task_seed(self.seed, command.round, command.learner, again), command.steps or self.train.steps
        return replace(self.train, round=command.round, version=command.version, seed=seed, steps=steps)

    def evaluate_params(self, command: Evaluate) -> EvaluateParams:
        """What an evaluation asks for: the same of everybody who evaluates a round's result."""
        return replace(self.evaluate, round=command.round, version=command.version)


def task_seed(seed: int, round_: Round, learner: LearnerId, again: int = 0) -> int:
    """The seed of a learner's training task, in [0, 2^31): a digest, so that no two tasks have seeds in common or in a row.

    Args:
        seed: the run's.
        round_: in which the task is given.
        learner: to whom.
        again: tasks that the learner was given before in the same round.
    """
    name = f"{seed}:{round_}:{learner}" + (f":{again}" if again else "")
    digest = hashlib.blake2b(name.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1
