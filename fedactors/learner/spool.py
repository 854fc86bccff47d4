"""What a learner has computed and not yet delivered, on its own disk, so that it outlives the learner's process.

    DIR/
    ├── token            of the session: by it the controller knows the learner again
    ├── declared         what a relay said there of its learners, who come back to it later than it to its parent; JSON
    └── TASK.update      a header (msgpack, behind its length), then the buffer; one file for each update

What belongs to a session that the controller does not know any more is thrown away.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import msgpack
import numpy as np

from fedactors.errors import LearnerFailed, ModelError, RemoteProtocolError
from fedactors.learner.answers import Declared
from fedactors.learner.desk import Update
from fedactors.model import Layout
from fedactors.protocol.bodies import train_report
from fedactors.protocol.wire import TOKEN_BYTES_MAX
from fedactors.task import TaskId

_LENGTH = struct.Struct("<Q")


class Spool:
    """A directory of one learner's own. It blocks: call it where that does no harm."""

    def __init__(self, directory: Path) -> None:
        """Make the directory where there is none.

        Raises:
            LearnerFailed: it cannot be made.
        """
        self._directory = directory
        self._explained(lambda: directory.mkdir(parents=True, exist_ok=True))

    @property
    def token(self) -> bytes:
        """Of the last session; empty where there was none."""
        try:
            with (self._directory / "token").open("rb") as file:
                token = file.read(TOKEN_BYTES_MAX + 1)
        except FileNotFoundError:
            return b""
        return token if len(token) <= TOKEN_BYTES_MAX else b""  # no controller gave it

    @property
    def declared(self) -> Declared | None:
        """What was said in the last session of who takes part; None where there was none, or nobody can read it."""
        if not self.token:
            return None
        try:
            train, test, tags = json.loads((self._directory / "declared").read_text(encoding="utf-8"))
            counts = int(train), int(test)
            return Declared(*counts, tuple(map(str, tags))) if all(0 <= count < 2**63 for count in counts) else None
        except (OSError, ValueError, TypeError, OverflowError):
            return None

    def declare(self, declared: Declared) -> None:
        """Keep what is said of who takes part.

        Raises:
            LearnerFailed: it cannot be written.
        """
        said = [declared.num_train_examples, declared.num_test_examples, declared.tags]
        self._write("declared", json.dumps(said).encode())

    def begin(self, token: bytes, *, resumed: bool) -> None:
        """A session has begun; unless it goes on with the last one, what was kept for that is void."""
        if not resumed:
            for path in self._directory.glob("*.update"):
                path.unlink(missing_ok=True)
        self._write("token", token)

    def keep(self, update: Update) -> None:
        """Keep an update until it is delivered; when this returns, it outlives the process.

        Raises:
            LearnerFailed: it cannot be written.
        """
        header = msgpack.packb(
            {
                "task": update.task,
                "specs": update.layout.specs,
                "layout_known": update.layout_known,
                "report": asdict(update.report),
            }
        )
        self._write(_name(update.task), _LENGTH.pack(len(header)), header, update.buffer.data)

    def drop(self, task: TaskId) -> None:
        """It is delivered, or not wanted any more."""
        (self._directory / _name(task)).unlink(missing_ok=True)

    def updates(self) -> list[Update]:
        """Those that are kept, the oldest first.

        Raises:
            LearnerFailed: one cannot be read; the message names it.
        """
        paths = sorted(self._directory.glob("*.update"), key=lambda path: path.stat().st_mtime_ns)
        return [_read(path) for path in paths]

    def _write(self, name: str, *parts: bytes | memoryview) -> None:
        path, unfinished = self._directory / name, self._directory / f"{name}.part"

        def write() -> None:
            with unfinished.open("wb") as file:
                file.writelines(parts)
            unfinished.replace(path)

        self._explained(write)

    def _explained(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            why = error.strerror or os.strerror(error.errno or 0)
            raise LearnerFailed(f"the spool {self._directory} cannot be used: {why}; make room, or name another") from error


def _name(task: TaskId) -> str:
    return f"{quote(task, safe='')}.update"


def _read(path: Path) -> Update:
    try:
        data = path.read_bytes()
        start = _LENGTH.size + _LENGTH.unpack_from(data)[0]
        header = msgpack.unpackb(data[_LENGTH.size : start])
        layout = Layout.from_specs([(name, dtype, tuple(shape)) for name, dtype, shape in header["specs"]])
        buffer = np.frombuffer(data, np.uint8, layout.nbytes, start)
        report = train_report(header["report"])
        return Update(str(header["task"]), layout, buffer, report, bool(header["layout_known"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, struct.error, ModelError, RemoteProtocolError) as error:
        raise LearnerFailed(
            f"the spool's file {path} cannot be read ({error}); remove it, and the learner trains again"
        ) from error
