from __future__ import annotations

from fedactors import config as configuration
from fedactors.driver.driver import SAVING_TAKES_ONE_IN, Driver
from fedactors.driver.run_directory import RunDirectory
from fedactors.record import Event, EventKind, Phases, RoundRecord

ROUNDS = 1_000


class Controller:
    """Tells of many rounds, one a second."""

    def __init__(self, clock):
        self.clock = clock

    async def status(self):
        return {"phase": "training", "first_event": 0, "version": None}

    async def order(self, verb, why):
        pass

    async def follow(self, number):
        for round_ in range(1, ROUNDS + 1):
            self.clock.now_s += 1.0
            record = RoundRecord(round_, round_, "2026-01-01T00:00:00.000000+00:00", 1.0, Phases(0, 0, 0, 0), (), {}, {})
            yield [Event(round_, 0.0, EventKind.ROUND_ENDED, {"record": record.to_map()})]
        yield [Event(ROUNDS + 1, 0.0, EventKind.FINISHED, {"stop_reason": "done", "version": ROUNDS, "failed": False})]


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Slow(RunDirectory):
    """Needs a hundredth of a second for each round that it writes."""

    def __init__(self, path, clock):
        super().__init__(path)
        self.clock, self.written, self.took_s = clock, [], 0.0

    def write_results(self, results):
        self.written.append(len(results.rounds))
        self.took_s += 0.01 * len(results.rounds)
        self.clock.now_s += 0.01 * len(results.rounds)


async def test_results_are_written_the_less_often_the_longer_it_takes(tmp_path):
    clock = Clock()
    directory = Slow(tmp_path / "run", clock)
    config = configuration.from_mapping({"stop": {"rounds": ROUNDS}})
    results = await Driver(config, Controller(clock), directory, clock=clock).run()
    directory.close()
    assert directory.written[:3] == [1, 2, 3]
    assert directory.written[-1] == len(results.rounds) == ROUNDS, "the end is written in any case"
    assert directory.took_s - 0.01 * ROUNDS < 1.5 * clock.now_s / SAVING_TAKES_ONE_IN
