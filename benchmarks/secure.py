"""What does it cost that the controller cannot read updates?

    python benchmarks/secure.py --smoke                    a few seconds
    python benchmarks/secure.py --json results.json        1M parameters
    python benchmarks/secure.py --whole                    a round of 10M parameters and 10 learners; the controller's memory
    python benchmarks/secure.py --precision                how far CKKS' mean of 3, 10 and 100 learners is from FedAvg's

Every row is one way of sending a float32 model, for a million parameters:

    seal, open     what a learner does with an update and with a version, seconds of processor time
    bytes          of an update. CKKS fills whole ciphertexts, so that the last one's padding counts; the line below the table
                   says what that comes to for larger models
    upload         over gRPC on the loopback, by the protocol's functions, seconds of the wall clock
    add            what the controller does with an update, milliseconds of processor time of one thread; a commit is shared out
                   over them. The median of REPEATS rounds, after one that warms the memory; with compiled kernels unless
                   --kernels numpy says otherwise or numba is not installed
    by two         the same by the two threads that a controller has, milliseconds of the wall clock
    error          root mean square of what the mean of the updates is off by, in units of the weights' own
    lag            the longest that this process's event loop was held up while a thread sealed, milliseconds

    plain          the weights as they are, and fedavg
    ckks precise   this project's, one prime, the whole model as one row of values, two a slot
    ckks fast      the same with 31 bits
    masking        pairwise masks with the nine others, 32 bits; in brackets behind the name, how many were lost before they
                   delivered: their masks are taken out by the controller. Learners open nothing: versions travel as they are
    per tensor     `ts.ckks_vector` of each tensor, degree 8192, [60, 40, 40, 60], public key, scaled by the controller, as usual

In brackets: times as much as plain. Times are the median of REPEATS; processor time is about the same on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from loop_lag import LagMeter
from masked_round import Round

from fedactors import Federation, Learner
from fedactors.actors.compute import Threads
from fedactors.aggregation import Contribution, Fold, _compiled
from fedactors.aggregation.ckks_sum import CkksSum
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.lanes import working_in
from fedactors.errors import StreamClosed
from fedactors.learner import LearnerClient
from fedactors.model import Buffer, GlobalModel, Layout, Weights
from fedactors.privacy.ckks_parameters import PRESETS, CkksParameters
from fedactors.protocol import (
    BlobReceiver,
    BufferPool,
    PushAnswer,
    answer_push,
    push,
    read_opening,
    receive_blob,
)
from fedactors.protocol.weight_streams import WeightStreams
from fedactors.task import TrainReport
from fedactors.transport import Address, Stream
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

REPEATS = 3
LEARNERS = 10
THREADS = 2
"""That updates are folded in: what `fedactors.actors.compute` has on two cores."""
ANY_PORT = "grpc://127.0.0.1:0"


class Scheme(Protocol):
    """A way of sending updates."""

    name: str

    def sealed(self, weights: Weights) -> Sequence[Buffer]:
        """An update, as it travels."""

    def add(self, update: Sequence[Buffer]) -> None:
        """One more of the round's, all with the same share."""

    def commit(self) -> Any:
        """Their sum or mean, as the controller has it."""

    def opened(self, result: Any) -> np.ndarray:
        """Their mean, as learners see it: float64[parameters]."""


class Folded:
    """Updates that a rule folds."""

    def __init__(self, name: str, base: GlobalModel, fold: Fold) -> None:
        self.name = name
        self._base = base
        self._fold = fold

    def add(self, update):
        """One more."""
        self._fold.add(Contribution("learner", update[0], 100.0))

    def commit(self):
        """The next version."""
        return GlobalModel(1, self._base.layout, self._fold.commit(self._base))


class Plain(Folded):
    """The weights as they are."""

    def __init__(self, weights: Weights) -> None:
        base = GlobalModel.initial(weights)
        super().__init__("plain", base, FedAvg().fold(base.layout))

    def sealed(self, weights):
        """Copied, as they are before they are sent."""
        return [self._base.layout.pack(weights)]

    def opened(self, result):
        """Every tensor of it."""
        return flat(result.weights)


class Ckks(Folded):
    """This project's."""

    def __init__(self, preset: str, weights: Weights, learners: int = LEARNERS) -> None:
        from fedactors.privacy.ckks_key import CkksKey
        from fedactors.privacy.ckks_sealing import CkksSealing

        self._sealing = CkksSealing(CkksKey.draw(preset), 100.0, learners)
        base = GlobalModel.initial(self._sealing.initial(weights, 100))
        super().__init__(f"ckks {preset}", base, CkksSum(PRESETS[preset]).fold(base.layout))

    def sealed(self, weights):
        """With its factor."""
        return [self._base.layout.pack(self._sealing.update(weights, 100.0, self._base))]

    def opened(self, result):
        """Decrypted and divided."""
        return flat(self._sealing.opened(result).weights)


