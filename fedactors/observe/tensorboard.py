"""A run's curves as TensorBoard reads them: an event file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as FileEvent
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from fedactors.observe.scalars import Scalar, scalars
from fedactors.record import Event


class TensorBoardWriter:
    """Writes the curves of a run while it goes on; an observer.

    A resumed run adds a file to the directory, and TensorBoard shows both as one. Values are float32, as the format has it.

    Args:
        directory: is made, if it is not there.

    Raises:
        OSError: nothing can be written there; so does each call.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        now_s = time.time()
        file = directory / f"events.out.tfevents.{now_s:017.6f}.{os.getpid()}"
        # Not by the package's EventFileWriter: its thread dies on a full disk, and whoever hands it the next value waits forever.
        self._records = RecordWriter(file.open("xb"))
        self._write(FileEvent(wall_time=now_s, file_version="brain.Event:2"))
        self._records.flush()

    def __call__(self, event: Event) -> None:
        """One more event; a round is in the file when this returns."""
        points = scalars(event)
        for point in points:
            self._write(_as_event(point))
        if points:
            self._records.flush()

    def close(self) -> None:
        """No more events."""
        self._records.close()

    def _write(self, event: FileEvent) -> None:
        self._records.write(event.SerializeToString())


def _as_event(point: Scalar) -> FileEvent:
    summary = Summary(value=[Summary.Value(tag=point.name, simple_value=point.value)])
    return FileEvent(wall_time=point.unix_time_s, step=point.step, summary=summary)
