"""How long does a round take that has nothing to learn?

The stress test of MetisFL (arXiv:2311.00334): learners that give back what they got plus a little, a model of 204 tensors
(8 to w, 100 layers of w by w, w to 1, with biases), FedAvg, synchronous, full participation. A round is: tasks and weights out
to all, "training", updates back, combine, evaluation on all. The controller runs in this process, the learners in two others,
over gRPC unless `--transport` says otherwise; all tuned as the command line tunes its processes.

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

import uvloop

from fedactors import Federation
from fedactors.record import RoundRecord
from fedactors.runtime.garbage import collect_seldom
from fedactors.runtime.switching import take_short_turns
from fedactors.transport.malloc import keep_freed_memory

sys.path.append(str(Path(__file__).parent / "peers"))
from workload import WIDTHS, shares, stress_model

LEARNERS = Path(__file__).with_name("round_learners.py")
RAW_CHUNK_BYTES = 1 << 20


async def start_learners(address: str, learners: int, parameters: str, connections: str) -> list[asyncio.subprocess.Process]:
    """The learners, spread over several processes."""
    processes = []
    for share in shares(learners):
        arguments = [str(LEARNERS), address, "--first", str(share.start), "--count", str(len(share)), "--parameters", parameters]
        shared = ["--shared"] if connections == "shared" else []
        processes.append(await asyncio.create_subprocess_exec(sys.executable, *arguments, *shared))
    return processes


# ---------------------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True, slots=True)
class Figures:
    """One point of the grid; medians over the steady rounds (all but the first). A round ends with its last evaluation."""

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


async def measure(learners: int, parameters: str, rounds: int, connections: str = "shared", scheme: str = "grpc") -> Figures:
    """One point of the grid."""
    model_bytes = sum(tensor.nbytes for tensor in stress_model(parameters).values())
    raw_before_s = raw_transfer_s(2 * learners * model_bytes)
    config = {"name": "stress", "learners": {"count": learners}, "stop": {"rounds": rounds}}
    began_s = time.perf_counter()
    ends: list[float] = []
    records: list[RoundRecord] = []
    async with Federation(config, addresses=[f"{scheme}://127.0.0.1:0"]) as federation:
        processes = await start_learners(str(federation.addresses[0]), learners, parameters, connections)
        await federation.admin.order("start")
        async for event in federation.events():
            if event.kind == "round_ended":
                ends.append(time.perf_counter())
                records.append(RoundRecord.from_map(event.body["record"]))
                if len(ends) == 1:
                    cpu_first_s = cpu_s()
        cpu_last_s = cpu_s()
        for process in processes:
            await process.wait()
    steady = records[1:]
    round_s = statistics.median(later - earlier for earlier, later in pairwise(ends))
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
        first_round_s=ends[0] - began_s,
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
    parser.add_argument("--transport", choices=("grpc", "tcp"), default="grpc")
    arguments = parser.parse_args()
    keep_freed_memory()
    collect_seldom()
    take_short_turns()
    uvloop.install()
    grid = [("100K", 10)] if arguments.smoke else [(p, n) for p in arguments.parameters for n in arguments.learners]
    rounds = 5 if arguments.smoke else arguments.rounds
    print(f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}, {rounds} rounds")
    print(" " * 13 + "".join(f"   {title}" for title in COLUMNS.values()))
    measured = []
    for parameters, learners in grid:
        measured.append(asyncio.run(measure(learners, parameters, rounds, arguments.connections, arguments.transport)))
        show(measured[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figures) for figures in measured], indent=2) + "\n")


if __name__ == "__main__":
    main()
