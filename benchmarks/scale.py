"""What would a federation of a million learners take, and of a hundred million?

What one controller costs is measured here; a tree of relays is computed from that (`scale_model`), and the model is held against
what does run here: federations over gRPC that it was not fitted to, the relays of `relays.py`, and virtual time, in which a flat
federation is simulated, and a tree of real relays and learners plays its protocol through.

    python benchmarks/scale.py --smoke      small checks in virtual time, and plans by the costs that were measured before
    python benchmarks/scale.py              measures, checks and plans; about ten minutes and 6 GB
    python benchmarks/scale.py --docs       writes the tables of docs/scale.md from the figures kept

Processor time is the controller's own. It changes less than seconds with who else uses the machine, but it does change.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from relays import Tiny
from relays import configuration as tree_configuration
from scale_model import CHUNK_BYTES, PARAMETER_BYTES, Costs, Federation, Plan, Point, fit, plan, slowest_s

from fedactors import Federation as Running
from fedactors import config as configuration
from fedactors.learner import LearnerClient
from fedactors.record import EventKind, RoundRecord
from fedactors.relay import Relay
from fedactors.simulation.clock import VirtualLoop
from fedactors.simulation.population import Population
from fedactors.simulation.simulate import simulate
from fedactors.transport.memory import MemoryTransport

HERE = Path(__file__).parent
KEPT = HERE / "results" / "scale.json"
PAGE = HERE.parent / "docs" / "scale.md"
PARAMETERS = {"1K": 1_000, "100K": 105_921, "1M": 1_011_001, "10M": 10_275_201}
FITTED = ((10, "100K"), (50, "100K"), (10, "1M"), (50, "1M"), (10, "10M"))
HELD_OUT = ((25, "1M"), (100, "100K"), (100, "1M"), (25, "10M"))
SIMULATED = ((1_000, 1.0), (10_000, 1.0), (100_000, 0.01), (1_000_000, 0.001))
DELAY_S = 0.1
"""Of a task or an update on its way, in simulations."""
TREES = ((10, 10), (10, 100))
"""Relays, and learners of each, in virtual time."""
PLANS = (
    Federation(1_000, 0.1, PARAMETERS["1M"]),
    Federation(10_000, 0.1, PARAMETERS["1M"]),
    Federation(1_000_000, 0.001, PARAMETERS["1M"]),
    Federation(1_000_000, 0.01, PARAMETERS["10M"]),
    Federation(100_000_000, 0.0001, PARAMETERS["1M"]),
    Federation(100_000_000, 0.001, PARAMETERS["10M"]),
)


@dataclass(frozen=True, slots=True)
class Check:
    """What the model says of something that was measured.

    Attributes:
        what: in words.
        unit: of both.
        predicted: by the model.
        measured: here.
    """

    what: str
    unit: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured by predicted."""
        return self.measured / self.predicted


# ------------------------------------------------------------------------------------------------------------------ what it costs


