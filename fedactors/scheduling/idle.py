"""Learners that could be given a training task, and how many may have one at the same time."""

from __future__ import annotations

from collections import OrderedDict

from fedactors.model import LearnerId
from fedactors.scheduling.base import Terms
from fedactors.scheduling.books import Books
from fedactors.scheduling.cohort import drawn, filled
from fedactors.selection.base import Candidate
from fedactors.task import Round


class IdleLearners:
    """Idle learners, the one that is idle for longest first.

    Where selection takes everyone, each operation takes constant time for each learner that it touches; another policy is shown
    every idle learner each time that a task is given.
    """

    def __init__(self, books: Books, terms: Terms, concurrency: int | None) -> None:
        self._books = books
        self._selection = terms.selection
        self._terms = terms
        self._concurrency = concurrency
        self._idle: OrderedDict[LearnerId, None] = OrderedDict()
        self._picked: int | None = None  # how many the policy picks of all that are here
        self._draws = (0, 0)  # of a round

    def __len__(self) -> int:
        return len(self._idle)

    def joined(self, learner: LearnerId) -> None:
        """A learner is here, or is known anew; one that rested does not any more."""
        self._picked = None
        self.freed(learner, rests=False)

    def left(self, learner: LearnerId) -> None:
        """A learner is gone."""
        self._picked = None
        self._idle.pop(learner, None)

    def freed(self, learner: LearnerId, *, rests: bool) -> None:
        """A learner's training task is over, if it had one; `rests`: it shall have no other."""
        if learner in self._books.here and not rests and not self._trains(learner):
            self._idle.setdefault(learner)

    def any_eligible(self, round_: Round) -> bool:
        """Whether the policy takes any of them."""
        if self._selection.takes_everyone or not self._idle:
            return bool(self._idle)
        return bool(self._selection.select(self._candidates(), round_, self._terms.rng(round_)))

    def take(self, round_: Round) -> list[LearnerId]:
        """Those that are given a task now; they are not idle any more."""
        if not self._idle:
            return []
        slots = min(self._target(round_) - self._books.tasks.num_training, len(self._idle))
        if slots <= 0:
            return []
        if self._selection.takes_everyone:
            return [self._idle.popitem(last=False)[0] for _ in range(slots)]
        chosen = self._choose(slots, round_)
        for learner in chosen:
            del self._idle[learner]
        return chosen

    def _choose(self, slots: int, round_: Round) -> list[LearnerId]:
        last, draw = self._draws
        self._draws = (round_, draw + 1 if last == round_ else 1)
        rng = self._terms.rng(round_, self._draws[1])
        return drawn(filled(self._selection, self._candidates(), slots, round_, rng), slots, rng)

    def _target(self, round_: Round) -> int:
        """How many may train at the same time: as many as the policy picks of all who are here, and at most `concurrency`."""
        if self._selection.takes_everyone:
            picked = len(self._books.here)
        else:
            picked = self._picked = self._picked or self._pick(round_)
        return picked if self._concurrency is None else min(picked, self._concurrency)

    def _pick(self, round_: Round) -> int:
        everybody = [self._books.here[learner] for learner in sorted(self._books.here)]
        return max(1, len(self._selection.select(everybody, round_, self._terms.rng(round_))))

    def _candidates(self) -> list[Candidate]:
        return [self._books.here[learner] for learner in sorted(self._idle)]

    def _trains(self, learner: LearnerId) -> bool:
        entries = map(self._books.tasks.get, self._books.tasks.of_learner(learner))
        return any(entry.train for entry in entries if entry is not None)
