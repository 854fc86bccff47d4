"""How a federation begins here: anew, where its run was cut short, or not at all because it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedactors import config as configuration
from fedactors.config import Config
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.saved_runs import SavedRun, State, is_run, look
from fedactors.errors import ConfigError

INTERRUPTED = "Ctrl-C"
"""Why a run ended that its process was told to end; the next one goes on with it."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a federation begins with.

    Attributes:
        config: as it runs.
        directory: where its run is kept.
    """

    config: Config
    directory: RunDirectory


def earlier(run: Path) -> SavedRun | None:
    """What there is of a run in its directory; None where nothing has happened yet."""
    saved = look(run) if is_run(run) else None
    return None if saved is None or _is_blank(saved) else saved


def is_over(saved: SavedRun) -> bool:
    """Whether nobody is to go on with a run by himself: it is finished, or has failed."""
    return saved.state is State.FAILED or (saved.state is State.FINISHED and saved.why != INTERRUPTED)


def begin(file: Path, run: Path, overrides: Sequence[str]) -> Beginning:
    """Read what a federation runs with, and open its run's directory.

    A run in which nothing has happened begins anew, with what the file says now; one that was cut short goes on with the
    configuration that is kept with it.

    Raises:
        ConfigError: the configuration is wrong, or the directory cannot be used.
    """
    saved = earlier(run)
    if saved is None:
        config = configuration.read(file, overrides)
        _clear(run)
        return Beginning(config, RunDirectory(run))
    if saved.state is State.DAMAGED:
        raise ConfigError(f"run {run} cannot be gone on with: {saved.why}; move it away to begin anew")
    directory = RunDirectory(run, resume=True)
    try:
        return Beginning(configuration.read(directory.config_file, overrides), directory)
    except BaseException:
        directory.close()
        raise


def _is_blank(saved: SavedRun) -> bool:
    """Whether its process ended before anything had happened."""
    return saved.started_at is None and saved.state in (State.RESUMABLE, State.UNFINISHED)


def _clear(run: Path) -> None:
    """Make room for a new run where one had been begun and nothing had happened: its journal tells of nobody who trains."""
    for name in ("journal", "events.jsonl"):
        (run / name).unlink(missing_ok=True)
