"""What a host is told, and what it answers. All of it is pickled; tensors lie in Ray's object store, outside of the pickles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from fedactors.dp.local import LocalPrivacy
from fedactors.form import IDENTITY, Form
from fedactors.learner.answers import Declared
from fedactors.learner.base import LearnerContext
from fedactors.learner.desk import Answer
from fedactors.privacy.sealing import UNSEALED, Key, SealingSpec
from fedactors.protocol.messages import Task
from fedactors.scope import WHOLE, Scope
from fedactors.task import TaskId


@dataclass(frozen=True, slots=True)
class Origin:
    """What a learner is made from, besides its entry.

    Attributes:
        context: of the learner.
        entry_digest: of the pickled entry, so that learners of one entry share what it was loaded as.
        key: to models that are sealed; None: it has none.
    """

    context: LearnerContext
    entry_digest: bytes
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What the controller asks of all of a learner's updates, as it said when the learner joined.

    Attributes:
        epoch: grows with each session that does not go on with the one before: what was held back is of no use then.
        scope: what travels.
        form: in which form.
        sealing: how it is sealed.
        privacy: how updates are clipped and given noise; None: they are not.
    """

    epoch: int = 0
    scope: Scope = WHOLE
    form: Form = IDENTITY
    sealing: SealingSpec = UNSEALED
    privacy: LocalPrivacy | None = None


@dataclass(frozen=True, slots=True)
class Errand:
    """A task, and what its learner has to know before it begins.

    Attributes:
        task: what to do.
        session: in which it was given.
        verdicts: of earlier updates: whether each counts; those that were not told of yet.
    """

    task: Task
    session: Session
    verdicts: tuple[tuple[TaskId, bool], ...] = ()


Said: TypeAlias = tuple[str, str, dict[str, Any]]
"""What a learner's desk logged: level, event, fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What came of an errand.

    Attributes:
        answer: to the task; its buffer lies in the object store.
        said: for the controller's log.
    """

    answer: Answer
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class NotMade:
    """A learner could not be made; its entry's fault."""

    why: str


Making: TypeAlias = Declared | NotMade
