"""What a run leaves on disk.

    RUN/
    ├── config.toml            the configuration as run: with every default, and the seed
    ├── journal                what is needed to go on with the run after the death of its controller
    ├── store/                 the versions of the global model, unless the configuration names another model store
    ├── environment.json       releases and the machine that it was run with
    ├── address                where the controller listens, if other processes can reach it
    ├── events.jsonl           one line for each event, as it happened
    ├── audit.jsonl            who joined, ordered and fetched what, and who was refused
    ├── results.json           rounds, learners, metrics, times
    ├── model.safetensors      the last version of the global model
    ├── model.sealed.safetensors  the same as ciphertext, where the federation seals its models
    ├── ckks.key               the key to it, if `up` made one; learners read it, and the controller does not
    └── logs/                  controller.jsonl, and what each learner process printed

The results are written anew after a round, the less often the longer that takes, so that a run that is cut short leaves about
what it had; its events are whole. Of rounds of more learners than limits.detail_learners_max they tell what these come to.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedactors import config as configuration
from fedactors import model_file
from fedactors.config import Config
from fedactors.driver.environment import environment
from fedactors.errors import ConfigError
from fedactors.journal import FileJournal, Opened
from fedactors.model import GlobalModel
from fedactors.privacy.ckks_layout import is_sealed
from fedactors.record import Event, FinalModel, Results
from fedactors.task import Metrics

MODEL_FILE = "model.safetensors"
SEALED_FILE = "model.sealed.safetensors"
ADDRESS_FILE = "address"
ENVIRONMENT_FILE = "environment.json"
STORE_BYTES_MAX = 10 * 1024**3
"""Of a run's own model store: the oldest versions make room."""


def default_run_directory(name: str) -> Path:
    """runs/<name>-<time>, below the current directory."""
    moment = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}-{moment}"


def of_run(
    file: Path | None, run_dir: Path | None, resume: Path | None, overrides: Sequence[str], *, starts_learners: bool
) -> tuple[Config, RunDirectory]:
    """The configuration and the directory of a run that begins, or goes on.

    Args:
        file: of the configuration, for a run that begins.
        run_dir: where it is saved; by default as `default_run_directory` says.
        resume: the directory of the run that goes on, with the configuration that is saved there.
        overrides: keys of the configuration, as KEY=VALUE.
        starts_learners: so that their code has to be there.

    Raises:
        ConfigError: both or none of `file` and `resume` is given, or one of them cannot be used.
    """
    if (file is None) == (resume is None):
        raise ConfigError("name the federation's FILE, or a run with --resume RUN; one of the two")
    if resume is not None:
        if run_dir is not None:
            raise ConfigError(f"--run-dir {run_dir} and --resume {resume} name two directories; a resumed run stays where it is")
        directory = RunDirectory(resume, resume=True)
        return _read(directory.config_file, overrides, starts_learners), directory
    assert file is not None
    config = _read(file, overrides, starts_learners)
    return config, RunDirectory(run_dir or default_run_directory(config.name))


def _read(file: Path, overrides: Sequence[str], starts_learners: bool) -> Config:
    config = configuration.read(file, overrides)
    if starts_learners:
        configuration.find_entry(config)
    return config


