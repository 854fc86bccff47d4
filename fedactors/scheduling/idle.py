"""Learners that could be given a training task, and how many may have one at the same time."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from fedactors.model import LearnerId
from fedactors.scheduling.base import Terms
from fedactors.scheduling.books import Books
from fedactors.scheduling.cohort import drawn, filled
from fedactors.selection.base import Candidate, Pool, Selection
from fedactors.task import Round


class IdleLearners:
    """Idle learners, in the selection policy's pool.

    Each operation takes no longer than the pool's for each learner that it touches. A policy without a pool of its own is shown
    every idle learner each time that a task is given, and everybody when somebody has come or gone.
    """

    def __init__(self, books: Books, terms: Terms, concurrency: int | None) -> None:
        self._books = books
        self._selection = terms.selection
        self._concurrency = concurrency
        pool = terms.selection.pool()
        self._pool: Pool = Asked(terms.selection) if pool is None else pool
        self._rng = terms.rng(terms.first_round, draw=1)
        self._idle: set[LearnerId] = set()
        self._taken: set[LearnerId] = set()  # of those that are here, whom the policy takes
        self._picked: int | None = None  # how many the policy picks of all that are here

    def __len__(self) -> int:
        return len(self._idle)

    def joined(self, learner: LearnerId) -> None:
        """A learner is here, or is known anew; one that rested does not any more."""
        self._picked = None
        self._pool.discard(learner)
        self._idle.discard(learner)
        if self._selection.takes(self._books.here[learner]):
            self._taken.add(learner)
        else:
            self._taken.discard(learner)
        self.freed(learner, rests=False)

    def left(self, learner: LearnerId) -> None:
        """A learner is gone."""
        self._picked = None
        self._taken.discard(learner)
        self._idle.discard(learner)
        self._pool.discard(learner)

    def freed(self, learner: LearnerId, *, rests: bool) -> None:
        """A learner's training task is over, if it had one; `rests`: it shall have no other."""
        if learner in self._books.here and not rests and not self._trains(learner):
            self._idle.add(learner)
            self.learned(learner)

    def learned(self, learner: LearnerId) -> None:
        """Something new is known of a learner, which need not be idle."""
        if learner in self._idle and learner in self._taken:
            self._pool.add(self._books.here[learner])

    def any_eligible(self, round_: Round) -> bool:
        """Whether the policy takes any of them."""
        if isinstance(self._pool, Asked) and self._pool:
            return self._pool.takes_any(round_, self._rng)
        return len(self._pool) > 0

    def take(self, round_: Round) -> list[LearnerId]:
        """Those that are given a task now; they are not idle any more."""
        if not self._pool:
            return []
        slots = self._target(round_) - self._books.tasks.num_training
        chosen = self._pool.draw(slots, round_, self._rng) if slots > 0 else []
        self._idle.difference_update(chosen)
        return chosen

    def _target(self, round_: Round) -> int:
        """How many may train at the same time: as many as the policy picks of all who are here, and at most `concurrency`."""
        if self._picked is None:
            asked = isinstance(self._pool, Asked)
            self._picked = self._pick(round_) if asked else self._selection.size(len(self._taken))
        return self._picked if self._concurrency is None else min(self._picked, self._concurrency)

    def _pick(self, round_: Round) -> int:
        everybody = [self._books.here[learner] for learner in sorted(self._books.here)]
        return max(1, len(self._selection.select(everybody, round_, self._rng)))

    def _trains(self, learner: LearnerId) -> bool:
        entries = map(self._books.tasks.get, self._books.tasks.of_learner(learner))
        return any(entry.train for entry in entries if entry is not None)


class Asked(Pool):
    """The pool of a policy that has none: it selects from everybody who is in."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._candidates: dict[LearnerId, Candidate] = {}

    @override
    def add(self, candidate: Candidate) -> None:
        self._candidates[candidate.learner] = candidate

    @override
    def discard(self, learner: LearnerId) -> None:
        self._candidates.pop(learner, None)

    @override
    def draw(self, number: int, round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        chosen = drawn(filled(self._selection, self._in_order(), number, round_, rng), number, rng)
        for learner in chosen:
            del self._candidates[learner]
        return chosen

    def takes_any(self, round_: Round, rng: np.random.Generator) -> bool:
        """Whether the policy picks any of them."""
        return bool(self._selection.select(self._in_order(), round_, rng))

    def _in_order(self) -> list[Candidate]:
        return [self._candidates[learner] for learner in sorted(self._candidates)]

    @override
    def __len__(self) -> int:
        return len(self._candidates)
