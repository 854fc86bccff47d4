"""Tokens: 256 random bits that say who shows them. What is kept of one is its SHA-256, its owner and its times; pure values.

A slow hash, as passwords need one, would add nothing: nobody guesses 256 random bits, however fast the guesses are checked, and
each stream that is opened would pay for it. Since the digest is looked up, no time that the look-up takes tells of a token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fedactors.access.callers import Caller, Means, Role
from fedactors.errors import ConfigError

PREFIX = "fedactors_"
"""So that a scanner finds a token where none should be."""
TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 256
"""A longer one is none, and is not hashed."""
ID_CHARS = 8
FORMAT = 1
ROLES = (Role.LEARNER, Role.OBSERVER, Role.OPERATOR)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def new_token() -> str:
    """A secret, to be shown once."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def digest_of(token: str) -> str:
    """What is kept of a token: its SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one token.

    Attributes:
        role: learner, observer or operator.
        name: of its owner; a learner's id.
        sha256: of the token, hexadecimal.
        added: when, as ISO 8601 has it.
        revoked: when it was taken back; None while it holds.
    """

    role: Role
    name: str
    sha256: str
    added: str
    revoked: str | None = None

    @property
    def id(self) -> str:
        """What it is called by those who must not say it."""
        return self.sha256[:ID_CHARS]

    @property
    def caller(self) -> Caller:
        """Who shows it."""
        return Caller(self.role, self.name, Means.TOKEN)


@dataclass(frozen=True, slots=True)
class TokenBook:
    """Every token of a federation, in the order in which they were added."""

    entries: tuple[Entry, ...] = ()
    _by_digest: Mapping[str, Entry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_digest", {entry.sha256: entry for entry in self.entries})

    def find(self, token: str) -> Entry | None:
        """The entry of a token, which may be revoked; None where there is none."""
        return self._by_digest.get(digest_of(token)) if 0 < len(token) <= TOKEN_CHARS_MAX else None

    def add(self, role: Role, name: str, token: str, now: datetime) -> TokenBook:
        """With one more."""
        entry = Entry(role, name, digest_of(token), now.isoformat(timespec="seconds"))
        return TokenBook((*self.entries, entry))

    def revoke(self, which: str, now: datetime) -> tuple[TokenBook, list[Entry]]:
        """Without those of this id or this owner, and which those are."""
        revoked = [entry for entry in self.entries if entry.revoked is None and which in (entry.id, entry.name)]
        moment = now.isoformat(timespec="seconds")
        return TokenBook(tuple(replace(entry, revoked=moment) if entry in revoked else entry for entry in self.entries)), revoked

    def to_map(self) -> dict[str, Any]:
        """As it is written."""
        return {"format": FORMAT, "tokens": [_as_map(entry) for entry in self.entries]}


def read_book(written: Any) -> TokenBook:
    """What `to_map` has made.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(written, dict) or written.get("format") != FORMAT or not isinstance(written.get("tokens"), list):
        raise ConfigError(f'it is no list of tokens: {{"format": {FORMAT}, "tokens": [...]}}')
    return TokenBook(tuple(_entries(written["tokens"])))


def _entries(written: list[Any]) -> Iterable[Entry]:
    for number, one in enumerate(written, 1):
        known = isinstance(one, dict) and one.keys() <= set(Entry.__slots__) and one.keys() >= {"role", "name", "sha256", "added"}
        if not known or not all(isinstance(value, str) for value in one.values()):
            raise ConfigError(f"its token {number} has not role, name, sha256 and added, each a word")
        if one["role"] not in ROLES or not one["name"] or not _DIGEST.fullmatch(one["sha256"]):
            raise ConfigError(f"its token {number} has no role of {', '.join(ROLES)}, no name, or no SHA-256")
        yield Entry(**{**one, "role": Role(one["role"])})


def _as_map(entry: Entry) -> dict[str, str]:
    written = {"role": entry.role.value, "name": entry.name, "sha256": entry.sha256, "added": entry.added}
    return written if entry.revoked is None else {**written, "revoked": entry.revoked}