def run(script: str, *arguments: object) -> list[dict[str, Any]]:
    """Another benchmark's figures, by a process of its own."""
    with TemporaryDirectory(prefix="fedactors-scale-") as folder:
        figures = Path(folder) / "figures.json"
        command = [sys.executable, str(HERE / script), *map(str, arguments), "--json", str(figures)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(figures.read_text(encoding="utf-8"))


def rounds_of(learners: int, parameters: str, rounds: int) -> dict[str, Any]:
    """One point of `round.py`."""
    size = ("--learners", learners, "--parameters", parameters, "--rounds", rounds)
    (figures,) = run("round.py", *size, "--connections", "own")  # as from machines of their own
    say(f"{learners} x {parameters}: {figures['cpu_s_per_round']:.3f} s of processor time a round")
    return figures


def costs_of(fitted: Sequence[dict[str, Any]], crowd: dict[str, Any]) -> Costs:
    """Unit costs, from rounds of a few sizes and from a crowd that is merely there."""
    round_s, update_s, parameter_s = fit([point_of(one) for one in fitted])
    process_bytes, active_share, models = memory_of(fitted, crowd["kb_each"] * 1024)
    return Costs(
        round_s=round_s,
        update_s=update_s,
        parameter_s=parameter_s,
        join_s=crowd["join_cpu_ms"] / 1e3,
        heartbeat_s=crowd["idle_cpu_percent"] / 100 * crowd["heartbeat_s"] / crowd["learners"],
        process_bytes=process_bytes,
        connection_bytes=crowd["kb_each"] * 1024,
        active_share=active_share,
        models=models,
    )


def point_of(figures: dict[str, Any]) -> Point:
    """As the model takes it."""
    return Point(figures["learners"], PARAMETERS[figures["parameters"]], figures["cpu_s_per_round"])


def memory_of(fitted: Sequence[dict[str, Any]], connection_bytes: float) -> tuple[float, float, float]:
    """(process_bytes, active_share, models), by least squares of relative errors."""
    models = np.array([PARAMETER_BYTES * PARAMETERS[one["parameters"]] for one in fitted])
    learners = np.array([one["learners"] for one in fitted])
    rows = np.column_stack([np.ones(len(fitted)), learners * np.minimum(models, CHUNK_BYTES), models])
    peaks = np.array([one["peak_rss_mb"] * 2**20 for one in fitted]) - learners * connection_bytes
    process_bytes, active_share, held = np.linalg.lstsq(rows / peaks[:, None], np.ones(len(fitted)))[0].tolist()
    return process_bytes, max(active_share, 0.0), held


# ------------------------------------------------------------------------------------------------------------- what is held to it


def checks_over_grpc(costs: Costs, held_out: Iterable[dict[str, Any]]) -> list[Check]:
    """Federations that nothing was fitted to."""
    checks = []
    for one in held_out:
        what, point = f"{one['learners']} learners x {one['parameters']}, gRPC", point_of(one)
        checks += [
            Check(f"{what}: processor time a round", "s", costs.cpu_s(point.learners, point.parameters), point.cpu_s),
            Check(
                f"{what}: peak memory",
                "MiB",
                costs.held_bytes(point.learners, point.learners, point.parameters) / 2**20,
                one["peak_rss_mb"],
            ),
        ]
    return checks


def checks_of_relays(costs: Costs, learners: int, relays: int) -> list[Check]:
    """The tree of `relays.py`, over gRPC."""
    flat, tree = run("relays.py", "--learners", learners, "--relays", relays, "--parameters", 100_000)
    heartbeat_s, checks = tree_configuration(1, 1)["liveness"]["heartbeat_s"], []
    for name, children, one in (("flat", learners, flat), (f"{relays} relays", relays, tree)):
        what = f"{learners:,} learners x 100K, {name}, gRPC"
        megabytes = children * 2 * PARAMETER_BYTES * 100_000 / 1e6
        predicted_s = costs.cpu_s(children, 100_000) + children * costs.heartbeat_s * one["round_s"] / heartbeat_s
        checks += [
            Check(f"{what}: processor time of the controller a round", "s", predicted_s, one["cpu_s"]),
            Check(f"{what}: weights through the controller a round", "MB", megabytes, one["mb_up"] + one["mb_down"]),
        ]
        say(f"{what}: {one['cpu_s']:.2f} s")
    return checks


def checks_of_simulation(sizes: Iterable[tuple[int, float]]) -> list[Check]:
    """The controller's side itself, with virtual learners: when a round is over, and how many messages and bytes that takes."""
    checks, messages = [], 0.0
    for learners, share in sizes:
        cohort = round(share * learners)
        done = simulate(config := simulated(learners, cohort, rounds := 3), Population.of(config))
        predicted_s = rounds * (slowest_s(cohort, config.simulation.epoch_s, config.simulation.spread) + 2 * DELAY_S)
        what = f"{learners:,} learners, {cohort:,} of them a round, simulated"
        checks.append(Check(f"{what}: {rounds} rounds", "s", predicted_s, done.virtual_s))
        a_learner = (done.costs.messages - 2 * learners) / (rounds * cohort)
        checks.append(Check(f"{what}: messages for each update", "", messages := messages or a_learner, a_learner))
        say(f"{what}: {done.costs.cpu_s:.1f} s of processor time, {done.costs.peak_bytes / 2**20:,.0f} MiB")
    return checks


def simulated(learners: int, cohort: int, rounds: int) -> configuration.Config:
    """A federation for virtual time, without evaluations."""
    return configuration.from_mapping(
        {
            "name": "scale",
            "seed": 1,
            "learners": {"count": learners},
            "selection": {"policy": "uniform", "options": {"count": cohort}},
            "evaluate": {"every": 0},
            "stop": {"rounds": rounds},
            "limits": {"learners_max": learners, "detail_learners_max": 1},
            "simulation": {"epoch_s": 10.0, "spread": 0.25, "delay_s": DELAY_S},
        }
    )


class TreeLoop(VirtualLoop):
    """Virtual time in which what would go to another thread is done at once."""

    def run_in_executor(self, executor: Executor | None, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Done when it is returned."""
        done = self.create_future()
        done.set_result(func(*args))
        return done


def checks_of_trees(trees: Iterable[tuple[int, int]]) -> list[Check]:
    """Relays and learners as in earnest, over transports in memory, in virtual time."""
    checks, rounds = [], 3
    for relays, each in trees:
        began_s = time.process_time()
        with asyncio.Runner(loop_factory=TreeLoop) as runner:
            durations, updates, slowest = runner.run(virtual_tree(relays, each, rounds))
        what = f"{relays} relays of {each} learners, virtual time"
        predicted_s = slowest_s(relays * each, 10.0, 0.25)
        checks += [
            Check(f"{what}: a round", "s", predicted_s, float(np.mean(durations))),
            Check(f"{what}: a round by its slowest learner", "s", slowest, float(np.mean(durations))),
            Check(f"{what}: updates at the controller", "", relays, updates / rounds),
        ]
        say(f"{what}: {time.process_time() - began_s:.1f} s of processor time")
    return checks


async def virtual_tree(relays: int, each: int, rounds: int) -> tuple[list[float], int, float]:
    """(seconds of each round, updates that came to the controller, time of the slowest learner)."""
    times = 10.0 * np.exp(0.25 * np.random.default_rng(1).standard_normal((relays, each)))
    async with AsyncExitStack() as exits:
        root = await exits.enter_async_context(Running(patient(relays, rounds), addresses=["memory://root"]))
        to_root = MemoryTransport().connect(root.addresses[0])
        for index in range(relays):
            relay = await exits.enter_async_context(Relay(patient(each, 1), addresses=[f"memory://relay-{index}"]))
            to_relay = MemoryTransport().connect(relay.addresses[0])
            for place, train_s in enumerate(times[index].tolist()):
                client = LearnerClient(Tiny(100), f"learner-{index}-{place}", to_relay, work=lasting(train_s))
                exits.push_async_callback(ended, asyncio.create_task(client.run()))
            exits.push_async_callback(ended, asyncio.create_task(relay.serve(to_root, f"relay-{index}")))
        await root.admin.order("start")
        records = [
            RoundRecord.from_map(event.body["record"]) async for event in root.events() if event.kind is EventKind.ROUND_ENDED
        ]
    return [one.duration_s for one in records], sum(one.totals.accepted for one in records), float(times.max())


def patient(children: int, rounds: int) -> dict[str, Any]:
    """As `relays.py` has it, without evaluations."""
    return {**tree_configuration(children, rounds), "evaluate": {"every": 0}}


def lasting(train_s: float) -> Any:
    """Runs a learner's code, and takes its time."""

    async def work(job: Any) -> Any:
        await asyncio.sleep(train_s)
        return job()

    return work


async def ended(task: asyncio.Task[None]) -> None:
    """Told that the federation is over, it ends."""
    await task


# ------------------------------------------------------------------------------------------------------------------------- tables


def say(line: str) -> None:
    """Progress, for whoever waits."""
    print(line, file=sys.stderr, flush=True)


def costs_table(costs: Costs) -> list[str]:
    """What one process pays, as Markdown."""
    rows = (
        ("a round", f"{1e3 * costs.round_s:.1f} ms of processor time"),
        ("a learner that takes part in it", f"{1e3 * costs.update_s:.2f} ms"),
        ("a million parameters of that learner's model", f"{1e9 * costs.parameter_s:.1f} ms"),
        ("a learner that joins", f"{1e3 * costs.join_s:.2f} ms"),
        ("a heartbeat each way", f"{1e3 * costs.heartbeat_s:.2f} ms"),
        ("a process", f"{costs.process_bytes / 2**20:.0f} MiB of memory"),
        ("a learner that is there", f"{costs.connection_bytes / 2**10:.0f} KiB"),
        ("a learner that takes part, besides", f"{costs.active_share:.2f} chunks of 1 MiB, or smaller models"),
        ("whatever the number of learners", f"{costs.models:.1f} models"),
    )
    return markdown(("of", "the leading process pays"), rows)


def checks_table(checks: Iterable[Check]) -> list[str]:
    """The model and what was measured, as Markdown."""
    rows = [
        (one.what, f"{one.predicted:,.3g} {one.unit}", f"{one.measured:,.3g} {one.unit}", f"{one.ratio:.2f}") for one in checks
    ]
    return markdown(("", "model", "measured", "measured / model"), rows)


def plans_table(costs: Costs) -> list[str]:
    """Federations of all sizes, as Markdown."""
    head = (
        "learners", "a round", "parameters", "nodes, from the controller down", "controller: cpu s, GB sent, GiB held",
        "a leaf relay: cpu s, GB sent, GiB held", "round s, of it training", "machines",
    )  # fmt: skip
    return markdown(head, [plan_row(federation, plan(federation, costs)) for federation in PLANS])


def plan_row(federation: Federation, planned: Plan) -> tuple[str, ...]:
    """One federation."""
    return (
        f"{federation.learners:,}",
        f"{federation.cohort:,}",
        f"{federation.parameters / 1e6:.0f}M",
        " > ".join(f"{level.nodes:,}" for level in planned.levels),
        *(
            f"{level.cpu_s:.2f}, {level.sent_bytes / 1e9:.2f}, {level.held_bytes / 2**30:.2f}"
            for level in (planned.root, planned.levels[-1])
        ),
        f"{planned.round_s:.0f}, {planned.training_s:.0f}",
        f"{planned.machines:,}",
    )


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def tables(kept: dict[str, Any]) -> dict[str, list[str]]:
    """What docs/scale.md has, by the names of its places."""
    costs = Costs(**kept["costs"])
    taken = f"Taken {kept['date']} on {kept['machine']}."
    return {
        "costs": [taken, "", *costs_table(costs)],
        "checks": checks_table(Check(**one) for one in kept["checks"]),
        "plans": plans_table(costs),
    }


def with_tables(page: str, found: dict[str, list[str]]) -> str:
    """The page with these tables between its marks."""
    for name, lines in found.items():
        opening, closing = f"<!-- {name}: written by benchmarks/scale.py -->", f"<!-- {name}: end -->"
        before, rest = page.split(opening)
        _, after = rest.split(closing)
        page = "\n".join([before + opening, "", *lines, "", closing + after])
    return page


# ------------------------------------------------------------------------------------------------------------------------- main


def measured() -> dict[str, Any]:
    """Costs, and what the model they make is held against."""
    rounds_of(10, "10M", 3)  # compiles kernels, which are then on the disk: eight seconds of the machine's first large round
    fitted = [rounds_of(learners, parameters, 15) for learners, parameters in FITTED]
    (crowd,) = run("connections.py", "--learners", 1_000)
    costs = costs_of(fitted, crowd)
    checks = checks_over_grpc(costs, [rounds_of(learners, parameters, 15) for learners, parameters in HELD_OUT])
    checks += checks_of_relays(costs, 1_000, 10) + checks_of_trees(TREES) + checks_of_simulation(SIMULATED)
    return kept_as(costs, checks)


def kept_as(costs: Costs, checks: Iterable[Check]) -> dict[str, Any]:
    """What is written down."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {sys.platform}, Python {sys.version.split()[0]}",
        "costs": asdict(costs),
        "checks": [asdict(one) for one in checks],
    }


def main() -> None:
    """Measure, or write down what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="nothing is measured but small checks, in a few seconds")
    parser.add_argument("--docs", action="store_true", help="write the tables of docs/scale.md from the figures kept")
    arguments = parser.parse_args()
    if arguments.docs:
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), tables(kept)), encoding="utf-8")
        return
    if arguments.smoke:
        costs = Costs(**json.loads(KEPT.read_text(encoding="utf-8"))["costs"])
        found = kept_as(costs, checks_of_trees([(2, 3)]) + checks_of_simulation([(100, 1.0)]))
    else:
        found = measured()
        KEPT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, lines in tables(found).items():
        print(f"{name}:", *lines, "", sep="\n")


if __name__ == "__main__":
    main()
