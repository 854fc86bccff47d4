"""Supervision: what becomes of a failed actor, as data and as a pure decision."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field


class Strategy(enum.Enum):
    """Which children are restarted when one has failed."""

    ONE_FOR_ONE = "one_for_one"
    """The failed one."""
    ONE_FOR_ALL = "one_for_all"
    """All of them: they make sense together only."""
    REST_FOR_ONE = "rest_for_one"
    """The failed one and those spawned after it, which may depend on it."""


class Restart(enum.Enum):
    """When one child is restarted. A child that others stop or kill is never restarted."""

    PERMANENT = "permanent"
    """Always there: after a failure, and also when it has stopped itself."""
    TRANSIENT = "transient"
    """Has an end of its own: after a failure only."""
    TEMPORARY = "temporary"
    """Never; its failure touches neither its siblings nor its parent."""


class Action(enum.Enum):
    """What is done about a child that has ended."""

    RESTART = "restart"
    STOP = "stop"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a restart waits: initial_s, doubled by every further one, up to cap_s.

    Attributes:
        initial_s: before the first restart; 0: no wait at all.
        cap_s: the longest wait.
        jitter: in [0, 1]; the share of a wait that is drawn at random, so that what failed together does not come back together.
        reset_after_s: after so long without a restart the waits begin at initial_s again.
    """

    initial_s: float = 0.1
    cap_s: float = 30.0
    jitter: float = 0.2
    reset_after_s: float = 60.0

    def delay_s(self, streak: int, draw: float) -> float:
        """The wait before the restart that follows `streak` others; `draw` is uniform in [0, 1)."""
        longest_s = min(self.cap_s, self.initial_s * 2.0 ** min(streak, 64))
        return longest_s * (1.0 - self.jitter * draw)


@dataclass(frozen=True, slots=True)
class Supervision:
    """How an actor treats its children. Restarts are counted for each child, or for the group where a group is restarted.

    Attributes:
        strategy: who is restarted.
        max_restarts: in any within_s seconds; one more, and the supervisor itself fails (it escalates).
        within_s: see max_restarts.
        backoff: the wait before a restart.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 5
    within_s: float = 60.0
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a child that has ended, and after which wait."""

    action: Action
    delay_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.action.value} after {self.delay_s:.3g} s" if self.delay_s else self.action.value


@dataclass(slots=True)
class History:
    """The restarts of a child, or of a group.

    Attributes:
        times_s: those that may still count.
        streak: restarts since the last quiet time.
        last_s: of the newest one.
    """

    times_s: deque[float] = field(default_factory=deque)
    streak: int = 0
    last_s: float = float("-inf")


def decide(policy: Supervision, restart: Restart, history: History, *, failed: bool, now_s: float, draw: float) -> Decision:
    """What to do about a child that has failed, or stopped itself; a restart is entered in the history.

    Args:
        policy: the supervisor's.
        restart: the child's.
        history: of the child or of its group.
        failed: False: it has stopped itself.
        now_s: the time.
        draw: uniform in [0, 1), for the jitter.
    """
    if restart is Restart.TEMPORARY or (restart is Restart.TRANSIENT and not failed):
        return Decision(Action.STOP)
    while history.times_s and history.times_s[0] <= now_s - policy.within_s:
        history.times_s.popleft()
    if len(history.times_s) >= policy.max_restarts:
        return Decision(Action.ESCALATE)
    if now_s - history.last_s >= policy.backoff.reset_after_s:
        history.streak = 0
    delay_s = policy.backoff.delay_s(history.streak, draw)
    history.times_s.append(now_s + delay_s)
    history.last_s = now_s + delay_s
    history.streak += 1
    return Decision(Action.RESTART, delay_s)
