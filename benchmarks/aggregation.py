"""How fast are updates combined?

Models of about 100K, 1M and 10M float32 parameters, every update with another factor; the best of several repeats. Everything is
a ratio to something measured in the same run, with the C library's allocator set as a controller sets it:

    stream     fedavg, updates folded one at a time: 12 bytes a parameter and update, of which one array is read, one added to.
    at once    fedavg over updates that are all in memory, as runs with a seed fold them: 4 bytes a parameter and update.
    of limit   the time that this traffic takes at this machine's memory bandwidth, over the time taken; 1 is the limit. The
               bandwidth is that of as many threads which add one large array to another, or only read one. What the processor's
               caches hold can be faster than memory.
    numpy      numpy.average's time over that of `at once` with two threads. For the robust rules: numpy.median, a sort, and for
               krum the distances of each pair.
    flower     the time of Flower's `aggregate`, and of its `aggregate_inplace`, over that of `at once` with two threads, on as
               many parameters in one flat array and in 204 tensors: ours does not depend on it, theirs does.

    python benchmarks/aggregation.py --smoke              a few seconds
    python benchmarks/aggregation.py                      fold of 10, 50, 200 updates; robust rules
    python benchmarks/aggregation.py --flower auto        and Flower, in an environment made for it and deleted again
    python benchmarks/aggregation.py --flower PYTHON      and Flower, in the environment of this python
    python benchmarks/aggregation.py --kernels numpy      as without the extra `fast`; the table's head says what was used
    python benchmarks/aggregation.py --only fold:10M:10 robust:1M:10
    python benchmarks/aggregation.py --json results.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from fedactors.actors.compute import Threads
from fedactors.aggregation import Contribution, Ordered, Rule, _compiled
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.lanes import IN_PLACE, Lanes, working_in
from fedactors.aggregation.median import Median
from fedactors.aggregation.trimmed_mean import TrimmedMean
from fedactors.model import GlobalModel, Layout
from fedactors.simulation.bandwidth import added_bytes_per_s, read_bytes_per_s
from fedactors.transport.malloc import keep_freed_memory

PEERS = Path(__file__).parent / "peers"
sys.path.insert(0, str(PEERS))

from aggregation_arrays import SHAPES, SIZES, num_examples, update  # noqa: E402  # the peers' folder is no package

FLOWER = "flwr==1.41.0"
FOLDED = (10, 50, 200)
COMPARED = (10, 50)
RESIDENT_BYTES_MAX = 2_200_000_000
"""Updates of a round that are different arrays; beyond, they are taken in turn from as many as fit."""
COPIED_BYTES_MAX = 1_000_000_000
"""Updates that are given to what copies them several times over: numpy.average and Flower."""
THREADS = (1, 2)
PEER_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a second of this many threads."""

    threads: int
    added: float
    read: float


@dataclass(frozen=True, slots=True)
class Folded:
    """The weighted mean; what Flower takes is by shape of the model. None where it was not measured."""

    parameters: str
    updates: int
    stream_ms: list[float]
    stream_of_limit: list[float]
    at_once_ms: list[float]
    at_once_of_limit: list[float]
    numpy_ms: float | None
    flower_ms: dict[str, dict[str, float]]

    def line(self) -> str:
        """A line of the table."""
        ours = [*self.stream_ms, self.stream_of_limit[-1], *self.at_once_ms, self.at_once_of_limit[-1]]
        flower = [
            self.flower_ms.get(shape, {}).get(f"{name}_ms") for name in ("aggregate", "aggregate_inplace") for shape in SHAPES
        ]
        ratios = [None if ms is None else ms / self.at_once_ms[-1] for ms in (self.numpy_ms, *flower)]
        return f"{self.parameters:<6}{self.updates:>5}" + cells(ours, 9, 2) + cells(ratios, 7, 1)


@dataclass(frozen=True, slots=True)
class Robust:
    """A rule that needs all updates."""

    rule: str
    parameters: str
    updates: int
    ms: list[float]
    numpy_ms: float

    def line(self) -> str:
        """A line of the table."""
        return f"{self.rule:<14}{self.parameters:<6}{self.updates:>5}" + cells([*self.ms, self.numpy_ms / self.ms[-1]], 10, 2)


