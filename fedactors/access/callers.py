"""Who calls, and what each may do: pure decisions.

    learner    takes part as itself: Session, Fetch, Push
    observer   looks: GetStatus, Watch, ListVersions, Download; of a process with many federations, List
    operator   all of an observer's, and orders: Order, Ship; of such a process, Add and Stop
    local      everything: whoever is in this process, or may open the Unix socket of its owner

A method that stands nowhere here is nobody's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from fedactors.protocol import (
    ADD_FEDERATION,
    DOWNLOAD,
    FETCH,
    GET_STATUS,
    LIST_FEDERATIONS,
    LIST_VERSIONS,
    ORDER,
    PUSH,
    SESSION,
    SHIP,
    STOP_FEDERATION,
    WATCH,
)

URI = "fedactors://"
"""What the URI in a client's certificate begins with: fedactors://ROLE/NAME."""


class Role(enum.StrEnum):
    """What somebody is to a federation."""

    LEARNER = "learner"
    OBSERVER = "observer"
    OPERATOR = "operator"
    LOCAL = "local"


class Means(enum.StrEnum):
    """How callers of one kind show who they are."""

    TOKEN = "token"  # noqa: S105  # a word of the configuration
    CERTIFICATE = "certificate"
    OPEN = "open"


LEARNERS = frozenset({SESSION, FETCH, PUSH})
LOOKS = frozenset({GET_STATUS, WATCH, LIST_VERSIONS, DOWNLOAD, LIST_FEDERATIONS})
ORDERS = frozenset({ORDER, SHIP, ADD_FEDERATION, STOP_FEDERATION})

METHODS: Mapping[Role, frozenset[str]] = {
    Role.LEARNER: LEARNERS,
    Role.OBSERVER: LOOKS,
    Role.OPERATOR: LOOKS | ORDERS,
    Role.LOCAL: LEARNERS | LOOKS | ORDERS,
}
"""What each role may call."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has shown who it is, or need not.

    Attributes:
        role: decides what it may call.
        name: of a learner its id; empty where anybody may call.
        by: how it has shown that: token, certificate, local or open.
    """

    role: Role
    name: str
    by: str

    def may_call(self, method: str) -> bool:
        """Whether its role has this method."""
        return method in METHODS[self.role]

    def may_be(self, learner: str) -> bool:
        """Whether it may take part as this learner."""
        return self.role is Role.LOCAL or self.by == Means.OPEN or (self.role is Role.LEARNER and self.name == learner)

    def __str__(self) -> str:
        return f"{self.role} {self.name!r}" if self.name else f"{self.role}"


LOCAL = Caller(Role.LOCAL, "", "local")


def uri_of(role: Role, name: str) -> str:
    """What a client's certificate says of it."""
    return f"{URI}{role}/{quote(name, safe='')}"


def from_uri(uri: str) -> Caller | None:
    """Whose certificate it is; None if it is no client's of a federation."""
    role, separator, name = uri.removeprefix(URI).partition("/")
    known = uri.startswith(URI) and separator and name and role in (Role.LEARNER, Role.OBSERVER, Role.OPERATOR)
    return Caller(Role(role), unquote(name), Means.CERTIFICATE) if known else None
