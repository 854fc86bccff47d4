"""Who evaluates which result, and when a round ends: the same in every protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedactors.model import LearnerId, Version
from fedactors.scheduling.base import EndRound, Terms
from fedactors.scheduling.books import Books
from fedactors.task import Round


@dataclass(slots=True)
class Result:
    """A committed round.

    Attributes:
        cohort: whose updates it combined, or who was asked for them.
        evaluated: somebody was asked to evaluate it.
    """

    number: Round
    version: Version
    cohort: tuple[LearnerId, ...]
    evaluated: bool = False


class Evaluations:
    """The evaluations that are out, and the rounds that wait for them."""

    def __init__(self, books: Books, terms: Terms) -> None:
        self._books = books
        self._every = terms.evaluate_every
        self._timeout_s = terms.evaluate_timeout_s
        self._open: dict[Round, bool] = {}  # whether EndRound is still to come
        self._deadlines: dict[str, Round] = {}

    @property
    def any_open(self) -> bool:
        """Whether an evaluation is out."""
        return bool(self._open)

    def is_due(self, round_: Round, *, is_last: bool) -> bool:
        """Whether the result of a round is to be evaluated."""
        return bool(self._every) and (is_last or round_ % self._every == 0)

    def begin(self, result: Result, learners: Iterable[LearnerId], *, end_due: bool = True) -> None:
        """Give a result to those of these learners that are here; the round ends at once where none is."""
        self._open[result.number] = end_due
        for learner in learners:
            if learner in self._books.here:
                self._books.evaluate(learner, result.number, result.version)
                result.evaluated = True
        if self._books.tasks.any_of_round(result.number, train=False):
            key = f"evaluation-{result.number}"
            self._deadlines[key] = result.number
            self._books.set_deadline(key, self._timeout_s)
        self.settle(result.number)

    def begin_again(self, result: Result, learners: Iterable[LearnerId], *, is_last: bool) -> None:
        """Evaluate what a machine before this one has committed, if it is due; the round ends otherwise."""
        if self.is_due(result.number, is_last=is_last):
            self.begin(result, learners)
        else:
            self._books.say(EndRound(result.number))

    def begin_last(self, result: Result | None, learners: Iterable[LearnerId]) -> None:
        """After Finish: evaluate the last result, unless it was already or nothing ever is."""
        if result is not None and not result.evaluated and self._every:
            self.begin(result, learners, end_due=False)

    def settle(self, round_: Round) -> None:
        """End a round of which no evaluation is out any more."""
        if self._books.tasks.any_of_round(round_, train=False):
            return
        key = f"evaluation-{round_}"
        self._deadlines.pop(key, None)
        self._books.clear_deadline(key)
        if self._open.pop(round_):
            self._books.say(EndRound(round_))

    def overdue(self, key: str) -> bool:
        """A deadline has passed; whether it was an evaluation's, which is then given up."""
        round_ = self._deadlines.get(key)
        if round_ is not None:
            self._give_up(round_)
        return round_ is not None

    def give_up(self) -> None:
        """Wait for no evaluation any more."""
        for round_ in list(self._open):
            self._give_up(round_)

    def _give_up(self, round_: Round) -> None:
        for task in self._books.tasks.of_round(round_, train=False):
            self._books.drop(task)
        self.settle(round_)
