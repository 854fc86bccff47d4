"""What a model store keeps, and what it says of it.

    Entry        one kept model: whose, which number, how large, its digest, what is known of it
    LearnerModel what a learner sent back, as a store keeps it
    Statistics   how much there is

A model is kept under its owner and a number: a version of the global model (its owner is None), or the sequence of a learner's
model. The numbers of one owner, ascending, are its lineage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import xxhash

from fedactors.model import Buffer, GlobalModel, Layout, LearnerId, Version

Owner: TypeAlias = LearnerId | None
"""A learner; None: the federation, whose models are the versions of the global model."""

Facts: TypeAlias = Mapping[str, Any]
"""What is known of a version, as JSON has it; what a federation writes down is in `fedactors.storage.facts`."""


class Key(NamedTuple):
    """What a model is kept under."""

    owner: Owner
    number: int

    def __str__(self) -> str:
        return f"version {self.number}" if self.owner is None else f"model {self.number} of learner {self.owner!r}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model that is kept.

    Attributes:
        key: whose, and which.
        base: the version that a learner's model started from; None for a version.
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


@dataclass(frozen=True, slots=True, eq=False)
class LearnerModel:
    """What a learner sent back.

    Attributes:
        learner: who.
        sequence: ascending for each learner.
        base: the version that it started from.
        layout: the global model's.
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


Model: TypeAlias = GlobalModel | LearnerModel


def digest(buffer: Buffer) -> str:
    """By which a model is known again: xxh3-128, hexadecimal."""
    return xxhash.xxh3_128_hexdigest(buffer.data)


def key_of(model: Model) -> Key:
    """What a model is kept under."""
    return Key(None, model.version) if isinstance(model, GlobalModel) else Key(model.learner, model.sequence)


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much a store keeps, and what it has done since it was opened.

    Attributes:
        versions: of the global model.
        learners: that have a lineage.
        learner_models: of all of them.
        nbytes: of all buffers.
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
