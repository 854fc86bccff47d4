"""What a model store keeps, and what it says of it.

    Entry        one kept model: whose, which number, how large, its digest, what is known of it
    LearnerModel what a learner sent back, as a store keeps it
    RuleState    what an aggregation rule keeps besides a version
    Statistics   how much there is

A model is kept under its owner and a number: a version of the global model (its owner is None), or the sequence of a learner's
model. The numbers of one owner, ascending, are its lineage. What a rule keeps has owners that no learner's id can be.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, NamedTuple, TypeAlias, assert_never

import xxhash

from fedactors.model import Buffer, GlobalModel, Layout, LearnerId, Version

Owner: TypeAlias = LearnerId | None
"""A learner; None: the federation, whose models are the versions of the global model; a name of `rule_owner`."""

LEARNER_CHARS_MAX = 128
"""Of a learner's id: ten thousand of them can be told of at once."""
RULE = "\x1f"
"""What a rule's owners begin with. A learner's id is printable: `learner_problem`."""


def rule_owner(learner: LearnerId | None) -> Owner:
    """Under whom the latest update of a learner is kept for a rule; None: what else the rule keeps."""
    return RULE + (learner or "")


def is_rule(owner: Owner) -> bool:
    """Whether it is a rule's."""
    return owner is not None and owner.startswith(RULE)


def learner_problem(learner: LearnerId) -> str | None:
    """Why a model store can keep nothing under this id; None where it can."""
    if not learner:
        wrong = "empty"
    elif len(learner) > LEARNER_CHARS_MAX:
        wrong = f"longer than {LEARNER_CHARS_MAX} characters"
    elif not learner.isprintable():
        wrong = "not printable"
    elif learner != unicodedata.normalize("NFKC", learner).strip():
        wrong = "written so that it looks like another one (it begins or ends with a space, or is not in Unicode's form NFKC)"
    else:
        return None
    return f"the learner id {learner!r:.80} is {wrong}; name it with letters and digits"


Facts: TypeAlias = Mapping[str, Any]
"""What is known of a version, as JSON has it; what a federation writes down is in `fedactors.storage.facts`."""


class Key(NamedTuple):
    """What a model is kept under."""

    owner: Owner
    number: int

    def __str__(self) -> str:
        if self.owner is None:
            return f"version {self.number}"
        if is_rule(self.owner):
            return f"what the rule keeps of {self.owner.removeprefix(RULE)!r}" if self.owner != RULE else "what the rule keeps"
        return f"model {self.number} of learner {self.owner!r}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model that is kept.

    Attributes:
        key: whose, and which.
        base: the version that a learner's model started from, or that a rule's state belongs to; None for a version.
        layout: of the model.
        digest: xxh3-128 of the buffer, hexadecimal; empty where the store has no need of it.
        created_unix_s: when it was put.
        serial: greater than that of every model that was put before it.
        facts: what is known of it.
    """

    key: Key
    base: Version | None
    layout: Layout
    digest: str
    created_unix_s: float
    serial: int
    facts: Facts = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The version, or the sequence of the learner's model."""
        return self.key.number

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        return self.layout.nbytes


def checked(entry: Entry) -> Entry:
    """An entry as it was read back, where what was written is of the kinds that are written.

    Raises:
        TypeError: it is not; the message names the part.
    """
    kinds: dict[str, tuple[object, type[Any] | UnionType]] = {
        "owner": (entry.key.owner, str | None),
        "number": (entry.key.number, int),
        "base": (entry.base, int | None),
        "digest": (entry.digest, str),
        "created_unix_s": (entry.created_unix_s, float | int),
        "serial": (entry.serial, int),
        "facts": (entry.facts, dict),
    }
    for name, (value, kind) in kinds.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {value!r:.40}")
    return entry


@dataclass(frozen=True, slots=True, eq=False)
class LearnerModel:
    """What a learner sent back.

    Attributes:
        learner: who.
        sequence: ascending for each learner.
        base: the version that it started from.
        layout: the global model's, or what travelled of it.
        buffer: uint8[layout.nbytes]. Of a model that is put, it is the caller's again when `put` returns; of one that a store
            gives, it is read-only.
    """

    learner: LearnerId
    sequence: int
    base: Version
    layout: Layout
    buffer: Buffer

    def __post_init__(self) -> None:
        assert self.learner, "the empty name is nobody's"
        assert self.buffer.nbytes == self.layout.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class RuleState:
    """What an aggregation rule keeps from round to round, as it is after the commit of a version.

    It is put before its version, and is of no account until that is there. What belongs to older versions goes with the put of
    the version, in one step with it, but for updates that were not replaced.

    Attributes:
        learner: whose latest update it is; None: what else there is.
        version: after whose commit it is so, or was so first.
        layout: of the buffer.
        buffer: uint8[layout.nbytes], never written to again, by anybody.
    """

    learner: LearnerId | None
    version: Version
    layout: Layout
    buffer: Buffer

    def __post_init__(self) -> None:
        assert self.buffer.nbytes == self.layout.nbytes


Model: TypeAlias = GlobalModel | LearnerModel | RuleState


def digest(buffer: Buffer) -> str:
    """By which a model is known again: xxh3-128, hexadecimal."""
    return xxhash.xxh3_128_hexdigest(buffer.data)


def key_of(model: Model, serial: int) -> Key:
    """What a model is kept under that is the next to be put: what a rule keeps is numbered by its serial."""
    match model:
        case GlobalModel():
            return Key(None, model.version)
        case LearnerModel():
            return Key(model.learner, model.sequence)
        case RuleState():
            return Key(rule_owner(model.learner), serial)
        case _:
            assert_never(model)


def base_of(model: Model) -> Version | None:
    """The version that it started from, or belongs to; None for a version."""
    match model:
        case GlobalModel():
            return None
        case LearnerModel():
            return model.base
        case RuleState():
            return model.version
        case _:
            assert_never(model)


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much a store keeps, and what it has done since it was opened.

    Attributes:
        versions: of the global model.
        learners: that have a lineage.
        learner_models: of all of them.
        nbytes: of all buffers, what rules keep included.
        puts: models kept.
        gets: models handed out.
        evicted: models that made room for others.
    """

    versions: int
    learners: int
    learner_models: int
    nbytes: int
    puts: int
    gets: int
    evicted: int