FOLDED_TITLES = (
    f"{'':11}{'stream, ms':>18}{'of':>9}{'at once, ms':>18}{'of':>9}{'':7}{'flower':>14}{'in place':>14}\n"
    f"{'':11}{'1 thr.':>9}{'2 thr.':>9}{'limit':>9}{'1 thr.':>9}{'2 thr.':>9}{'limit':>9}{'numpy':>7}"
    f"{'flat':>7}{'layers':>7}{'flat':>7}{'layers':>7}"
)
ROBUST_TITLES = f"{'':25}{'1 thr., ms':>10}{'2 thr., ms':>10}{'numpy':>10}"


def cells(values: Sequence[float | None], width: int, digits: int) -> str:
    """Numbers in columns."""
    return "".join(f"{'-' if value is None else f'{value:.{digits}f}':>{width}}" for value in values)


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """The best of some repeats, after one that warms the memory."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


def updates(size: str, number: int) -> list[np.ndarray]:
    """Flat updates, different arrays as far as memory goes."""
    apart = max(1, min(number, RESIDENT_BYTES_MAX // (4 * SIZES[size])))
    arrays = [update("flat", size, index)[0] for index in range(apart)]
    return [arrays[index % apart] for index in range(number)]


def round_of(rule: Rule, arrays: Sequence[np.ndarray]) -> Callable[[], object]:
    """One round, as a function; the fold and its memory are there from round to round, as in a federation."""
    layout = Layout.of({"w": arrays[0]})
    fold, current = rule.fold(layout), GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))
    sent = [Contribution(f"l{index:03}", padded(layout, array), num_examples(index)) for index, array in enumerate(arrays)]

    def run() -> object:
        for contribution in sent:
            fold.add(contribution)
        return fold.commit(current)

    return run


def padded(layout: Layout, array: np.ndarray) -> np.ndarray:
    """The array as a buffer; a copy only where the layout ends in padding."""
    return array.view(np.uint8) if array.nbytes == layout.nbytes else layout.pack({"w": array})


def on_each(lanes: Sequence[Lanes], work: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds over one lane, and over more."""
    best = []
    for each in lanes:
        with working_in(each):
            best.append(best_ms(work, repeats))
    return best


