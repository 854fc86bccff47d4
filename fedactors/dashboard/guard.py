"""Who may see the page, and who may give orders; pure but for the randomness and the clock that it is given.

Without tokens, whoever is on this machine may do both: the page is served at a loopback address, and only under a name of that
address, so that no foreign site can lead a browser to it (DNS rebinding). With tokens, a browser logs in with one of them and is
known by a cookie. An order needs a word that only the page itself can read (cross-site request forgery), whoever asks for it.
"""

from __future__ import annotations

import enum
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from secrets import token_urlsafe
from urllib.parse import urlsplit

from fedactors.access import callers
from fedactors.access.tokens import TokenBook

SESSION_S = 12 * 3600.0
SESSIONS_MAX = 1_000
"""The oldest makes room."""
BEARER = "Bearer "


class Role(enum.IntEnum):
    """What somebody may do; each may do what those before it may."""

    NOBODY = 0
    OBSERVER = 1
    """See everything."""
    OPERATOR = 2
    """Pause, resume and stop."""


ROLES = {callers.Role.OBSERVER: Role.OBSERVER, callers.Role.OPERATOR: Role.OPERATOR}
"""Of those who have a token; a learner's is none for the page."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that may come in.

    Attributes:
        role: what it may do.
        word: that an order of its page carries.
        ends_s: when it has to log in again, of the guard's clock.
        token: by which it has come in; it is out when that is revoked.
    """

    role: Role
    word: str
    ends_s: float
    token: str = field(default="", repr=False)


class Guard:
    """Knows the browsers that are logged in.

    Args:
        book: gives the federation's tokens, of which operators' and observers' are to log in with; None: everybody on this
            machine is an operator.
        clock: monotonic seconds.
    """

    def __init__(self, book: Callable[[], TokenBook] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._book = book
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._everybody = Session(Role.OPERATOR, token_urlsafe(), float("inf"))

    @property
    def asks_for_token(self) -> bool:
        """Whether one has to log in."""
        return self._book is not None

    def is_our_name(self, host: str) -> bool:
        """Whether a request's Host may be served: with tokens any, else one of the loopback addresses."""
        return self._book is not None or is_loopback(_name(host))

    def log_in(self, token: str) -> str | None:
        """A new session's cookie; None where the token is none."""
        role = self._role(token)
        if role is Role.NOBODY:
            return None
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        cookie = token_urlsafe()
        self._sessions[cookie] = Session(role, token_urlsafe(), self._clock() + SESSION_S, token)
        return cookie

    def log_out(self, cookie: str) -> None:
        """The cookie is worth nothing any more."""
        self._sessions.pop(cookie, None)

    def session(self, cookie: str, authorization: str = "") -> Session | None:
        """Whose request it is: by the cookie of a browser, or the header Authorization of a program, which can only look."""
        if self._book is None:
            return self._everybody
        if authorization.startswith(BEARER) and self._role(authorization.removeprefix(BEARER)) is not Role.NOBODY:
            return Session(Role.OBSERVER, "", float("inf"))
        session = self._sessions.get(cookie)
        if session is not None and (session.ends_s <= self._clock() or self._role(session.token) is not session.role):
            self.log_out(cookie)
            return None
        return session

    def _role(self, token: str) -> Role:
        """What whoever shows this may do."""
        entry = None if self._book is None else self._book().find(token)
        return Role.NOBODY if entry is None or entry.revoked is not None else ROLES.get(entry.role, Role.NOBODY)


def is_from_page(session: Session, host: str, origin: str, word: str) -> bool:
    """Whether our own page made a request that changes something: its Origin is our Host, and it knows the session's word."""
    return is_same_origin(host, origin) and session.word != "" and hmac.compare_digest(word.encode(), session.word.encode())


def is_same_origin(host: str, origin: str) -> bool:
    """Whether a request's Origin is its Host: a page of ours has made it. Browsers tell it of all that changes something."""
    return host != "" and urlsplit(origin).netloc == host


def is_loopback(name: str) -> bool:
    """Whether a host's name or address stands for this machine alone."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _name(host: str) -> str:
    """Of HOST:PORT the host, an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
