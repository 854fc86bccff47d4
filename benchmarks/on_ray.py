"""A thousand virtual learners that really train, on Ray: seconds per round, and the memory of the hosts; Linux only.

Each has its own share of Fashion-MNIST (Debian's dataset-fashion-mnist), whose files a host reads once, and trains softmax
regression in numpy for one epoch; a tenth of the share is kept for evaluation. With --smoke, a few learners and made-up images.

    python benchmarks/on_ray.py --smoke
    python benchmarks/on_ray.py --learners 1000 --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import psutil

from fedactors import Federation
from fedactors.ray.code import travelling_entry
from fedactors.record import RoundRecord

FOLDER = Path("/usr/share/datasets/fashion-mnist")
BATCH = 20
CLASSES = 10


@lru_cache(maxsize=1)
def images(smoke: bool) -> tuple[np.ndarray, np.ndarray]:
    """float32[images, 785], the last a one for the bias, and uint8[images]."""
    if smoke:
        rng = np.random.default_rng(0)
        labels = rng.integers(CLASSES, size=600).astype(np.uint8)
        pixels = rng.random((600, 784), np.float32) / 4 + (np.arange(784) % CLASSES == labels[:, None])
    else:
        labels = np.frombuffer(gzip.decompress((FOLDER / "train-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
        read = gzip.decompress((FOLDER / "train-images-idx3-ubyte.gz").read_bytes())
        pixels = np.frombuffer(read, np.uint8, offset=16).reshape(-1, 784) / np.float32(255)
    return np.concatenate([pixels, np.ones((len(pixels), 1), np.float32)], axis=1, dtype=np.float32), labels


class Softmax:
    """Softmax regression on this learner's share of the images; the last tenth of it is for evaluation."""

    def __init__(self, context) -> None:
        pixels, labels = images(context.options["smoke"])
        share = slice(context.index, None, context.count)
        self.pixels, self.labels = pixels[share], labels[share]
        self.num_test_examples = max(1, len(self.labels) // 10)
        self.num_train_examples = len(self.labels) - self.num_test_examples

    def get_weights(self):
        return {"weight": np.zeros((785, CLASSES), np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        weight = weights["weight"].copy()
        order = np.random.default_rng(params.seed).permutation(self.num_train_examples)
        for batch in np.array_split(order, max(1, len(order) // BATCH)):
            scores = self.pixels[batch] @ weight
            scores -= scores.max(axis=1, keepdims=True)
            share = np.exp(scores)
            share /= share.sum(axis=1, keepdims=True)
            share[np.arange(len(batch)), self.labels[batch]] -= 1
            weight -= np.float32(params.learning_rate / len(batch)) * (self.pixels[batch].T @ share)
        return {"weight": weight}, {}

    def evaluate(self, weights, params):
        held = slice(self.num_train_examples, None)
        right = (self.pixels[held] @ weights["weight"]).argmax(axis=1) == self.labels[held]
        return {"accuracy": float(right.mean())}


def hosts_mb() -> list[float]:
    """Resident memory of each host, MiB, shared pages included."""
    children = psutil.Process().children(recursive=True)
    return [child.memory_info().rss / 2**20 for child in children if child.name().startswith("ray::Host")]


async def measure(learners: int, rounds: int, smoke: bool) -> list[RoundRecord]:
    """Run them; a line for each round."""
    config = {
        "name": "thousand",
        "seed": 1,
        "base_dir": str(Path(__file__).parent),
        "learners": {"entry": "on_ray.py:Softmax", "count": learners, "join_timeout_s": 600.0, "options": {"smoke": smoke}},
        "train": {"learning_rate": 0.1},
        "stop": {"rounds": rounds},
        "limits": {"detail_learners_max": 10},
        "runtime": {"engine": "ray"},
    }
    records, began = [], time.perf_counter()
    async with Federation(config) as federation:
        entry = travelling_entry(federation.config)
        for _ in range(learners):
            federation.add_learner(entry)
        await federation.admin.order("start")
        async for event in federation.events():
            if event.kind == "initialised":
                print(
                    f"{learners} learners are there after {time.perf_counter() - began:.1f} s, Ray's start included", flush=True
                )
            if event.kind == "round_ended":
                records.append(RoundRecord.from_map(event.body["record"]))
                show(records[-1])
        memory = ", ".join(f"{size:.0f}" for size in hosts_mb())
    print(f"hosts: {memory} MiB; this process: at most {peak_mb():.0f} MiB")
    return records


def show(record: RoundRecord) -> None:
    """One line of the table."""
    part = record.phases
    phases = f"train {part.train_s:.2f}, combine {part.combine_s:.3f}, evaluate {part.evaluate_s:.2f}"
    accuracy = record.metrics.get("accuracy", float("nan"))
    print(f"round {record.round}: {record.duration_s:.2f} s until its commit ({phases}), accuracy {accuracy:.3f}", flush=True)


def peak_mb() -> float:
    """This process's highest resident memory, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--smoke", action="store_true", help="a few learners, a few seconds")
    parser.add_argument("--learners", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    learners, rounds = (6, 2) if arguments.smoke else (arguments.learners, arguments.rounds)
    records = asyncio.run(measure(learners, rounds, arguments.smoke))
    if len(records) != rounds or any(record.totals.accepted != learners for record in records):
        sys.exit("a round ended without all learners")


if __name__ == "__main__":
    main()
