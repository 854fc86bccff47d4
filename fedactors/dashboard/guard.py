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
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlsplit

from fedactors.errors import ConfigError

TOKEN_CHARS_MIN = 16
"""So that nobody guesses one."""
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


@dataclass(frozen=True, slots=True)
class Tokens:
    """What to log in with.

    Attributes:
        operator: for everything.
        observer: to look only; None: nobody can be an observer.
    """

    operator: str
    observer: str | None = None

    @classmethod
    def read(cls, file: Path) -> Tokens:
        """A file's first line is the operator's, its second, if there is one, the observer's.

        Raises:
            ConfigError: it cannot be read, or a token is too short.
        """
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the dashboard's tokens: {error}") from error
        tokens = [line for line in lines if line]
        if not 1 <= len(tokens) <= 2 or any(len(token) < TOKEN_CHARS_MIN for token in tokens):
            said = f"{file} has to hold the operator's token in its first line, and may hold the observer's in its second"
            raise ConfigError(f"{said}; each of at least {TOKEN_CHARS_MIN} characters, as `openssl rand -hex 16` makes them")
        return cls(*tokens)

    def role(self, shown: str) -> Role:
        """What whoever shows this may do."""
        if hmac.compare_digest(shown.encode(), self.operator.encode()):
            return Role.OPERATOR
        known = self.observer is not None and hmac.compare_digest(shown.encode(), self.observer.encode())
        return Role.OBSERVER if known else Role.NOBODY


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that may come in.

    Attributes:
        role: what it may do.
        word: that an order of its page carries.
        ends_s: when it has to log in again, of the guard's clock.
    """

    role: Role
    word: str
    ends_s: float


class Guard:
    """Knows the browsers that are logged in.

    Args:
        tokens: what to log in with; None: everybody on this machine is an operator.
        clock: monotonic seconds.
    """

    def __init__(self, tokens: Tokens | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._everybody = Session(Role.OPERATOR, token_urlsafe(), float("inf"))

    @property
    def asks_for_token(self) -> bool:
        """Whether one has to log in."""
        return self._tokens is not None

    def is_our_name(self, host: str) -> bool:
        """Whether a request's Host may be served: with tokens any, else one of the loopback addresses."""
        return self._tokens is not None or is_loopback(_name(host))

    def log_in(self, token: str) -> str | None:
        """A new session's cookie; None where the token is none."""
        role = Role.NOBODY if self._tokens is None else self._tokens.role(token)
        if role is Role.NOBODY:
            return None
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        cookie = token_urlsafe()
        self._sessions[cookie] = Session(role, token_urlsafe(), self._clock() + SESSION_S)
        return cookie

    def log_out(self, cookie: str) -> None:
        """The cookie is worth nothing any more."""
        self._sessions.pop(cookie, None)

    def session(self, cookie: str, authorization: str = "") -> Session | None:
        """Whose request it is: by the cookie of a browser, or the header Authorization of a program, which can only look."""
        if self._tokens is None:
            return self._everybody
        if authorization.startswith(BEARER) and self._tokens.role(authorization.removeprefix(BEARER)) is not Role.NOBODY:
            return Session(Role.OBSERVER, "", float("inf"))
        session = self._sessions.get(cookie)
        if session is not None and session.ends_s <= self._clock():
            self.log_out(cookie)
            return None
        return session


def is_from_page(session: Session, host: str, origin: str, word: str) -> bool:
    """Whether our own page made a request that changes something: its Origin is our Host, and it knows the session's word."""
    same_origin = host != "" and urlsplit(origin).netloc == host
    return same_origin and session.word != "" and hmac.compare_digest(word.encode(), session.word.encode())


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
