"""The configuration's tables: every key that a federation's file may hold, with its default.

    [controller] [learners]                      who there is, and where
    [tls] [access]                               who may read along, and who is served
    [protocol] [selection] [aggregation] [store] the plug-ins: when, who, how, where models live
    [model]                                      which tensors travel
    [secure] [dp]                                what others may learn from updates
    [compression]                                how updates are made smaller
    [train] [evaluate] [stop]                    what learners do, and until when
    [liveness] [limits] [runtime] [ray]          the machinery
    [simulation]                                 how fast and how reliable virtual learners are

Values are taken strictly: "3" is no number, and an unknown key is an error. A table's documented attributes are its keys.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from fedactors.config.compression_tables import CompressionTable
from fedactors.config.privacy_tables import DpTable, SecureTable
from fedactors.config.ray_tables import RayTable
from fedactors.config.security_tables import AccessTable, TlsTable
from fedactors.config.table import Count, Options, Positive, Table
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
SHARDS_MAX = 1_000
RULE_OF = {"asynchronous": "fedasync", "buffered": "fedbuff"}
"""The rule that goes with a protocol, where the configuration names none; with any other protocol, fedavg."""
WEIGHTING_OF = {"fedbuff": "participants"}
"""The weighting that goes with a rule, where the configuration names none; with any other rule, examples."""
ROUNDS = 10
"""How many rounds a federation runs whose configuration does not say when to stop."""


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


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


class ProtocolTable(Table):
    """When learners train and when their updates are combined.

    Attributes:
        name: a scheduling protocol.
        options: of this protocol.
    """

    name: str = "synchronous"
    options: Options = {}


class SelectionTable(Table):
    """Who takes part in a round.

    Attributes:
        policy: a selection policy.
        options: of this policy.
    """

    policy: str = "everyone"
    options: Options = {}


class AggregationTable(Table):
    """How updates become a new global model.

    Attributes:
        rule: an aggregation rule. Where none is named, fedasync with the protocol asynchronous, fedbuff with buffered, and
            fedavg with any other, or where secure.method is given.
        weighting: what an update's share in the combination is proportional to: examples, batches, participants (all alike) or
            metric:NAME, a metric that learners report with their training. Where none is named, participants with fedbuff,
            whose paper takes the plain mean, and with central differential privacy, and examples with any other rule.
        combine: the rule that makes one update of the round's, where `rule` is a server optimiser; fedavg where it is not given.
        clip_norm: how far, as a Euclidean norm, an update may go from the version that it started from; what goes farther is
            shortened.
        discount: how much less a stale update counts: constant (no less), polynomial or hinge.
        deterministic: give the same bits whatever the order of arrival. On where a seed is given, off where it is drawn.
        refuse_not_finite: refuse an update that holds NaN or an infinity.
        shards: contiguous stretches that the model is combined in, one by one, for models of which the controller should not hold
            more than two; with more than one, updates wait in files until their round is combined. The bits are the same.
        shards_dir: the directory of those files, which have no names and go with the process; where it is not given, the run's
            directory, or the system's for temporary files. One that is in memory, as /tmp may be, saves nothing.
        options: of this rule.
        combine_options: of the rule that `combine` names.
        discount_options: of this discount.
    """

    rule: str = "fedavg"
    weighting: str = "examples"
    combine: str | None = None
    clip_norm: Positive | None = None
    discount: str = "constant"
    deterministic: bool = False
    refuse_not_finite: bool = True
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = 1
    shards_dir: str | None = None
    options: Options = {}
    combine_options: Options = {}
    discount_options: Options = {}


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


class StoreTable(Table):
    """Where the global models live.

    Attributes:
        url: scheme://place; the scheme is the model store's name, a place is handed to it as its option `place`. Without one,
            `fedactors up` keeps models in its run directory, up to 10 GiB of them, and everybody else keeps four in memory.
        options: of this store.
    """

    url: str | None = None
    options: Options = {}


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


class OpenTable(Table):
    """A table of which every key that is not known here is handed to the learner's code."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    @property
    def options(self) -> dict[str, Any]:
        """The keys for the learner's code."""
        return dict(self.__pydantic_extra__)


