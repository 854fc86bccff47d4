"""What a run leaves on disk.

    RUN/
    ├── config.toml            the configuration as run: with every default, and the seed
    ├── events.jsonl           one line for each event, as it happened
    ├── results.json           rounds, learners, metrics, times
    ├── model.safetensors      the last version of the global model
    └── logs/                  controller.jsonl, and what each learner process printed

The results are written anew after each round, so that a run that is cut short leaves what it had.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedactors import model_file
from fedactors.errors import ConfigError
from fedactors.model import GlobalModel
from fedactors.record import Event, FinalModel, Results
from fedactors.task import Metrics

MODEL_FILE = "model.safetensors"


def default_run_directory(name: str) -> Path:
    """runs/<name>-<time>, below the current directory."""
    moment = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{moment}"


class RunDirectory:
    """A directory that one run writes to."""

    def __init__(self, path: Path) -> None:
        """Make the directory.

        Raises:
            ConfigError: it holds a run already, or cannot be made.
        """
        self.path = path
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._events = (path / "events.jsonl").open("x", encoding="utf-8")
        except FileExistsError:
            raise ConfigError(f"run directory {path} holds a run already; name another with --run-dir") from None
        except OSError as error:
            raise ConfigError(f"cannot use run directory {path}: {error}; name another with --run-dir") from error

    @property
    def logs(self) -> Path:
        """Where logs go."""
        return self.path / "logs"

    def write_config(self, toml: str) -> None:
        """Keep the configuration as run."""
        (self.path / "config.toml").write_text(toml, encoding="utf-8")

    def write_event(self, event: Event) -> None:
        """Add one line."""
        moment = datetime.fromtimestamp(event.unix_time_s, UTC).isoformat(timespec="microseconds")
        line = {"number": event.number, "time": moment, "kind": event.kind, **event.body}
        self._events.write(json.dumps(_plain(line), allow_nan=False) + "\n")
        self._events.flush()

    def write_results(self, results: Results) -> None:
        """Replace the results; a reader finds the old ones or the new ones, whole."""
        unfinished = self.path / "results.json.part"
        unfinished.write_text(json.dumps(_plain(results.to_map()), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        unfinished.replace(self.path / "results.json")

    def write_model(self, model: GlobalModel, metrics: Metrics) -> FinalModel:
        """Keep the last version.

        Raises:
            ModelError: it cannot be written.
        """
        model_file.save(model, self.path / MODEL_FILE)
        return FinalModel(model.version, metrics, MODEL_FILE, model.sha256)

    def close(self) -> None:
        """No more events."""
        self._events.close()


def _plain(value: Any) -> Any:
    """What JSON can hold: NaN and the infinities, for which it has no word, become null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value
