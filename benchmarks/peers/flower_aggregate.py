"""Flower's weighted average of updates that are in memory, as a line of JSON: best milliseconds of each of its two ways.

    PYTHON_WITH_FLWR flower_aggregate.py --shape layers --size 1M --updates 10

aggregate            on lists of arrays, as strategies with `inplace=False` call it.
aggregate_inplace    on what arrives, each tensor as the bytes of `numpy.save`: what FedAvg calls by default.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # flwr reads it when it is imported

from aggregation_arrays import SHAPES, SIZES, num_examples, update
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
from flwr.server.strategy.aggregate import aggregate, aggregate_inplace


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """The best of some repeats, after one that warms the memory."""
    times = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


def main() -> None:
    """Measure one point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    arrays = [(update(arguments.shape, arguments.size, index), num_examples(index)) for index in range(arguments.updates)]
    aggregated_ms = best_ms(partial(aggregate, arrays), arguments.repeats)
    arrived = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(one), examples, {})) for one, examples in arrays]
    del arrays
    in_place_ms = best_ms(partial(aggregate_inplace, arrived), arguments.repeats)
    print(json.dumps({"aggregate_ms": aggregated_ms, "aggregate_inplace_ms": in_place_ms}))


if __name__ == "__main__":
    main()
