"""How long does a round take that has nothing to learn?

The stress test of MetisFL (arXiv:2311.00334): learners that give back what they got plus a little, a model of 204 tensors
(8 to w, 100 layers of w by w, w to 1, with biases), FedAvg, synchronous, full participation. A round is: tasks and weights out
to all, "training", updates back, combine, evaluation on all. The controller runs in this process, the learners in two others,
over gRPC and TCP; all tuned as the command line tunes its processes.

The baseline, measured before and after in the same run, is a blocking socket that moves the same bytes over loopback: each
learner's model down and up once. `vs raw` is how much of a round such a transfer alone would take.

    python benchmarks/round.py --smoke           a few seconds
    python benchmarks/round.py                   10 learners x 100K and 1M parameters
    python benchmarks/round.py --learners 50 --parameters 100K 1M --rounds 10 --json results.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import uvloop

from fedactors import Federation, Learner
from fedactors.learner import LearnerClient
from fedactors.learner.worker import Worker
from fedactors.record import RoundRecord
from fedactors.runtime.garbage import collect_seldom
from fedactors.transport import Address
from fedactors.transport.grpc import GrpcTransport
from fedactors.transport.malloc import keep_freed_memory

WIDTHS = {"100K": 32, "1M": 100, "10M": 320}
HIDDEN_LAYERS = 100
WORKERS = 2
RAW_CHUNK_BYTES = 1 << 20


def stress_model(width: int) -> dict[str, np.ndarray]:
    """float32 weights and biases of an MLP with 102 layers."""
    sizes = [8, *[width] * (HIDDEN_LAYERS + 1), 1]
    weights = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weights[f"{index}.weight"] = np.full((fan_out, fan_in), 0.01, np.float32)
        weights[f"{index}.bias"] = np.zeros(fan_out, np.float32)
    return weights


class Idle(Learner):
    """Gives back what it gets, plus a little."""

    num_train_examples = 100

    def __init__(self, width: int) -> None:
        self.width = width

    def get_weights(self):
        return stress_model(self.width)

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: tensor + np.float32(1e-3) for name, tensor in weights.items()}, {"num_batches": 1}

    def evaluate(self, weights, params):
        return {"loss": 1.0, "num_examples": 100}


# ------------------------------------------------------------------------------------------------------------ learner processes


async def serve_learners(address: str, first: int, count: int, width: int, *, shared: bool) -> None:
    """Some learners in this process; they train by turns, so that 200 large models fit into its memory."""
    transport, worker = GrpcTransport(), Worker("learners")
    channels = [transport.connect(Address.parse(address)) for _ in range(1 if shared else count)]
    clients = [
        LearnerClient(Idle(width), f"learner-{first + place}", channels[place % len(channels)], work=worker)
        for place in range(count)
    ]
    await asyncio.gather(*(client.run() for client in clients))
    worker.stop()
    await asyncio.gather(*(channel.close() for channel in channels))


async def start_workers(address: str, learners: int, width: int, connections: str) -> list[asyncio.subprocess.Process]:
    """The learners, spread over WORKERS processes."""
    workers, first = [], 0
    for place in range(WORKERS):
        count = learners // WORKERS + (place < learners % WORKERS)
        arguments = [__file__, "--serve", address, str(first), str(count), str(width), connections]
        workers.append(await asyncio.create_subprocess_exec(sys.executable, *arguments))
        first += count
    return workers


# ---------------------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Figures:
    """One point of the grid; medians over the steady rounds (all but the first)."""

    learners: int
    parameters: str
    round_s: float
    dispatch_s: float
    train_s: float
    combine_s: float
    evaluate_s: float
    raw_s: float
    vs_raw: float
    mbytes_per_learner: float
    first_round_s: float
    cpu_s_per_round: float
    peak_rss_mb: float


def raw_transfer_s(total_bytes: int) -> float:
    """Seconds to move so many bytes through one blocking TCP connection over loopback, after a warm-up."""
    server = socket.create_server(("127.0.0.1", 0))
    sent, received = bytearray(RAW_CHUNK_BYTES), bytearray(RAW_CHUNK_BYTES)

    def receive() -> None:
        connection, _ = server.accept()
        with connection:
            while connection.recv_into(received):
                pass

    thread = threading.Thread(target=receive)
    thread.start()
    with socket.create_connection(server.getsockname()) as connection:
        for _ in range(32):
            connection.sendall(sent)
        start = time.perf_counter()
        for offset in range(0, total_bytes, RAW_CHUNK_BYTES):
            connection.sendall(memoryview(sent)[: total_bytes - offset])
    thread.join()
    elapsed_s = time.perf_counter() - start
    server.close()
    return elapsed_s


def cpu_s() -> float:
    """Processor time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(learners: int, parameters: str, rounds: int, connections: str = "shared") -> Figures:
    """One point of the grid."""
    width = WIDTHS[parameters]
    model_bytes = sum(tensor.nbytes for tensor in stress_model(width).values())
    raw_before_s = raw_transfer_s(2 * learners * model_bytes)
    config = {"name": "stress", "learners": {"count": learners}, "stop": {"rounds": rounds}}
    began_s = time.perf_counter()
    commits: list[float] = []
    records: list[RoundRecord] = []
    async with Federation(config, addresses=["grpc://127.0.0.1:0"]) as federation:
        workers = await start_workers(str(federation.addresses[0]), learners, width, connections)
        await federation.admin.order("start")
        async for event in federation.events():
            if event.kind == "round_committed":
                commits.append(time.perf_counter())
                if len(commits) == 1:
                    cpu_first_s = cpu_s()
            elif event.kind == "round_ended":
                records.append(RoundRecord.from_map(event.body["record"]))
        cpu_last_s = cpu_s()
        ended_s = time.perf_counter()
        for worker in workers:
            await worker.wait()
    steady = records[1:]
    round_s = (ended_s - commits[0]) / (rounds - 1)
    raw_s = statistics.median([raw_before_s, raw_transfer_s(2 * learners * model_bytes)])
    phases = {name: statistics.median(getattr(r.phases, name) for r in steady) for name in asdict(steady[0].phases)}
    moved = statistics.median(part.bytes_up + part.bytes_down for record in steady for part in record.learners.values())
    return Figures(
        learners=learners,
        parameters=parameters,
        round_s=round_s,
        **phases,
        raw_s=raw_s,
        vs_raw=raw_s / round_s,
        mbytes_per_learner=moved / 1e6,
        first_round_s=commits[0] - began_s,
        cpu_s_per_round=(cpu_last_s - cpu_first_s) / (rounds - 1),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


COLUMNS = {
    "round_s": "round s", "dispatch_s": "dispatch", "train_s": "train+up", "combine_s": "combine", "evaluate_s": "evaluate",
    "raw_s": "raw s", "vs_raw": "vs raw", "mbytes_per_learner": "MB/learner", "first_round_s": "first round s",
    "cpu_s_per_round": "cpu s", "peak_rss_mb": "peak MB",
}  # fmt: skip


def show(figures: Figures) -> None:
    """One line of the table."""
    values = "".join(f"{getattr(figures, name):>{len(title) + 3}.3f}" for name, title in COLUMNS.items())
    print(f"{figures.learners:>5} x {figures.parameters:<5}{values}", flush=True)


def main() -> None:
    """Measure the grid that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--smoke", action="store_true", help="one small point, a few seconds")
    parser.add_argument("--learners", type=int, nargs="+", default=[10])
    parser.add_argument("--parameters", choices=WIDTHS, nargs="+", default=["100K", "1M"])
    parser.add_argument("--rounds", type=int, default=20, help="the first one is not counted")
    parser.add_argument(
        "--connections", choices=("shared", "own"), default="shared", help="one for each process, or each learner"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    keep_freed_memory()
    collect_seldom()
    uvloop.install()
    if arguments.serve:
        address, first, count, width, connections = arguments.serve
        asyncio.run(serve_learners(address, int(first), int(count), int(width), shared=connections == "shared"))
        return
    grid = [("100K", 10)] if arguments.smoke else [(p, n) for p in arguments.parameters for n in arguments.learners]
    rounds = 5 if arguments.smoke else arguments.rounds
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}, {rounds} rounds")
    print(" " * 13 + "".join(f"   {title}" for title in COLUMNS.values()))
    measured = []
    for parameters, learners in grid:
        measured.append(asyncio.run(measure(learners, parameters, rounds, arguments.connections)))
        show(measured[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figures) for figures in measured], indent=2) + "\n")


if __name__ == "__main__":
    main()
