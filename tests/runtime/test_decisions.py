"""Restart decisions are pure: no loop, no clock, no actor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedactors.runtime import Action, Backoff, Decision, Restart, Supervision
from fedactors.runtime.supervisor import History, decide

AT_ONCE = Backoff(initial_s=0.0)


@pytest.mark.parametrize(
    ("restart", "failed", "action"),
    [
        (Restart.PERMANENT, True, Action.RESTART),
        (Restart.PERMANENT, False, Action.RESTART),
        (Restart.TRANSIENT, True, Action.RESTART),
        (Restart.TRANSIENT, False, Action.STOP),
        (Restart.TEMPORARY, True, Action.STOP),
        (Restart.TEMPORARY, False, Action.STOP),
    ],
)
def test_who_is_restarted_when(restart: Restart, failed: bool, action: Action) -> None:
    history = History()
    assert decide(Supervision(backoff=AT_ONCE), restart, history, failed=failed, now_s=0.0, draw=0.5) == Decision(action)


def test_a_temporary_child_never_escalates() -> None:
    decision = decide(Supervision(max_restarts=0), Restart.TEMPORARY, History(), failed=True, now_s=0.0, draw=0.5)
    assert decision.action is Action.STOP


@given(gaps=st.lists(st.floats(0.0, 20.0), max_size=50), most=st.integers(0, 5), within_s=st.floats(0.1, 50.0))
def test_no_window_ever_holds_more_restarts_than_allowed(gaps: list[float], most: int, within_s: float) -> None:
    history, policy = History(), Supervision(max_restarts=most, within_s=within_s, backoff=AT_ONCE)
    now_s, restarts = 0.0, []
    for gap in gaps:
        now_s += gap
        if decide(policy, Restart.PERMANENT, history, failed=True, now_s=now_s, draw=0.0).action is Action.RESTART:
            restarts.append(now_s)
        else:
            recent = [at_s for at_s in restarts if at_s > now_s - within_s]
            assert len(recent) == most
    for end_s in restarts:
        assert len([at_s for at_s in restarts if end_s - within_s < at_s <= end_s]) <= most


@given(
    initial_s=st.floats(0.0, 10.0), cap_s=st.floats(0.0, 100.0), jitter=st.floats(0.0, 1.0),
    streak=st.integers(0, 10_000), draw=st.floats(0.0, 1.0, exclude_max=True),
)  # fmt: skip
def test_a_wait_is_never_negative_nor_above_the_cap(
    initial_s: float, cap_s: float, jitter: float, streak: int, draw: float
) -> None:
    backoff = Backoff(initial_s, cap_s, jitter)
    assert 0.0 <= backoff.delay_s(streak, draw) <= cap_s
    assert backoff.delay_s(streak, 0.0) == min(cap_s, initial_s * 2.0 ** min(streak, 64))


def test_waits_begin_anew_after_a_quiet_time() -> None:
    policy = Supervision(max_restarts=100, backoff=Backoff(initial_s=1.0, jitter=0.0, reset_after_s=30.0))
    history = History()

    def delay_at(now_s: float) -> float:
        return decide(policy, Restart.PERMANENT, history, failed=True, now_s=now_s, draw=0.0).delay_s

    assert [delay_at(now_s) for now_s in (0.0, 2.0, 5.0, 100.0, 102.0)] == [1.0, 2.0, 4.0, 1.0, 2.0]
