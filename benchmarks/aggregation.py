"""How fast are updates combined?

Flat float32 models of 100K, 1M and 10M parameters. Everything is a ratio to something measured in the same run:

    vs limit   the time that the same traffic takes at this machine's memory bandwidth, over the time taken; 1 is the limit.
               The traffic of a fold is 12 bytes a parameter and update: the update and the accumulator are read, the accumulator
               is written. The bandwidth is that of one thread adding one large array to another.
    vs numpy   numpy's time over ours: numpy.average for the fold, numpy.median, a sort for the trimmed mean, and for krum
               the distances of each pair by themselves.

    python benchmarks/aggregation.py --smoke           a few seconds
    python benchmarks/aggregation.py                   fold of 10, 50, 200 updates; robust rules
    python benchmarks/aggregation.py --json results.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fedactors.aggregation import Contribution, Rule
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.median import Median
from fedactors.aggregation.trimmed_mean import TrimmedMean
from fedactors.model import GlobalModel, Layout

SIZES = {"100K": 100_000, "1M": 1_000_000, "10M": 10_000_000}
FOLDED = (10, 50, 200)
COMPARED = (10, 50)
RESIDENT_BYTES_MAX = 2_200_000_000
"""Updates of a round that are different arrays; beyond, they are taken in turn from as many as fit."""
BANDWIDTH_ELEMENTS = 16_000_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        vs_limit: None where the traffic is not the measure.
        vs_numpy: None where numpy would need more memory than there is.
    """

    rule: str
    parameters: str
    updates: int
    ms: float
    vs_limit: float | None
    vs_numpy: float | None


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best of some repeats, after one that warms the memory."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bandwidth(repeats: int) -> float:
    """Bytes a second of one thread that adds one array to another."""
    total, term = np.zeros(BANDWIDTH_ELEMENTS, np.float32), np.ones(BANDWIDTH_ELEMENTS, np.float32)
    return 3 * total.nbytes / seconds(lambda: np.add(total, term, out=total), repeats)


def updates(parameters: int, number: int) -> list[np.ndarray]:
    """Different arrays as far as memory goes."""
    rng = np.random.default_rng(0)
    apart = max(1, min(number, RESIDENT_BYTES_MAX // (4 * parameters)))
    arrays = [rng.standard_normal(parameters, np.float32) for _ in range(apart)]
    return [arrays[index % apart] for index in range(number)]


def round_of(rule: Rule, arrays: Sequence[np.ndarray]) -> Callable[[], object]:
    """One round, as a function; the fold and its memory are there from round to round, as in a federation."""
    layout = Layout.of({"w": arrays[0]})
    fold, current = rule.fold(layout), GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))
    sent = [Contribution(f"l{index:03}", padded(layout, array), 1.0 + index) for index, array in enumerate(arrays)]

    def run() -> object:
        for contribution in sent:
            fold.add(contribution)
        return fold.commit(current)

    return run


def padded(layout: Layout, array: np.ndarray) -> np.ndarray:
    """The array as a buffer; a copy only where the layout ends in padding."""
    return array.view(np.uint8) if array.nbytes == layout.nbytes else layout.pack({"w": array})


def fold_figure(size: str, number: int, rate: float, repeats: int) -> Figure:
    """The weighted mean."""
    parameters = SIZES[size]
    arrays = updates(parameters, number)
    ours = seconds(round_of(FedAvg(), arrays), repeats)
    theirs = None
    if 4 * parameters * number <= RESIDENT_BYTES_MAX // 4:  # numpy.average makes a stack, and its product in float64
        factors = [1.0 + index for index in range(number)]
        theirs = seconds(lambda: np.average(arrays, axis=0, weights=factors), max(1, repeats // 3))
    limit = 12 * parameters * number / rate
    return Figure("fedavg", size, number, 1e3 * ours, limit / ours, None if theirs is None else theirs / ours)


def numpy_krum(arrays: Sequence[np.ndarray], byzantine: int) -> int:
    """Krum by the distances of each pair."""
    squared = np.array([[np.sum((one - other) ** 2) for other in arrays] for one in arrays])
    return int(np.argmin(np.sort(squared, axis=1)[:, 1 : len(arrays) - byzantine - 1].sum(axis=1)))


def robust_figures(size: str, number: int, repeats: int) -> list[Figure]:
    """Rules that need all updates."""
    arrays = updates(SIZES[size], number)
    out = number // 5
    naive: dict[str, tuple[Rule, Callable[[], object]]] = {
        "median": (Median(), lambda: np.median(np.stack(arrays), axis=0)),
        "trimmed_mean": (TrimmedMean(0.2), lambda: np.sort(np.stack(arrays), axis=0)[out:-out].mean(axis=0)),
        "krum": (Krum(2), lambda: numpy_krum(arrays, 2)),
    }
    figures = []
    for name, (rule, theirs) in naive.items():
        ours = seconds(round_of(rule, arrays), repeats)
        figures.append(Figure(name, size, number, 1e3 * ours, None, seconds(theirs, 1) / ours))
    return figures


def measured(arguments: argparse.Namespace) -> list[Figure]:
    """Every line of the table, printed as it comes."""
    repeats = 3 if arguments.smoke else 9
    sizes = ["100K", "1M"] if arguments.smoke else list(SIZES)
    rate = bandwidth(repeats)
    print(f"memory bandwidth, one thread: {rate / 1e9:.1f} GB/s")
    print(f"{'rule':<14}{'parameters':>11}{'updates':>9}{'ms':>10}{'vs limit':>10}{'vs numpy':>10}")
    folded = FOLDED[:2] if arguments.smoke else FOLDED
    grid = [(size, number) for size in sizes for number in folded]
    figures = [shown(fold_figure(size, number, rate, repeats if size != "10M" else 3)) for size, number in grid]
    for size in sizes[:2]:
        for number in COMPARED[:1] if arguments.smoke else COMPARED:
            figures += [shown(figure) for figure in robust_figures(size, number, 3)]
    return figures


def shown(figure: Figure) -> Figure:
    """Print a line."""
    ratios = "".join(f"{'-' if ratio is None else f'{ratio:.2f}':>10}" for ratio in (figure.vs_limit, figure.vs_numpy))
    print(f"{figure.rule:<14}{figure.parameters:>11}{figure.updates:>9}{figure.ms:>10.2f}{ratios}", flush=True)
    return figure


def main() -> None:
    """Measure, print, and write down where it was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    figures = measured(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