class PerTensor:
    """A vector of TenSEAL's own for each tensor, which the controller multiplies by its share and adds up."""

    name = "per tensor"

    def __init__(self, weights: Weights) -> None:
        import tenseal as ts

        self._ts = ts
        self._context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
        self._context.global_scale = 2**40
        self._public = ts.context_from(self._context.serialize(save_secret_key=False))
        self._sum: list[Any] = []

    def sealed(self, weights):
        """Serialised, tensor by tensor."""
        with silence():
            vectors = [self._ts.ckks_vector(self._public, w.ravel().tolist()).serialize() for w in weights.values()]
        return [np.frombuffer(vector, np.uint8) for vector in vectors]

    def add(self, update):
        """Read, multiplied, added."""
        with silence():
            read = [self._ts.ckks_vector_from(self._public, part.tobytes()) * (1 / LEARNERS) for part in update]
            self._sum = [a + b for a, b in zip(self._sum, read, strict=True)] if self._sum else read

    def commit(self):
        """Serialised."""
        total, self._sum = [vector.serialize() for vector in self._sum], []
        return total

    def opened(self, result):
        """Decrypted."""
        with silence():
            return np.concatenate([self._ts.ckks_vector_from(self._context, part).decrypt() for part in result])


@contextmanager
def silence() -> Iterator[None]:
    """TenSEAL prints a line for each vector of more than one ciphertext."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def schemes(weights: Weights) -> list[Scheme]:
    """All of them, for a model like this."""
    return [Plain(weights), Ckks("precise", weights), Ckks("fast", weights), PerTensor(weights)]


def drawn(parameters: int, seed: int) -> dict[str, np.ndarray]:
    """A model's tensors of usual sizes: float32, normal with standard deviation 0.05."""
    rng, width = np.random.default_rng(seed), int((parameters // 10) ** 0.5)
    shapes = [(width, width)] * (parameters // width**2)
    rest = parameters - sum(a * b for a, b in shapes)
    named = {f"layer{index}.weight": shape for index, shape in enumerate(shapes)} | ({"head.bias": (rest,)} if rest else {})
    return {name: 0.05 * rng.standard_normal(shape, np.float32) for name, shape in named.items()}


def flat(weights: Weights) -> np.ndarray:
    """All values in a row, in float64."""
    return np.concatenate([w.ravel() for w in weights.values()]).astype(np.float64)


# ------------------------------------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Row:
    """What the table's columns say, for a million parameters."""

    scheme: str
    seal_s: float
    nbytes: float
    upload_s: float
    add_ms: float
    by_two_ms: float | None
    open_s: float
    error: float
    lag_ms: float


async def measured(scheme: Scheme, updates: Sequence[Weights], exact: np.ndarray) -> Row:
    """One row."""
    millions = exact.size / 1e6
    with ThreadPoolExecutor(1) as thread:
        async with LagMeter() as meter:
            sealing = asyncio.get_running_loop().run_in_executor(thread, lambda: [cpu_s(scheme.sealed, w) for w in updates])
            sealed = await sealing
        lag = meter.lag.max_ms
    sent = [update for _, update in sealed]
    combining_s, by_two_s, result = combined(scheme, sent)
    opened = [cpu_s(scheme.opened, result) for _ in range(REPEATS)]
    upload_s = await uploaded(sent[0])
    return Row(
        scheme.name,
        statistics.median(s for s, _ in sealed) / millions,
        sum(part.nbytes for part in sent[0]) / millions,
        upload_s / millions,
        1e3 * combining_s / LEARNERS / millions,
        1e3 * by_two_s / LEARNERS / millions,
        statistics.median(s for s, _ in opened) / millions,
        float(np.sqrt(np.mean((opened[0][1] - exact) ** 2) / np.mean(exact**2))),
        lag,
    )


def combined(scheme: Scheme, sent: Sequence[Sequence[Buffer]]) -> tuple[float, float, Any]:
    """Seconds that a round of additions and its commit take one thread and two, and what comes of it."""

    def combine() -> Any:
        for index in range(LEARNERS):
            scheme.add(sent[index % len(sent)])
        return scheme.commit()

    one_s, two_s = [], []
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in range(1 + REPEATS):
            one_s.append(cpu_s(combine)[0])
            with working_in(Threads(threads, THREADS)):
                began = time.perf_counter()
                result = combine()
                two_s.append(time.perf_counter() - began)
    return statistics.median(one_s[1:]), statistics.median(two_s[1:]), result


async def masked(updates: Sequence[Weights], lost: int) -> Row:
    """The row of a masked round that so many are lost from before they deliver."""
    one, weights = Round(updates[0], LEARNERS), [updates[index % REPEATS] for index in range(LEARNERS)]
    delivering = dict(list(zip(one.members, weights, strict=True))[lost:])
    exact = sum(flat(w) for w in delivering.values()) / len(delivering)
    millions = exact.size / 1e6
    with ThreadPoolExecutor(1) as thread:
        async with LagMeter() as meter:
            jobs = delivering.items()
            sealing = asyncio.get_running_loop().run_in_executor(thread, lambda: {n: cpu_s(one.sealed, n, w) for n, w in jobs})
            sealed = await sealing
        lag = meter.lag.max_ms
    adding = [cpu_s(one.add, name, update)[0] for name, (_, update) in sealed.items()]
    commit_s, result = cpu_s(one.commit)
    opened = [cpu_s(flat, result.weights) for _ in range(REPEATS)]
    update = next(iter(sealed.values()))[1]
    return Row(
        f"masking ({lost})",
        statistics.median(s for s, _ in sealed.values()) / millions,
        update.nbytes / millions,
        await uploaded([update]) / millions,
        1e3 * (sum(adding) + commit_s) / len(adding) / millions,
        None,
        statistics.median(s for s, _ in opened) / millions,
        float(np.sqrt(np.mean((opened[0][1] - exact) ** 2) / np.mean(exact**2))),
        lag,
    )


def cpu_s(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds of processor time, and what came of them."""
    began = time.thread_time()
    result = work(*arguments)
    return time.thread_time() - began, result


async def uploaded(update: Sequence[Buffer]) -> float:
    """Seconds that an update takes over gRPC, once connections and memory are warm."""
    buffer = np.concatenate([part.view(np.uint8) for part in update])
    layout, pool = Layout.from_specs([("update", "uint8", (buffer.size,))]), BufferPool()
    padded = np.zeros(layout.nbytes, np.uint8)
    padded[: buffer.size] = buffer

    async def receive(stream: Stream) -> None:
        with suppress(StreamClosed):
            while True:
                opening, out = await read_opening(stream), pool.take(layout.nbytes)
                await receive_blob(stream, opening, BlobReceiver(layout, layout.nbytes, out))
                await answer_push(stream, PushAnswer(True))
                pool.give(out)

    listener = await GrpcTransport().listen(Address.parse(ANY_PORT), receive)
    channel = GrpcTransport().connect(listener.address)
    streams, times_s = WeightStreams(channel), []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        await push(streams, b"", "t", layout, padded, TrainReport(1), layout_known=True)
        times_s.append(time.perf_counter() - began)
    await channel.close()
    await listener.close(0.5)
    return statistics.median(times_s[1:])


async def table(parameters: int) -> list[Row]:
    """All rows."""
    updates = [drawn(parameters, seed) for seed in range(REPEATS)]
    shares = [sum(1 for index in range(LEARNERS) if index % REPEATS == one) / LEARNERS for one in range(REPEATS)]
    exact = sum(share * flat(w) for share, w in zip(shares, updates, strict=True))
    rows = [await measured(scheme, updates, exact) for scheme in schemes(updates[0])]
    return [*rows, await masked(updates, 0), await masked(updates, 3)]


def shown(rows: Sequence[Row]) -> Iterator[str]:
    """The table, line by line."""
    plain = rows[0]
    heads = f"{'seal s':>16}{'bytes':>20}{'upload s':>16}{'add ms':>16}{'by two':>8}{'open s':>16}{'error':>11}{'lag ms':>9}"
    yield f"{'1M parameters':<14}{heads}"
    for row in rows:
        figures = [
            f"{row.seal_s:.4f} ({row.seal_s / plain.seal_s:,.0f})",
            f"{row.nbytes:,.0f} ({row.nbytes / plain.nbytes:.1f})",
            f"{row.upload_s:.4f} ({row.upload_s / plain.upload_s:.1f})",
            f"{row.add_ms:.2f} ({row.add_ms / plain.add_ms:,.1f})",
            "-" if row.by_two_ms is None else f"{row.by_two_ms:.2f}",
            f"{row.open_s:.4f} ({row.open_s / plain.open_s:,.0f})",
        ]
        columns = "".join(f"{figure:>{width}}" for figure, width in zip(figures, (16, 20, 16, 16, 8, 16), strict=True))
        yield f"{row.scheme:<14}{columns}{row.error:>11.1e}{row.lag_ms:>9.1f}"
    for preset, parameters in PRESETS.items():
        each = ", ".join(f"{sealed_bytes(parameters, count) / count:.3f} of {count:,}" for count in (10**6, 10**7, 10**8))
        yield f"ckks {preset}, bytes a parameter: {each}"


def distances(preset: str, parameters: int) -> Iterator[str]:
    """How far CKKS' mean is from FedAvg's, relative, in the L2 norm: the worst of REPEATS draws."""
    for learners in (3, 10, 100):
        found = [distance(preset, parameters, learners, REPEATS * learners + repeat) for repeat in range(REPEATS)]
        yield f"{preset:<8}{learners:>4} learners: {max(found):.1e}"


def distance(preset: str, parameters: int, learners: int, seed: int) -> float:
    """Of one draw of updates."""
    updates = [drawn(parameters, seed + index) for index in range(learners)]
    means = []
    for scheme in (Plain(updates[0]), Ckks(preset, updates[0], learners)):
        for update in updates:
            scheme.add(scheme.sealed(update))
        means.append(scheme.opened(scheme.commit()))
    return float(np.linalg.norm(means[1] - means[0]) / np.linalg.norm(means[0]))


def sealed_bytes(parameters: CkksParameters, count: int) -> int:
    """Of the ciphertexts of so many values."""
    return -(-count // parameters.degree) * parameters.degree * parameters.bytes_per_value


# ------------------------------------------------------------------------------------------------------------- a whole federation


class Still(Learner):
    """Gives back what it got."""

    num_train_examples = 100

    def __init__(self, parameters: int) -> None:
        self._parameters = parameters

    def get_weights(self):
        return drawn(self._parameters, 0)

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return dict(weights), {}

    def evaluate(self, weights, params):
        return {"greatest": max(float(np.abs(w).max()) for w in weights.values())}


def all_learners(address: str, parameters: int, number: int, key_file: str) -> None:
    """All of them, in a process that is not the controller's; they seal one after the other."""
    from fedactors.privacy.ckks_key import CkksKey

    key = CkksKey.read(Path(key_file))

    async def learn() -> None:
        one_at_a_time = asyncio.Semaphore(1)

        async def work(job: Callable[[], Any]) -> Any:
            async with one_at_a_time:
                return await asyncio.to_thread(job)

        channels = [GrpcTransport().connect(Address.parse(address)) for _ in range(number)]
        clients = [
            LearnerClient(Still(parameters), f"learner-{index}", channel, work=work, key=key)
            for index, channel in enumerate(channels)
        ]
        await asyncio.gather(*(client.run() for client in clients))
        for channel in channels:
            await channel.close()

    asyncio.run(learn())


async def whole(parameters: int, number: int, key_file: str) -> None:
    """One round of a sealed federation over gRPC, whose controller this process is."""
    config = {
        "learners": {"count": number},
        "secure": {"method": "ckks"},
        "stop": {"rounds": 1},
        "evaluate": {"every": 0},
        "liveness": {"heartbeat_s": 1.0, "lost_after_s": 20.0},
    }
    async with Federation(config, addresses=[ANY_PORT]) as federation:
        arguments = (str(federation.addresses[0]), parameters, number, key_file)
        child = multiprocessing.get_context("spawn").Process(target=all_learners, args=arguments)
        child.start()
        results = await federation.run()
        model = await federation.model()
    await asyncio.to_thread(child.join)
    (record,) = results.rounds
    peak, version = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, model.layout.nbytes
    print(f"{parameters:,} parameters, {record.totals.accepted} learners: a version is {version / 1e6:,.0f} MB sealed")
    print(f"round {record.duration_s:.1f} s, of which combining took {record.phases.combine_s:.2f} s")
    print(f"the controller's peak resident memory: {peak / 1e6:,.0f} MB, {peak / version:.1f} versions")


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, default=1_000_000)
    parser.add_argument("--smoke", action="store_true", help="a twentieth of that")
    parser.add_argument("--whole", action="store_true", help="a round of 10M parameters and 10 learners instead")
    parser.add_argument("--precision", action="store_true", help="how exact CKKS is instead")
    parser.add_argument("--kernels", choices=("numpy",), help="leave compiled ones out")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    keep_freed_memory()
    if given.kernels != "numpy":
        _compiled.load()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, kernels of {_compiled.names()}")
    if given.whole:
        return run_whole(given.parameters * 10, LEARNERS)
    if given.precision:
        for preset in PRESETS:
            print(*distances(preset, given.parameters // 20), sep="\n")
        return None
    rows = asyncio.run(table(given.parameters // 20 if given.smoke else given.parameters))
    print(*shown(rows), sep="\n")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    return None


def run_whole(parameters: int, number: int) -> None:
    """With a key that a process of its own makes, so that this one holds none."""
    import subprocess
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        key = f"{place}/key"
        subprocess.run([sys.executable, "-m", "fedactors", "keys", "ckks", key], check=True, stdout=subprocess.DEVNULL)
        asyncio.run(whole(parameters, number, key))
    assert not any(name.startswith("tenseal") for name in sys.modules)


if __name__ == "__main__":
    main()