class TrainTable(OpenTable):
    """How learners train; any other key is handed to `Learner.train` as `params.options`.

    Attributes:
        epochs: passes over the local data in each round; may be fractional.
        steps: batches to train on; takes the place of `epochs`.
        batch_size: examples in a batch; without it, the learner's own choice.
        learning_rate: without it, the learner's own choice.
        proximal_mu: FedProx's mu, how strongly training is held to the global model that it starts from; 0: not at all.
            TorchLearner obeys by itself, other learners with `fedactors.learner.proximal_gradient`.
    """

    epochs: Positive = 1.0
    steps: Count | None = None
    batch_size: Count | None = None
    learning_rate: Positive | None = None
    proximal_mu: Annotated[float, Field(ge=0)] = 0.0


class EvaluateTable(OpenTable):
    """How learners evaluate; any other key is handed to `Learner.evaluate` as `params.options`.

    Attributes:
        every: evaluate the result of every k-th round, and of the last; 0: never.
        timeout_s: how long an evaluation is waited for.
    """

    every: Annotated[int, Field(ge=0)] = 1
    timeout_s: Positive = 3600.0


class MetricTable(Table):
    """Stop when a metric is good enough, or no longer gets better.

    Attributes:
        name: of the metric, as the learners' `evaluate` calls it.
        target: stop at this value.
        direction: whether more or less of it is better.
        patience: stop after so many evaluated rounds in a row without a gain.
        min_delta: a gain is more than this.
    """

    name: str
    target: float | None = None
    direction: Literal["max", "min"] = "max"
    patience: Count | None = None
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class StopTable(Table):
    """When the federation stops: at the first of these. Without any, after 10 rounds.

    Attributes:
        rounds: committed rounds.
        updates: accepted updates; the round that reaches it is the last. Counts alike in every protocol.
        duration_s: wall-clock time since training began.
        metric: a metric's target, or its standstill.
    """

    rounds: Count | None = None
    updates: Count | None = None
    duration_s: Positive | None = None
    metric: MetricTable | None = None

    @model_validator(mode="before")
    @classmethod
    def _stops(cls, given: Any) -> Any:
        return given if not isinstance(given, dict) or any(given.values()) else {"rounds": ROUNDS, **_without_none(given)}


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
    """

    engine: Literal["local", "ray"] = "local"
    uvloop: bool = True
    malloc_tuning: bool = True
    gc_tuning: bool = True


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
        """Draw a seed that nobody gave; be deterministic where somebody did, unless told otherwise."""
        if not isinstance(given, dict):
            return given
        aggregation = given.get("aggregation", {})
        if isinstance(aggregation, dict):
            protocol = given.get("protocol")
            rule = RULE_OF.get(str(protocol.get("name")), "fedavg") if isinstance(protocol, dict) else "fedavg"
            secure = given.get("secure")
            if isinstance(secure, dict) and secure.get("method") is not None:
                rule = "fedavg"
            aggregation = {"rule": rule, "deterministic": given.get("seed") is not None, **_without_none(aggregation)}
            combines = str(aggregation.get("combine", aggregation["rule"]))
            is_central = isinstance(dp := given.get("dp"), dict) and dp.get("mechanism") == "central"
            aggregation = {"weighting": WEIGHTING_OF.get(combines, "participants" if is_central else "examples"), **aggregation}
        return {"seed": secrets.randbits(32), **_without_none(given), "aggregation": aggregation}

    @property
    def initial_file(self) -> Path | None:
        """The safetensors file that version 0 is read from; None where a learner gives it."""
        return None if self.initial == "learner" else self.base_dir / self.initial.removeprefix("file:")