def folded(size: str, number: int, memory: Sequence[Memory], lanes: Sequence[Lanes], flower: str | None, repeats: int) -> Folded:
    """The weighted mean."""
    arrays = updates(size, number)
    nbytes = 4 * SIZES[size] * number
    stream_ms = on_each(lanes, round_of(FedAvg(), arrays), repeats)
    at_once_ms = on_each(lanes, round_of(Ordered(FedAvg()), arrays), repeats)
    numpy_ms = None
    if nbytes <= COPIED_BYTES_MAX // 2:  # numpy.average makes a stack, and its product in float64
        numpy_ms = best_ms(partial(np.average, arrays, 0, [num_examples(index) for index in range(number)]), max(1, repeats // 3))
    del arrays
    measure_flower = flower is not None and nbytes <= COPIED_BYTES_MAX
    return Folded(
        size,
        number,
        stream_ms,
        [3e3 * nbytes / each.added / ms for each, ms in zip(memory, stream_ms, strict=True)],
        at_once_ms,
        [1e3 * nbytes / each.read / ms for each, ms in zip(memory, at_once_ms, strict=True)],
        numpy_ms,
        {shape: flower_ms(flower, shape, size, number, repeats) for shape in SHAPES if measure_flower},
    )


def flower_ms(python: str, shape: str, size: str, number: int, repeats: int) -> dict[str, float]:
    """Flower's two ways to average these updates, in a process of its environment."""
    point = ["--shape", shape, "--size", size, "--updates", str(number), "--repeats", str(max(2, repeats // 3))]
    command = [python, str(PEERS / "flower_aggregate.py"), *point]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"Flower's runner failed; {python} must have {FLOWER}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


@contextmanager
def flower_environment() -> Iterator[str]:
    """The python of an environment with Flower, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="flower-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "-q", FLOWER], check=True, timeout=PEER_TIMEOUT_S)
        yield python


def numpy_krum(arrays: Sequence[np.ndarray], byzantine: int) -> int:
    """Krum by the distances of each pair."""
    squared = np.array([[np.sum((one - other) ** 2) for other in arrays] for one in arrays])
    return int(np.argmin(np.sort(squared, axis=1)[:, 1 : len(arrays) - byzantine - 1].sum(axis=1)))


def robust(size: str, number: int, lanes: Sequence[Lanes], repeats: int) -> Iterator[Robust]:
    """Rules that need all updates."""
    arrays = updates(size, number)
    out = number // 5
    naive: dict[str, tuple[Rule, Callable[[], object]]] = {
        "median": (Median(), lambda: np.median(np.stack(arrays), axis=0)),
        "trimmed_mean": (TrimmedMean(0.2), lambda: np.sort(np.stack(arrays), axis=0)[out:-out].mean(axis=0)),
        "krum": (Krum(2), lambda: numpy_krum(arrays, 2)),
    }
    for name, (rule, theirs) in naive.items():
        yield Robust(name, size, number, on_each(lanes, round_of(rule, arrays), repeats), best_ms(theirs, 1))


def machine() -> dict[str, str]:
    """What was measured on, and when."""
    cpus = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{len(cpus)} x {cpus[0] if cpus else platform.machine()}, {kib / 2**20:.0f} GiB",
        "software": f"CPython {platform.python_version()}, numpy {np.__version__}, load {os.getloadavg()[0]:.1f}",
        "kernels": f"kernels of {_compiled.names()}",
    }


def measured(arguments: argparse.Namespace, lanes: Sequence[Lanes], flower: str | None) -> dict[str, object]:
    """Every line of the tables, printed as it comes."""
    about = machine()
    memory = [
        Memory(number, added_bytes_per_s(each), read_bytes_per_s(each)) for number, each in zip(THREADS, lanes, strict=True)
    ]
    print(*about.values(), sep="\n")
    for each in memory:
        print(f"memory, {each.threads} threads: adds at {each.added / 1e9:.1f} GB/s, reads at {each.read / 1e9:.1f} GB/s")
    sizes, numbers = (["100K", "1M"], FOLDED[:2]) if arguments.smoke else (list(SIZES), FOLDED)
    repeats = 3 if arguments.smoke else 9
    few = 3 if arguments.smoke else 5
    points = {
        "fold": [(size, number) for size in sizes for number in numbers],
        "robust": [(size, number) for size in sizes[:2] for number in (COMPARED[:1] if arguments.smoke else COMPARED)],
    }
    if arguments.only:
        chosen = [point.split(":") for point in arguments.only]
        points = {table: [(size, int(number)) for name, size, number in chosen if name == table] for table in points}
    print(FOLDED_TITLES)
    means = [
        shown(folded(size, number, memory, lanes, flower, few if size == "10M" else repeats)) for size, number in points["fold"]
    ]
    print(ROBUST_TITLES)
    robusts = [shown(each) for size, number in points["robust"] for each in robust(size, number, lanes, 5)]
    return {**about, "memory": rows(memory), "fedavg": rows(means), "robust": rows(robusts)}


def shown(figures: Folded | Robust) -> Folded | Robust:
    """Print a line."""
    print(figures.line(), flush=True)
    return figures


def rows(figures: Sequence[object]) -> list[dict[str, object]]:
    """For a JSON file."""
    return [asdict(each) for each in figures]


def main() -> None:
    """Measure, print, and write down where it was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds")
    parser.add_argument("--flower", metavar="PYTHON", help="a python that has Flower, or auto")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--kernels", choices=("numpy", "numba"), help="numba where it is installed, unless told otherwise")
    parser.add_argument("--only", nargs="+", metavar="TABLE:SIZE:UPDATES", help="lines of the tables, as in robust:1M:50")
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.kernels != "numpy" and not _compiled.load() and arguments.kernels == "numba":
        raise SystemExit("numba is not installed: pip install -e '.[fast]'")
    environment = flower_environment() if arguments.flower == "auto" else nullcontext(arguments.flower)
    with environment as flower, ThreadPoolExecutor(THREADS[-1]) as executor:
        lanes = [IN_PLACE, Threads(executor, THREADS[-1])]
        results = measured(arguments, lanes, flower)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
