"""Flower, NVFlare and ourselves on the same work, on one machine, in one sitting; Linux only.

At each point of the grid all systems take their turns, each in processes and in a network of its own, and the time that a round
takes is compared to ours of that sitting. The peers are installed, with pinned versions, in environments outside this checkout.
What has been measured is written at once, and a comparison that is started again goes on where it was.

    python benchmarks/peers/compare.py --smoke       ourselves alone, a tiny point, a few seconds, nothing kept
    python benchmarks/peers/compare.py --grid 10x100K 10x1M 50x1M --venvs ~/peers
    python benchmarks/peers/compare.py --systems fedactors_grpc flower_grpc --grid 200x1M --limit-s 1800
    python benchmarks/peers/compare.py --grid 10x1M --again      runs that came to no figure once more
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bounded import Ended, adopt_orphans, run
from report import plot, report, write_into
from runner import Point
from sitting import Cell, Outcome, Sitting
from systems import HERE, OURS, SYSTEMS, python_of

RESULTS = HERE.parent / "results"
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
PROXIES = {"http_proxy", "https_proxy", "all_proxy"}  # gRPC would ask them for loopback, too


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured, and within which bounds."""

    cells: list[Cell]
    systems: list[str]
    rounds: int
    repeats: int
    limit_s: float
    private_network: bool = True

    def runs(self) -> list[tuple[int, Cell, str]]:
        """Repeat, point, system: systems alternate, so that what else the machine does meets all of them."""
        return [(repeat, cell, name) for repeat in range(self.repeats) for cell in self.cells for name in self.systems]


def measure(plan: Plan, cell: Cell, name: str, python: Path, log: Path) -> tuple[Point | None, str | None]:
    """One run of one system: its figures, or why there are none."""
    learners, rounds = SYSTEMS[name].asked(cell.learners, plan.rounds)
    command = [python, HERE / f"{name}.py", "--learners", learners, "--parameters", cell.parameters, "--rounds", rounds]
    if plan.private_network:
        command = [python, HERE / "network.py", *command]
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:  # a run that is stopped leaves its files there
        return point_of(run(command, plan.limit_s, log, environment(folder)))


def environment(folder: str) -> dict[str, str]:
    """This process's environment, without proxies, with the peers' telemetry off and a folder for temporary files."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in PROXIES}
    return kept | QUIET | {"TMPDIR": folder}


def point_of(ended: Ended) -> tuple[Point | None, str | None]:
    """The figures that a runner printed; a line that is none is trouble."""
    if ended.trouble is not None:
        return None, ended.trouble
    return Point(**json.loads(ended.output)), None


def carry_out(plan: Plan, sitting: Sitting, results: Path, venvs: Path) -> None:
    """All runs of a plan that the sitting does not have yet."""
    pythons = {name: python_of(SYSTEMS[name], venvs) for name in plan.systems}
    for repeat, cell, name in plan.runs():
        if sitting.has(name, cell, repeat, plan.rounds):
            continue
        log = venvs / f"{name}-{cell}.log"
        point, trouble = measure(plan, cell, name, pythons[name], log)
        sitting.outcomes.append(Outcome(name, cell, repeat, plan.rounds, point, trouble))
        sitting.save(results)
        says = f"{point.round_s:.3f} s a round" if point else f"{trouble}; its log is {log}"
        print(f"{cell!s:>8} {name:<18} {says}", flush=True)


def show(sitting: Sitting, folder: Path, readme: Path | None) -> None:
    """Print the tables, draw the plot, and fill in the README where one is named."""
    text = report(sitting)
    print(f"\n{text}")
    plot(sitting, folder / "peers.png")
    if readme is not None:
        write_into(readme, text)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="check this script: ourselves alone, a tiny point, nothing kept")
    parser.add_argument("--grid", type=Cell.parse, nargs="+", default=[Cell(10, "100K"), Cell(10, "1M")], metavar="NxP")
    parser.add_argument("--systems", choices=SYSTEMS, nargs="+", default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=10, help="the first one is not counted")
    parser.add_argument("--repeats", type=int, default=1, help="whole grids, whose medians are shown")
    parser.add_argument("--limit-s", type=float, default=900.0, help="a run that takes longer is stopped and has no figure")
    parser.add_argument("--again", action="store_true", help="measure runs that came to no figure once more")
    parser.add_argument("--venvs", type=Path, help="keep the peers' environments and the logs there; else they are temporary")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results.json and peers.png")
    parser.add_argument("--readme", type=Path, help="write the tables between the marks of this file, too")
    return parser.parse_args()


def main() -> None:
    """Measure the grid that the arguments ask for."""
    arguments = parse()
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what runs just now is ended, as with Ctrl-C
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        folder = temporary if arguments.smoke else arguments.results
        venvs = (arguments.venvs or temporary).resolve()
        plan = Plan(arguments.grid, arguments.systems, arguments.rounds, arguments.repeats, arguments.limit_s)
        if arguments.smoke:
            plan = Plan([Cell(2, "100K")], [OURS], rounds=3, repeats=1, limit_s=60.0, private_network=False)
        sitting = Sitting.load(folder / "results.json")
        if arguments.again:
            sitting.forget_troubles()
        venvs.mkdir(parents=True, exist_ok=True)
        carry_out(plan, sitting, folder / "results.json", venvs)
        show(sitting, folder, arguments.readme)
        if arguments.smoke and any(outcome.point is None for outcome in sitting.outcomes):
            raise SystemExit("the smoke run came to no figure: see above")


if __name__ == "__main__":
    main()
