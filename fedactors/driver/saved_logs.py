"""The logs in a run's directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fedactors.errors import ConfigError
from fedactors.plugins import did_you_mean

LEADERS = ("controller.jsonl", "driver.jsonl")
"""Of the process that leads the run; the first that is there."""


def log_file(run: Path, learner: str | None) -> Path:
    """The log of a run's controller, or of one of its learners' processes.

    Raises:
        ConfigError: there is none; the message names those that there are.
    """
    files = {path.name: path for path in (run / "logs").glob("*.*") if path.is_file()}
    if learner is None:
        found = next((files[name] for name in LEADERS if name in files), None)
        if found is None:
            raise ConfigError(f"run {run} has no log of a controller; `fedactors runs ls` lists what there is")
        return found
    learners = [path.stem for path in files.values() if path.suffix == ".log"]
    if learner not in learners:
        known = ", ".join(sorted(learners)) or "none: learners that are threads or run elsewhere have no log here"
        raise ConfigError(f"run {run} has no log of a learner {learner!r}{did_you_mean(learner, learners)} (known: {known})")
    return files[f"{learner}.log"]


class LogFile:
    """A file that others add to, and may put another one in the place of.

    Attributes:
        path: of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._identity: tuple[int, int] | None = None

    def lines(self) -> Iterator[str]:
        """The whole lines that were added since it was read last."""
        try:
            with self.path.open("rb") as file:
                self._begin_anew_if_other(file.fileno())
                file.seek(self._at)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._at += len(line)
                    yield line.decode(errors="replace").rstrip("\n")
        except FileNotFoundError:
            return  # it is being rotated

    def _begin_anew_if_other(self, fd: int) -> None:
        found = os.fstat(fd)
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity or found.st_size < self._at:
            self._at, self._identity = 0, identity
