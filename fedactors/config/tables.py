"""The configuration and its tables: every key that a federation's file may hold, with its default.

    [controller] [learners]                      who there is, and where
    [tls] [access]                               who may read along, and who is served               security_tables
    [protocol] [selection] [aggregation] [store] the plug-ins: when, who, how, where models live     plugin_tables
    [model]                                      which tensors travel
    [secure] [dp]                                what others may learn from updates                  privacy_tables
    [compression]                                how updates are made smaller                        compression_tables
    [train] [evaluate] [stop]                    what learners do, and until when                    training_tables
    [journal] [liveness] [limits] [runtime]      the machinery
    [ray]                                        learners on a cluster                               ray_tables
    [simulation]                                 how fast and how reliable virtual learners are

Values are taken strictly: "3" is no number, and an unknown key is an error. A table's documented attributes are its keys.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from fedactors.config.compression_tables import CompressionTable
from fedactors.config.plugin_tables import AggregationTable, ProtocolTable, SelectionTable, StoreTable, settled_aggregation
from fedactors.config.privacy_tables import DpTable, SecureTable
from fedactors.config.ray_tables import RayTable
from fedactors.config.security_tables import AccessTable, TlsTable
from fedactors.config.table import Count, Options, Positive, Table, without_none
from fedactors.config.training_tables import EvaluateTable, StopTable, TrainTable
from fedactors.scope import PATTERN_CHARS_MAX, PATTERNS_MAX

Pattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=PATTERN_CHARS_MAX)]
Patterns: TypeAlias = Annotated[list[Pattern], Field(max_length=PATTERNS_MAX)]

CONTROLLER_ADDRESS = "grpc://127.0.0.1:4450"
"""Where a controller listens, and where learners and drivers look for it, if nobody says where."""
LEARNERS_MAX = 10_000
MODEL_BYTES_MAX = 16 * 1024**3
MAILBOX_MESSAGES_MAX = 10_000
UPLOADS_MAX = 4
DETAIL_LEARNERS_MAX = 1_000


class ControllerTable(Table):
    """Where the controller listens.

    Attributes:
        address: scheme://place, as in grpc://127.0.0.1:4450, grpcs://0.0.0.0:4450 (with TLS, see [tls]) or grpc:///run/fed.sock;
            tcp:// and tcps:// in the place of grpc:// and grpcs:// cost less, on networks without proxies (docs/transports.md).
            `fedactors up` listens there for others, and at a Unix socket in a directory of its own for the learners that it
            starts; without an address, `fedactors controller` takes grpc://127.0.0.1:4450.
        insecure: allow an address that other machines can reach although nothing is encrypted there, or anybody is served.
    """

    address: str | None = None
    insecure: bool = False


class LearnersTable(Table):
    """The learners, and the code that they run.

    Attributes:
        entry: file.py:object or package.module:object, a Learner class or a function that returns a learner; or, written in the
            style of another framework, flower:client.py:client_fn or script:train.py. It may be left out where learners are
            started elsewhere, each with its own `--entry`.
        count: how many there are; `fedactors up` starts as many.
        min: the first round begins when so many are here; all of them where it is not given.
        join_timeout_s: how long the driver waits for `min` learners before it gives up.
        options: for the learner's own code, as `context.options`.
    """

    entry: str | None = None
    count: Count = 1
    min: Count = Field(default_factory=lambda table: table["count"])
    join_timeout_s: Positive = 60.0
    options: Options = {}


class ModelTable(Table):
    """Which of a model's tensors travel, and which of those are combined. Patterns are globs of whole names, case-sensitive.

    Attributes:
        local: tensors that stay with each learner, as batch norm in FedBN: they are neither sent nor combined.
        shared: the only tensors that travel, as the adapters of LoRA; without it all do. What is local does not.
        frozen: tensors that travel and are not combined: every version holds those of version 0.
    """

    local: Patterns = []
    shared: Patterns = []
    frozen: Patterns = []


class JournalTable(Table):
    """What a run keeps so that it can be resumed after the death of its controller. `fedactors up` always keeps a journal.

    Attributes:
        durability: what each entry survives: the death of the "process", or a loss of "power", too, which costs a wait for the
            disk with each commit and each update that counts.
        updates: keep the weights of updates that count until their round is committed, in the model store, so that they still
            count after a crash; without it their learners train again.
    """

    durability: Literal["process", "power"] = "process"
    updates: bool = True


class LivenessTable(Table):
    """How a learner that has vanished is found out.

    Attributes:
        heartbeat_s: each side is heard at least so often.
        lost_after_s: a learner not heard for so long is lost; at least two heartbeats.
        hello_timeout_s: how long whoever opens a stream may take to say the first word on it.
    """

    heartbeat_s: Positive = 1.0
    lost_after_s: Positive = 5.0
    hello_timeout_s: Positive = 10.0


class LimitsTable(Table):
    """What is refused beyond.

    Attributes:
        learners_max: learners at the same time.
        model_bytes_max: of one model.
        mailbox_messages_max: messages that may wait for the proxy of one learner.
        uploads_max: updates received at the same time, and as many again from learners that take long; further ones wait for
            their turn.
        detail_learners_max: learners of a round that events and results tell of one by one; of a larger round they tell the
            counts, the sums and the least, median and greatest times.
    """

    learners_max: Count = LEARNERS_MAX
    model_bytes_max: Count = MODEL_BYTES_MAX
    mailbox_messages_max: Count = MAILBOX_MESSAGES_MAX
    uploads_max: Count = UPLOADS_MAX
    detail_learners_max: Count = DETAIL_LEARNERS_MAX


class RuntimeTable(Table):
    """How the processes run.

    Attributes:
        engine: where the learners that `fedactors up` starts work, or an embedding program adds: "local", in processes or
            threads of this machine, or "ray", on a Ray cluster as [ray] says, where shards of a model are combined, too.
        uvloop: use uvloop's event loop where it is installed.
        malloc_tuning: let glibc keep freed memory for the next model (faster; up to 512 MiB stay with the process).
        gc_tuning: look for cycles of dead objects after 10,000 new ones rather than 700, and not in what was imported (faster).
        switch_tuning: have threads that compute give the event loop the interpreter after 1 ms rather than 5 (sooner answers).
    """

    engine: Literal["local", "ray"] = "local"
    uvloop: bool = True
    malloc_tuning: bool = True
    gc_tuning: bool = True
    switch_tuning: bool = True


class SimulationTable(Table):
    """How fast, how far away and how reliable the virtual learners of `fedactors simulate` are. Times are virtual.

    Attributes:
        epoch_s: median time of one pass over the local data, log-normal over the learners.
        spread: sigma of that log-normal's logarithm; 0: all are alike.
        straggler_fraction: share of learners that are slower by `straggler_factor`.
        straggler_factor: how much slower.
        batches_per_epoch: batches in one pass, for learners that train for a number of steps.
        delay_s: median time that a task or an update is under way, log-normal over the learners.
        failure_rate: chance that a learner vanishes while it is at a training task.
        away_s: mean time until it is back, exponential.
        examples_min: least size of a learner's data; sizes are uniform. Where learners really train, their own count.
        examples_max: greatest size of a learner's data.
    """

    epoch_s: Positive = 10.0
    spread: Annotated[float, Field(ge=0)] = 0.25
    straggler_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    straggler_factor: Annotated[float, Field(ge=1)] = 5.0
    batches_per_epoch: Count = 10
    delay_s: Annotated[float, Field(ge=0)] = 0.1
    failure_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    away_s: Positive = 600.0
    examples_min: Count = 50
    examples_max: Count = 500


def _a_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("names a directory: up to 64 letters, digits, '.', '_' and '-', the first a letter or a digit")
    return name


def _an_initial(initial: str) -> str:
    if initial != "learner" and not (initial.startswith("file:") and initial.endswith(".safetensors")):
        raise ValueError('must be "learner" or "file:PATH.safetensors"')
    return initial


class Config(Table):
    """A federation's configuration.

    Attributes:
        name: of the federation; run directories begin with it.
        seed: of everything random. Drawn where it is not given, and written into the run directory's config.toml.
        initial: where version 0 comes from: "learner" (one of them, drawn by the seed) or "file:PATH.safetensors".
        base_dir: where relative paths start; the configuration file's directory where it is not given.
    """

    name: Annotated[str, AfterValidator(_a_name)] = "federation"
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    initial: Annotated[str, AfterValidator(_an_initial)] = "learner"
    base_dir: Annotated[Path, Field(strict=False)] = Field(default_factory=Path.cwd)
    controller: ControllerTable = ControllerTable()
    tls: TlsTable = TlsTable()
    access: AccessTable = AccessTable()
    learners: LearnersTable = LearnersTable()
    protocol: ProtocolTable = ProtocolTable()
    selection: SelectionTable = SelectionTable()
    aggregation: AggregationTable = AggregationTable()
    model: ModelTable = ModelTable()
    secure: SecureTable = SecureTable()
    dp: DpTable = DpTable()
    compression: CompressionTable = CompressionTable()
    store: StoreTable = StoreTable()
    journal: JournalTable = JournalTable()
    train: TrainTable = TrainTable()
    evaluate: EvaluateTable = EvaluateTable()
    stop: StopTable = StopTable()
    liveness: LivenessTable = LivenessTable()
    limits: LimitsTable = LimitsTable()
    runtime: RuntimeTable = RuntimeTable()
    ray: RayTable = RayTable()
    simulation: SimulationTable = SimulationTable()

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, given: Any) -> Any:
        """Draw a seed that nobody gave; leave nothing open in [aggregation]."""
        if not isinstance(given, dict):
            return given
        aggregation = given.get("aggregation", {})
        if isinstance(aggregation, dict):
            aggregation = settled_aggregation(aggregation, given)
        return {"seed": secrets.randbits(32), **without_none(given), "aggregation": aggregation}

    @property
    def initial_file(self) -> Path | None:
        """The safetensors file that version 0 is read from; None where a learner gives it."""
        return None if self.initial == "learner" else self.base_dir / self.initial.removeprefix("file:")
