"""A host: a process of a Ray cluster in which learners live and work, one task at a time.

Each learner has the desk that it would have in a process of its own: what is done to its weights before they leave is done here.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, TypeVar

import structlog
from ray import cloudpickle
from structlog.stdlib import BoundLogger
from typing_extensions import override

from fedactors.errors import FedactorsError, LearnerFailed
from fedactors.learner.answers import declared
from fedactors.learner.base import Learner, build_learner
from fedactors.learner.blame import blamed
from fedactors.learner.desk import Desk
from fedactors.learner.worker import inline
from fedactors.model import GlobalModel, Layout, LearnerId, Version
from fedactors.privacy.sealing import Key
from fedactors.protocol.messages import TaskFailure
from fedactors.ray.errand import Errand, Making, NotMade, Origin, Reply, Said, Session

T = TypeVar("T")


class HostedDesk(Desk):
    """A learner's desk that is handed each version, and keeps none: a view of one would keep it in the object store."""

    def __init__(self, learner: Learner, key: Key | None, log: BoundLogger) -> None:
        super().__init__(learner, inline, self._fetched, log, key)
        self.at_hand: GlobalModel | None = None

    @override
    async def _version(self, version: Version) -> GlobalModel:
        return await self._fetched(version, None)

    async def _fetched(self, version: Version, _: Layout | None) -> GlobalModel:
        assert self.at_hand is not None
        assert self.at_hand.version == version
        return self.at_hand


class Hosted:
    """One learner on its host: its desk, and how far that knows what the controller has said."""

    def __init__(self, learner: Learner, key: Key | None) -> None:
        self._said: list[Said] = []
        self._desk = HostedDesk(learner, key, _noting(self._said))
        self._session: Session | None = None

    def run(self, errand: Errand, model: GlobalModel | None) -> Reply:
        """Do what an errand asks for. Whatever goes wrong is an answer, too."""
        try:
            self._enter(errand.session)
        except FedactorsError as error:
            return Reply(TaskFailure(errand.task.id, str(error)), ())
        for task, accepted in errand.verdicts:
            self._desk.settle(task, accepted)
        self._desk.at_hand = model
        answer = finished(self._desk.answer(errand.task, lambda: True))
        self._desk.at_hand = None
        said = tuple(self._said)
        self._said.clear()
        return Reply(answer, said)

    def _enter(self, session: Session) -> None:
        """See that the desk is in this session; one that goes on with the last one keeps what was held back."""
        if session == (former := self._session):
            return
        goes_on = former is not None and former.epoch == session.epoch
        self._desk.begin(session.scope, session.form, session.sealing, resumed=goes_on)
        self._desk.protect(session.privacy, None)
        self._session = session


class Host:
    """The actor that Ray runs. Its methods are called one at a time, in one thread."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Begin without learners.

        Args:
            paths: where the controller's process looks for modules; those that are here, too, are looked at last.
        """
        sys.path.extend(path for path in paths if path not in sys.path and Path(path).exists())
        self._entries: dict[bytes, Any] = {}
        self._learners: dict[LearnerId, Hosted] = {}

    def begin(self) -> str:
        """Leave Ctrl-C to the controller, whose terminal reaches this process, too, and return the version of fedactors here."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return installed_version("fedactors")

    def make(self, origin: Origin, entry: bytes) -> Making:
        """Make a learner and say what it declares of itself; of a learner that is here already, a new one takes its place."""
        try:
            if origin.entry_digest not in self._entries:
                self._entries[origin.entry_digest] = _loaded(entry)
            learner = build_learner(self._entries[origin.entry_digest], origin.context)
            self._learners[origin.context.id] = Hosted(learner, origin.key)
            return declared(learner)
        except FedactorsError as error:
            return NotMade(" ".join(str(error).split()))

    def run(self, learner: LearnerId, errand: Errand, model: GlobalModel | None = None) -> Reply:
        """Have a learner work a task off.

        Args:
            learner: one that was made here.
            errand: the task.
            model: the version that it refers to; its buffer is a read-only view of the object store.
        """
        return self._learners[learner].run(errand, model)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing. No event loop runs meanwhile, so that user code may run its own."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("a hosted desk waits for nothing")


def _loaded(entry: bytes) -> Any:
    try:
        return cloudpickle.loads(entry)
    except Exception as error:  # whatever the import of its modules raises
        why = f"{blamed(error)}: what it imports has to be there on every node of the Ray cluster"
        raise LearnerFailed(f"the learner's entry cannot be unpickled: {why}") from error


def _noting(said: list[Said]) -> BoundLogger:
    """A logger that notes what it is told, for the controller's log; tracebacks as text, which can travel."""

    def note(_: Any, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        error = event.pop("exc_info", None)
        if isinstance(error, BaseException):
            event["exception"] = "".join(traceback.format_exception(error))
        said.append((level, str(event.pop("event")), dict(event)))
        raise structlog.DropEvent

    quiet: Callable[..., BoundLogger] = structlog.wrap_logger
    return quiet(None, processors=[note], wrapper_class=BoundLogger)