class RunDirectory:
    """A directory that one run writes to."""

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """Make the directory, or go on writing to that of a run.

        Raises:
            ConfigError: it holds a run already, or none to go on with, or cannot be used.
        """
        self.path = path
        self.resumed = resume
        if resume and not self.config_file.is_file():
            raise ConfigError(
                f"there is no run to resume in {path}: it has no config.toml; `fedactors runs ls` lists what there is"
            )
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._told = _cut_unfinished(path / "events.jsonl") if resume else 0
            self._events = (path / "events.jsonl").open("a" if resume else "x", encoding="utf-8")
        except FileExistsError:
            raise ConfigError(
                f"run directory {path} holds a run already; name another with --run-dir, or go on by --resume"
            ) from None
        except OSError as error:
            raise ConfigError(f"cannot use run directory {path}: {error}; name another with --run-dir") from error

    @property
    def config_file(self) -> Path:
        """The configuration as run."""
        return self.path / "config.toml"

    def stored(self, config: Config) -> Config:
        """The configuration with the run's own model store, and its directory for updates that wait, if it names none."""
        stored = own_store(config, self.path)
        if config.aggregation.shards_dir is not None:
            return stored
        aggregation = config.aggregation.model_copy(update={"shards_dir": str(self.path.resolve())})
        return stored.model_copy(update={"aggregation": aggregation})

    def open_journal(self, config: Config) -> FileJournal:
        """The run's journal, new or to go on with.

        Raises:
            StoreError: there is none to go on with, or it is in use, damaged or of another run.
        """
        plan: dict[str, Any] = {"protocol.name": config.protocol.name, "aggregation.rule": config.aggregation.rule}
        if config.secure.method is not None:
            plan["secure.method"] = config.secure.method
        shards = None if config.aggregation.shards == 1 else config.aggregation.shards
        plan |= {"aggregation.combine": config.aggregation.combine, "aggregation.shards": shards}
        opened = Opened(config.name, config.seed, plan)
        kept = config.journal
        return FileJournal(
            self.path / "journal", opened, durability=kept.durability, keeps_updates=kept.updates, resume=self.resumed
        )

    @property
    def audit_file(self) -> Path:
        """Where it is written who did what; `fedactors.access.audit`."""
        return self.path / "audit.jsonl"

    @property
    def model_file(self) -> Path:
        """The last version."""
        return self.path / MODEL_FILE

    @property
    def sealed_file(self) -> Path:
        """The last version, as ciphertext."""
        return self.path / SEALED_FILE

    @property
    def logs(self) -> Path:
        """Where logs go."""
        return self.path / "logs"

    def write_config(self, toml: str) -> None:
        """Keep the configuration as run; whatever kills the process, the old one is there or the new one."""
        unfinished = self.path / "config.toml.part"
        unfinished.write_text(toml, encoding="utf-8")
        unfinished.replace(self.config_file)

    def write_addresses(self, addresses: Iterable[object]) -> None:
        """Say where the controller listens, a line for each place; what a former life of the run said is void."""
        (self.path / ADDRESS_FILE).write_text("".join(f"{address}\n" for address in addresses), encoding="utf-8")

    def write_environment(self) -> None:
        """Keep what the run is run with: of the process that leads it now."""
        text = json.dumps(environment(), indent=2)
        (self.path / ENVIRONMENT_FILE).write_text(text + "\n", encoding="utf-8")

    def write_event(self, event: Event) -> bool:
        """Add one line, unless it stands there from a former life of the run; whether it was added."""
        if event.number < self._told:
            return False
        moment = datetime.fromtimestamp(event.unix_time_s, UTC).isoformat(timespec="microseconds")
        line = {"number": event.number, "time": moment, "kind": event.kind, **event.body}
        self._events.write(json.dumps(plain(line), allow_nan=False) + "\n")
        self._events.flush()
        return True

    def take(self, event: Event) -> None:
        """As `write_event`, for whoever tells of events."""
        self.write_event(event)

    def write_results(self, results: Results) -> None:
        """Replace the results; a reader finds the old ones or the new ones, whole."""
        unfinished = self.path / "results.json.part"
        unfinished.write_text(json.dumps(plain(results.to_map()), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        unfinished.replace(self.path / "results.json")

    def write_model(self, model: GlobalModel, metrics: Metrics) -> FinalModel:
        """Keep the last version.

        Raises:
            ModelError: it cannot be written.
        """
        file = self.sealed_file if is_sealed(model.layout) else self.model_file
        model_file.save(model, file)
        return FinalModel(model.version, metrics, file.name, model.sha256)

    def close(self) -> None:
        """No more events."""
        self._events.close()


def own_store(config: Config, run: Path) -> Config:
    """A run's configuration with the model store in its directory, if it names none."""
    if config.store.url is not None:
        return config
    store = config.store.model_copy(update={"url": f"file://{run.resolve() / 'store'}"})
    if not store.options:
        store = store.model_copy(update={"options": {"max_bytes": STORE_BYTES_MAX}})
    return config.model_copy(update={"store": store})


def _cut_unfinished(events: Path) -> int:
    """Have the file end with a whole line, and count the lines."""
    if not events.exists():
        return 0
    written = events.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    if len(whole) < len(written):
        os.truncate(events, len(whole))
    return whole.count(b"\n")


def plain(value: Any) -> Any:
    """What JSON can hold: NaN and the infinities, for which it has no word, become null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value
