"""What every selection policy owes its federation, checked on a policy of yours.

def test_my_policy_conforms():
    check_selection(MyPolicy(option=3))
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.task import Round

SIZES = (1, 2, 3, 10, 100)
ROUNDS = 20
KNOWN: tuple[Callable[[int], bool], ...] = (lambda _: False, lambda _: True, lambda n: n % 3 == 0)
"""Of which candidates something is known: of none, of all, of some."""


def check_selection(selection: Selection, *, tags: Sequence[str] = ("fast", "slow")) -> None:
    """Have the policy select from few and many candidates, new ones and known ones, round by round.

    Args:
        selection: with the options to check.
        tags: labels that the candidates declare, one each in turn.

    Raises:
        AssertionError: it does not do what a policy owes; the message says what.
    """
    for size, known in itertools.product(SIZES, KNOWN):
        candidates = [_candidate(n, tags[n % len(tags)], knows=known(n)) for n in range(size)]
        given = list(candidates)
        for round_ in range(1, ROUNDS + 1):
            cohort = _select(selection, candidates, round_)
            _is_a_cohort(cohort, candidates)
            again = _select(selection, candidates, round_)
            assert cohort == again, f"round {round_} was selected as {cohort}, then as {again}: draw all that is random from rng"
        assert candidates == given, "the candidates were changed; they are the caller's"
        if selection.pool() is not None:
            _check_pool(selection, candidates)


def _check_pool(selection: Selection, candidates: Sequence[Candidate]) -> None:
    """Its pool gives everybody whom the policy takes, nobody twice, nobody who is struck out, and the same again."""
    taken = [candidate for candidate in candidates if selection.takes(candidate)]
    cohort = _select(selection, candidates, 1)
    size = selection.size(len(taken))
    assert size == len(cohort), f"it picks {len(cohort)} of {len(candidates)} candidates, and says that it would pick {size}"
    struck_out = {candidate.learner for candidate in taken[::3]}
    drawn = _drained(selection, taken, struck_out)
    assert sorted(drawn) == sorted(candidate.learner for candidate in taken if candidate.learner not in struck_out), (
        f"its pool gave {drawn} of {[candidate.learner for candidate in taken]} without {sorted(struck_out)}"
    )
    again = _drained(selection, taken, struck_out)
    assert drawn == again, f"its pool gave {drawn}, then {again}: draw all that is random from rng"


def _drained(selection: Selection, candidates: Sequence[Candidate], struck_out: Collection[LearnerId]) -> list[LearnerId]:
    pool, rng = selection.pool(), np.random.default_rng(1)
    assert pool is not None, "it had a pool before"
    for candidate in [*candidates, *candidates]:  # entered twice is entered once
        pool.add(candidate)
    for learner in [*struck_out, *struck_out, "a stranger"]:
        pool.discard(learner)
    drawn: list[LearnerId] = []
    while pool:
        left = len(pool)
        drawn += pool.draw(1 + len(drawn) % 3, 1, rng)
        assert len(pool) < left, f"its pool holds {left} learners and gives none"
    return drawn


def _candidate(n: int, tag: str, *, knows: bool) -> Candidate:
    newcomer = Candidate(f"learner-{n:03}", 10 * n, frozenset({tag}))
    if not knows:
        return newcomer
    loss = (0.0, 0.5, -1.0, 1e308)[n % 4]
    return replace(newcomer, loss=loss, duration_s=float(n % 7), last_round=1 + n % 5, ms_per_batch=1.0, ms_per_epoch=float(n))


def _select(selection: Selection, candidates: Sequence[Candidate], round_: Round) -> list[LearnerId]:
    return selection.select(candidates, round_, np.random.default_rng([1, round_]))


def _is_a_cohort(cohort: list[LearnerId], candidates: Sequence[Candidate]) -> None:
    assert cohort, f"nobody of {len(candidates)} candidates was selected; a cohort has at least one"
    assert len(set(cohort)) == len(cohort), f"somebody was selected twice: {cohort}"
    strangers = set(cohort) - {candidate.learner for candidate in candidates}
    assert not strangers, f"{strangers} were selected, but are not candidates"
