"""Decides on each stream who calls, or why nobody is served: by a token, by a client certificate, or because all may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedactors.access.audit import Audit
from fedactors.access.callers import LEARNERS, LOCAL, METHODS, Caller, Means, Role, from_uri
from fedactors.access.token_file import TokenFile
from fedactors.access.tokens import TokenBook
from fedactors.errors import AccessDenied
from fedactors.transport import Stream

RECHECK_S = 1.0
"""How often a controller looks whether a token of an open stream was revoked."""

ASKS_FOR = {
    Means.TOKEN: "show a valid token, by --token-file or in FEDACTORS_TOKEN (an operator gives it out by `fedactors tokens add`)",
    Means.CERTIFICATE: "show a client certificate of this federation, by --certificate and --key (`fedactors certs` makes it)",
}
"""What whoever has shown nothing valid is told; whether it was nothing, wrong or revoked is told to the audit log alone."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How learners and operators show who they are."""

    learners: Means = Means.OPEN
    operators: Means = Means.OPEN

    def means(self, method: str) -> Means:
        """For those who call this method."""
        return self.learners if method in LEARNERS else self.operators


@dataclass(frozen=True, slots=True)
class Denial:
    """Nobody is served.

    Attributes:
        said: to the peer.
        why: to the audit log.
    """

    said: str
    why: str


def decide(policy: Policy, book: TokenBook, method: str, credential: str, identity: str) -> Caller | Denial:
    """Who calls a method, or why it is not served.

    Args:
        policy: how callers show who they are.
        book: the tokens.
        method: what is called.
        credential: the token that was shown; may be empty.
        identity: the URI in the client certificate that was shown; may be empty.
    """
    means = policy.means(method)
    match means:
        case Means.OPEN:
            return Caller(Role.LEARNER if method in LEARNERS else Role.OPERATOR, "", Means.OPEN)
        case Means.TOKEN:
            entry = book.find(credential)
            caller = None if entry is None or entry.revoked is not None else entry.caller
            what = "no token" if not credential else "an unknown token" if entry is None else f"the revoked token {entry.id}"
        case Means.CERTIFICATE:
            caller = from_uri(identity)
            what = f"a certificate of {identity!r}" if identity else "no certificate"
    if caller is None:
        return Denial(f"access denied: {ASKS_FOR[means]}", f"{what} was shown")
    if not caller.may_call(method):
        return Denial(f"access denied: {caller} may not call {method:.80}; {_remedy(method)}", f"{caller} is none who may")
    return caller


def _remedy(method: str) -> str:
    roles = [role for role in (Role.LEARNER, Role.OBSERVER, Role.OPERATOR) if method in METHODS[role]]
    return f"it takes a credential of the role {' or '.join(roles)}" if roles else "no such method is served here"


class Guard:
    """Asked before anything is served."""

    def __init__(self, policy: Policy | None = None, tokens: TokenFile | None = None, audit: Audit | None = None) -> None:
        self.audit = Audit() if audit is None else audit
        self._policy = Policy() if policy is None else policy
        self._tokens = tokens
        self._open: dict[Stream, Caller] = {}

    @property
    def watches(self) -> bool:
        """Whether what is open may have to end because a token was revoked."""
        return self._tokens is not None

    @property
    def _book(self) -> TokenBook:
        return TokenBook() if self._tokens is None else self._tokens.book

    def caller(self, stream: Stream) -> Caller:
        """Who has opened a stream.

        Raises:
            AccessDenied: nobody who may.
        """
        if stream.is_local:
            return LOCAL
        decision = decide(self._policy, self._book, stream.method, stream.credential, stream.identity)
        if isinstance(decision, Denial):
            self.audit.refused(decision.why, stream.peer, method=stream.method)
            raise AccessDenied(decision.said)
        return decision

    def admit(self, stream: Stream) -> None:
        """As `caller`, for whoever needs no answer."""
        self.caller(stream)

    def check_learner(self, caller: Caller, learner: str, stream: Stream) -> None:
        """Whether the caller may take part as this learner.

        Raises:
            AccessDenied: it is another one.
        """
        if not caller.may_be(learner):
            self.audit.refused(f"it would be {learner!r:.80}", stream.peer, who=str(caller), by=caller.by, method=stream.method)
            said = f"access denied: the credential is that of {caller}, not of a learner {learner!r:.80}"
            raise AccessDenied(f"{said}; take part under its name, or use that learner's own")

    @contextmanager
    def serving(self, stream: Stream, caller: Caller) -> Iterator[None]:
        """While a stream is served, it can be ended by `end_revoked`."""
        self._open[stream] = caller
        try:
            yield
        finally:
            del self._open[stream]

    def end_revoked(self) -> None:
        """Deny every open stream whose token does not hold any more."""
        book = self._book
        for stream, caller in list(self._open.items()):
            if caller.by != Means.TOKEN:
                continue
            entry = book.find(stream.credential)
            if entry is None or entry.revoked is not None:
                self.audit.did("ended", caller, stream.peer, method=stream.method, why="its token was revoked")
                stream.deny(f"access denied: the token of {caller} was revoked; ask an operator for another one")
