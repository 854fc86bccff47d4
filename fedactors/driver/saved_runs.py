"""What there is of runs on a disk, seen from outside: while they go on, after their end, and when they are broken.

Looking at a run costs the same however long it was: the two ends of its events are read. Nothing heavy is imported.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedactors.errors import FedactorsError, StoreError

FILES = ("config.toml", "events.jsonl", "journal", "results.json")
"""A directory with one of these holds a run."""
JOURNAL_BEGINS = b"fedactors journal"
BLOCK_BYTES = 64 * 1024
TAIL_BYTES_MAX = 16 * 1024**2
"""Of the events that are looked through, from the end, for the last metrics."""


class State(enum.StrEnum):
    """How a run stands."""

    FINISHED = "finished"
    FAILED = "failed"
    RUNNING = "running"
    """A process keeps its journal."""
    RESUMABLE = "resumable"
    """It was cut short and has a journal: --resume goes on with it."""
    UNFINISHED = "unfinished"
    """It has no journal: a driver's run, whose controller is elsewhere, or one that was cut short for good."""
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class SavedRun:
    """One run.

    Attributes:
        path: of its directory.
        state: how it stands.
        name: the federation's; None where that cannot be read.
        started_at: the time of its first event, ISO 8601, UTC; None where there is none.
        rounds: committed so far.
        rounds_total: how many there shall be; None where that is open.
        metrics: of the last evaluated round; None stands for a value that is no number.
        why: it ended, or what is wrong with it.
        nbytes: of all its files.
    """

    path: Path
    state: State
    name: str | None = None
    started_at: str | None = None
    rounds: int = 0
    rounds_total: int | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    why: str = ""
    nbytes: int = 0


class Damaged(FedactorsError):
    """Something in a run's directory cannot be read; the message says what."""


def saved_runs(folder: Path) -> list[SavedRun]:
    """Every run in a folder, or the folder itself if it is one; in the order in which they were started.

    Raises:
        OSError: the folder cannot be read.
    """
    places = [folder] if is_run(folder) else [path for path in folder.iterdir() if is_run(path)]
    return sorted(map(look, places), key=lambda run: (run.started_at or "", run.path.name))


def is_run(path: Path) -> bool:
    """Whether a directory holds a run, whole or broken."""
    return any((path / name).is_file() for name in FILES)


def look(path: Path) -> SavedRun:
    """What there is of the run in a directory. It does not raise: what cannot be read makes the run a damaged one."""
    nbytes = _size(path)
    try:
        config, told = _config(path / "config.toml"), _told(path / "events.jsonl")
        return SavedRun(
            path,
            _state(path / "journal", told.finished),
            str(config.get("name", "")) or None,
            told.started_at,
            told.rounds,
            _rounds_total(config),
            told.metrics,
            "" if told.finished is None else str(told.finished.get("stop_reason", "")),
            nbytes,
        )
    except (Damaged, OSError) as error:
        return SavedRun(path, State.DAMAGED, why=str(error), nbytes=nbytes)


@contextmanager
def at_rest(path: Path) -> Iterator[None]:
    """Keep a run from going on while its files are looked into.

    Raises:
        StoreError: a process is at it.
    """
    try:
        journal = os.open(path / "journal", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        if not _lock(journal):
            raise StoreError(f"run {path} is going on; ask its controller with --address; its log says where it listens")
        yield
    finally:
        os.close(journal)


def _lock(journal: int) -> bool:
    try:
        fcntl.flock(journal, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- what its files say


@dataclass(slots=True)
class _Told:
    """What a run's events say.

    Attributes:
        started_at, rounds, metrics: see `SavedRun`.
        finished: the last event, where that says that the run is over.
    """

    started_at: str | None = None
    rounds: int = 0
    metrics: dict[str, float | None] = field(default_factory=dict)
    finished: dict[str, Any] | None = None


def _state(journal: Path, finished: dict[str, Any] | None) -> State:
    running = _is_kept(journal)
    if running:
        return State.RUNNING
    if finished is not None:
        return State.FAILED if finished.get("failed") else State.FINISHED
    return State.UNFINISHED if running is None else State.RESUMABLE


def _is_kept(journal: Path) -> bool | None:
    """Whether a process keeps the journal; None where there is no journal."""
    try:
        with journal.open("rb") as file:
            if not _lock(file.fileno()):
                return True
            begins = file.read(len(JOURNAL_BEGINS))
    except FileNotFoundError:
        return None
    if not begins:
        raise Damaged("its journal is empty: it ended before it had begun; start it anew")
    if begins != JOURNAL_BEGINS:
        raise Damaged("its journal is no journal of fedactors")
    return False


def _config(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Damaged("it has no config.toml") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"its config.toml cannot be read: {error}") from None


def _rounds_total(config: dict[str, Any]) -> int | None:
    stop = config.get("stop")
    rounds = stop.get("rounds") if isinstance(stop, dict) else None
    return rounds if isinstance(rounds, int) else None


def _told(file: Path) -> _Told:
    told = _Told()
    if not file.exists():
        return told
    try:
        with file.open("rb") as events:
            first = events.readline()
        if first.endswith(b"\n"):
            told.started_at = json.loads(first)["time"]
        _look_back(file, told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"its events.jsonl cannot be read: {type(error).__name__}: {error}") from None
    return told


def _look_back(file: Path, told: _Told) -> None:
    """From the last event back to the last metrics."""
    for number, line in enumerate(_lines_backwards(file)):
        if not any(kind in line for kind in _TELLING):
            continue
        event = json.loads(line)
        if event["kind"] == "finished" and number == 0:
            told.finished = event
        elif event["kind"] == "round_committed":
            told.rounds = max(told.rounds, event["round"])
        elif event["kind"] == "round_ended":
            told.rounds = max(told.rounds, event["record"]["round"])
            told.metrics = dict(event["record"]["metrics"])
        if told.metrics:
            return


_TELLING = (b'"finished"', b'"round_committed"', b'"round_ended"')


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """The whole lines of a file's last TAIL_BYTES_MAX, the last one first; what is left of one at the end is passed over."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        limit, rest, begun = max(at - TAIL_BYTES_MAX, 0), b"", False
        while at > limit:
            start = max(at - BLOCK_BYTES, limit)
            file.seek(start)
            first, *lines = (file.read(at - start) + rest).split(b"\n")
            if lines and not begun:
                lines.pop()
                begun = True
            yield from reversed(lines)
            rest, at = first, start
        if limit == 0 and begun:
            yield rest


def _size(folder: Path) -> int:
    """Bytes of all files; those that go meanwhile count as nothing."""
    nbytes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                nbytes += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  # os.walk gives strings
            except OSError:
                continue
    return nbytes
