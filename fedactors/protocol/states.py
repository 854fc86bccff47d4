"""A session's rules: who may say what, when. One table, used by both sides.

The session is in one state, and each message moves it on. A message that has no entry breaks the protocol: of the peer, if it
came from there, and of ourselves, if we were about to send it.

    OPENED ──Hello──▶ GREETED ──Welcome──▶ ACTIVE ──Goodbye of one side──▶ ..._DONE ──Goodbye of the other──▶ CLOSED
                         └───────────────Goodbye (refused)────────────────────────────────────────────────────▶ ┘

Messages cross on the wire, so the two sides may pass through ACTIVE and the DONE states in different orders. The table commutes
there: whatever the order, both sides reach the same state. One side's Goodbye ends only what that side says; what the other had
under way still arrives.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

from fedactors.errors import LocalProtocolError, RemoteProtocolError
from fedactors.protocol.messages import Cancel, Evaluated, Goodbye, Heartbeat, Hello, Masking, Message, Task, TaskFailure, Welcome


class Role(enum.StrEnum):
    """Whose message it is."""

    LEARNER = "learner"
    CONTROLLER = "controller"

    @property
    def other(self) -> Role:
        """The peer's."""
        return Role.CONTROLLER if self is Role.LEARNER else Role.LEARNER


class State(enum.StrEnum):
    """How far a session has come."""

    OPENED = "opened"
    """The learner has to say Hello."""
    GREETED = "greeted"
    """The controller has to say Welcome, or Goodbye."""
    ACTIVE = "active"
    LEARNER_DONE = "learner_done"
    """The learner has said Goodbye."""
    CONTROLLER_DONE = "controller_done"
    """The controller has said Goodbye."""
    CLOSED = "closed"
    """Both have, or the controller did not let the learner in."""


Rules: TypeAlias = Mapping[type[Message], State]

_LEARNER_TALKS = (Heartbeat, Evaluated, TaskFailure, Masking)
_CONTROLLER_TALKS = (Heartbeat, Task, Cancel, Masking)

NEXT: Mapping[tuple[State, Role], Rules] = {
    (State.OPENED, Role.LEARNER): {Hello: State.GREETED},
    (State.GREETED, Role.CONTROLLER): {Welcome: State.ACTIVE, Goodbye: State.CLOSED},
    (State.ACTIVE, Role.LEARNER): {**dict.fromkeys(_LEARNER_TALKS, State.ACTIVE), Goodbye: State.LEARNER_DONE},
    (State.ACTIVE, Role.CONTROLLER): {**dict.fromkeys(_CONTROLLER_TALKS, State.ACTIVE), Goodbye: State.CONTROLLER_DONE},
    (State.LEARNER_DONE, Role.CONTROLLER): {**dict.fromkeys(_CONTROLLER_TALKS, State.LEARNER_DONE), Goodbye: State.CLOSED},
    (State.CONTROLLER_DONE, Role.LEARNER): {**dict.fromkeys(_LEARNER_TALKS, State.CONTROLLER_DONE), Goodbye: State.CLOSED},
}
"""The state after a message, by the state before it and who says it."""

_DONE = {Role.LEARNER: State.LEARNER_DONE, Role.CONTROLLER: State.CONTROLLER_DONE}


def after_sending(state: State, role: Role, message: Message) -> State:
    """The state once `role`, which is us, has sent the message.

    Raises:
        LocalProtocolError: it may not be sent now.
    """
    following = NEXT.get((state, role), {}).get(type(message))
    if following is None:
        raise LocalProtocolError(_complaint(state, role, message))
    return following


def after_receiving(state: State, role: Role, message: Message) -> State:
    """The state once `role`, which is the peer, has sent the message.

    Raises:
        RemoteProtocolError: it may not be sent now.
    """
    following = NEXT.get((state, role), {}).get(type(message))
    if following is None:
        raise RemoteProtocolError(_complaint(state, role, message))
    return following


def has_said_goodbye(state: State, role: Role) -> bool:
    """Whether `role` may say no more."""
    return state in (State.CLOSED, _DONE[role])


def _complaint(state: State, role: Role, message: Message) -> str:
    allowed = ", ".join(kind.__name__ for kind in NEXT.get((state, role), {})) or "nothing"
    return f"{type(message).__name__} from the {role} in a session that is {state}; allowed is {allowed}"
