"""A federation whose processes are killed at random instants, again and again, and that must not lose or gain a bit by it.

    python -m tests.e2e.chaos --trials 100 --seed 1               the controller is killed
    python -m tests.e2e.chaos --trials 30 --victims controller learner redis
    python -m tests.e2e.chaos --trials 30 --rule fedadam          a rule that keeps something from round to round

Each trial runs 10 rounds of 3 learners, and kills one process or two with SIGKILL on the way, at instants drawn from a seed, and
starts each again. The final weights must be those of a run that nobody disturbed, to the bit. Learners have a spool: by the token
in it the controller knows a learner's next process, and gives it the open task again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from fedactors import config as configuration
from fedactors.driver.driver import Driver
from fedactors.driver.run_directory import RunDirectory
from fedactors.protocol import AdminClient
from fedactors.record import Event, Results

ROUNDS = 10
LEARNERS = 3
TRIAL_TIMEOUT_S = 120.0
START_TIMEOUT_S = 60.0
"""For a controller to be there, on a busy machine."""
VICTIMS = ("controller", "learner", "redis")
RULES = ("fedavg", "fedadam", "fedrec", "scaffold")

LEARNER = """
    import time
    import numpy as np

    class Wandering:
        '''Goes a way that depends on its weights, its task's seed and itself, and takes its time.'''

        num_train_examples = 10

        def __init__(self, context):
            self.index = context.index

        def get_weights(self):
            return {"w": np.arange(20_000, dtype=np.float32).reshape(200, 100) / 20_000, "n": np.zeros(3, np.int64)}

        def set_weights(self, weights):
            pass

        def train(self, weights, params):
            rng = np.random.default_rng([params.seed, self.index])
            time.sleep(rng.uniform(0.005, 0.03))
            step = np.float32(0.1) * (np.sin(weights["w"] * (2 + self.index)) + rng.standard_normal((200, 100), np.float32))
            report = {"num_examples": 10 + self.index, "num_batches": 2}
            return {"w": weights["w"] + step, "n": weights["n"] + 1 + self.index}, report

        def evaluate(self, weights, params):
            time.sleep(0.005)
            return {"num_examples": 5, "mean": float(weights["w"].mean())}
"""

CONFIG = f"""
    name = "chaos"
    seed = 7

    [learners]
    entry = "learner.py:Wandering"
    count = {LEARNERS}

    [stop]
    rounds = {ROUNDS}

    [train]
    learning_rate = 0.1

    [liveness]
    lost_after_s = 30
