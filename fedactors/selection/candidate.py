"""A learner as selection policies see it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedactors.model import LearnerId
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class Candidate:
    """A learner that could take part, and what is known of it since it joined.

    Attributes:
        learner: its id.
        num_examples: the size of its training data, as declared when it joined.
        tags: labels it declared when it joined.
        loss: the metric `loss` of its latest training or, where it reports none, of its latest evaluation; None: not known.
        duration_s: seconds from its latest training task to the update; None: not known.
        last_round: the latest round in which it was given a training task; None: it never was.
        last_task: a number that grows with every training task that anybody is given, of its latest one; None: it had none.
        ms_per_batch, ms_per_epoch: milliseconds, of its latest training that reported them; 0: not known.
    """

    learner: LearnerId
    num_examples: int = 0
    tags: frozenset[str] = field(default_factory=frozenset)
    loss: float | None = None
    duration_s: float | None = None
    last_round: Round | None = None
    last_task: int | None = None
    ms_per_batch: float = 0.0
    ms_per_epoch: float = 0.0

    def asked(self, round_: Round, task: int) -> Candidate:
        """It is given a training task. Spelt out, for this is done at every task and `replace` costs twice as much."""
        return Candidate(
            self.learner,
            self.num_examples,
            self.tags,
            self.loss,
            self.duration_s,
            round_,
            task,
            self.ms_per_batch,
            self.ms_per_epoch,
        )

    def answered(self, duration_s: float, loss: float | None, ms_per_batch: float, ms_per_epoch: float) -> Candidate:
        """It has answered its training task; what it did not tell (None, 0) stays as it was known."""
        return Candidate(
            self.learner,
            self.num_examples,
            self.tags,
            self.loss if loss is None else loss,
            duration_s,
            self.last_round,
            self.last_task,
            ms_per_batch or self.ms_per_batch,
            ms_per_epoch or self.ms_per_epoch,
        )