"""


class Failure(Exception):
    """A trial did not end as the undisturbed run."""


@dataclass(slots=True)
class Child:
    """A process that is started, killed and started again.

    Attributes:
        name: what it is.
        begin: the command that starts it the first time.
        again: the command that starts it after it was killed.
    """

    name: str
    begin: Sequence[str]
    again: Sequence[str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = self.begin if self.process is None else self.again
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, start_new_session=True)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and asyncio has yet to say so
                os.kill(self.process.pid, signal.SIGKILL)
            await self.process.wait()


@dataclass(slots=True)
class Watch:
    """What the driver hears.

    Attributes:
        began: training has begun.
        lives: controllers that went on with the run.
        finished: the run is over; what is left is to save it, and the driver needs the controller for that.
    """

    began: asyncio.Event = field(default_factory=asyncio.Event)
    began_s: float = 0.0
    lives: int = 0
    finished: bool = False

    def __call__(self, event: Event) -> None:
        if event.kind == "round_began" and not self.began.is_set():
            self.began_s = time.monotonic()
            self.began.set()
        self.finished |= event.kind == "finished"
        if event.kind == "resumed":
            self.lives += 1


def redis_server(directory: Path) -> list[str]:
    """One that has written what it answers for: its file outlives it."""
    from tests.storage.redis_servers import program

    place = ["--unixsocket", str(directory / "redis.sock"), "--port", "0", "--dir", str(directory)]
    return [program(), *place, "--appendonly", "yes", "--save", ""]


def fedactors(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fedactors", *arguments]


@asynccontextmanager
async def federation(directory: Path, with_redis: bool, rule: str):
    """(children by name, the run's driver, what it hears); everything is ended on the way out."""
    (directory / "learner.py").write_text(dedent(LEARNER))
    file = directory / "federation.toml"
    file.write_text(dedent(CONFIG))
    address = f"grpc://{directory}/s.sock"
    kept = str(directory / "kept")
    sets = ["--set", f"aggregation.rule='{rule}'"]
    children: dict[str, Child] = {}
    async with AsyncExitStack() as exits:
        if with_redis:
            server = redis_server(directory)
            children["redis"] = Child("redis", server, server, directory / "redis.log")
            sets += ["--set", f"store.url='redis://{directory}/redis.sock'"]
        begin = fedactors("controller", str(file), "--address", address, "--run-dir", kept, *sets)
        children["controller"] = Child(
            "controller", begin, fedactors("controller", "--resume", kept, "--address", address), directory / "controller.log"
        )
        for index in range(LEARNERS):
            place = ["--address", address, "--id", f"learner-{index}", "--index", str(index)]
            command_ = fedactors("learner", str(file), *place, "--spool", str(directory / f"spool-{index}"))
            children[f"learner-{index}"] = Child(f"learner-{index}", command_, command_, directory / f"learner-{index}.log")
        for child in children.values():
            exits.push_async_callback(child.kill)
            await child.start()
        config = configuration.read(file, [f"controller.address='{address}'"])
        channel = configuration.connect(config)
        exits.push_async_callback(channel.close)
        run = RunDirectory(directory / "run")
        exits.callback(run.close)
        watch = Watch()
        yield children, Driver(config, AdminClient(channel, open_timeout_s=START_TIMEOUT_S), run, [watch]), watch


async def trial(seed: int, victims: Sequence[str], duration_s: float, rule: str) -> tuple[Results, list[str]]:
    """One run, with so many killed on the way; its results, and who was killed when."""
    rng, deeds = random.Random(seed), []
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        directory = Path(place)
        started = federation(directory, "redis" in victims, rule)
        async with asyncio.timeout(TRIAL_TIMEOUT_S), started as (children, driver, watch):
            running = asyncio.ensure_future(driver.run())
            try:
                await asyncio.wait([running, begun := asyncio.ensure_future(watch.began.wait())], return_when="FIRST_COMPLETED")
                begun.cancel()
                instants = sorted(rng.uniform(0, duration_s) for _ in range(rng.randint(1, 2))) if victims else []
                for instant_s in instants:
                    await asyncio.sleep(max(watch.began_s + instant_s - time.monotonic(), 0))
                    if running.done() or watch.finished:
                        break
                    victim = rng.choice(list(victims))
                    name = f"learner-{rng.randrange(LEARNERS)}" if victim == "learner" else victim
                    deeds.append(f"{name} at {time.monotonic() - watch.began_s:.3f} s")
                    await children[name].kill()
                    await children[name].start()
                return await running, deeds
            except BaseException as error:
                raise Failure(f"seed {seed}, killed {deeds}: {error!r}\n{logs(directory)}") from error
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


def logs(directory: Path) -> str:
    """The end of what each process said."""
    return "\n".join(f"{path.name}:\n{path.read_text(errors='replace')[-1500:]}" for path in directory.glob("*.log"))


def check(results: Results, undisturbed: Results, story: str) -> None:
    """Every round is there, every learner counted once in each, and the weights are the same."""
    rounds = [record.round for record in results.rounds]
    if rounds != list(range(1, ROUNDS + 1)) or results.final.version != ROUNDS:
        raise Failure(f"{story}: rounds {rounds} are told of, and version {results.final.version} is the last")
    wrong = {r.round: r.totals.accepted for r in results.rounds if r.totals.accepted != LEARNERS}
    if wrong:
        raise Failure(f"{story}: so many updates counted, by round: {wrong}")
    if results.final.sha256 != undisturbed.final.sha256:
        raise Failure(f"{story}: other weights: {results.final.sha256[:16]} instead of {undisturbed.final.sha256[:16]}")


async def run_trials(trials: int, seed: int, victims: Sequence[str], rule: str = "fedavg", say=print) -> None:
    """Raises Failure at the first that does not end as the undisturbed run."""
    began_s = time.monotonic()
    undisturbed, _ = await trial(seed, (), 0.0, rule)
    duration_s = sum(record.duration_s for record in undisturbed.rounds) + 0.2
    say(f"undisturbed: {duration_s:.2f} s, {undisturbed.final.sha256[:16]}")
    for number in range(trials):
        results, deeds = await trial(seed + 1 + number, victims, duration_s, rule)
        check(results, undisturbed, f"seed {seed + 1 + number}, killed {deeds}")
        say(f"{number + 1:>4}/{trials}  killed {', '.join(deeds) or 'nobody in time'}")
    say(f"{trials} trials in {time.monotonic() - began_s:.0f} s: nothing lost, nothing counted twice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=["controller"])
    parser.add_argument("--rule", choices=RULES, default="fedavg")
    arguments = parser.parse_args()
    asyncio.run(run_trials(arguments.trials, arguments.seed, arguments.victims, arguments.rule))


if __name__ == "__main__":
    main()
