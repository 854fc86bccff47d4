"""What an event, a task or a commit costs does not grow with the number of learners; counted, not timed.

Calls of functions show what Python does for each learner. What C does for each (a copy, a sort) is one call: it shows in the
memory that is held for the moment, of which the mean over many events is taken, because tables that grow do so seldom.
"""

from __future__ import annotations

import cProfile
import statistics
import tracemalloc
from collections.abc import Callable

import pytest

from fedactors import config as configuration
from fedactors import plugins
from fedactors.scheduling.asynchronous import Asynchronous
from fedactors.scheduling.buffered import Buffered
from fedactors.selection.by_tag import ByTag
from fedactors.selection.everyone import Everyone
from fedactors.selection.oort import Oort
from fedactors.selection.power_of_choice import PowerOfChoice
from fedactors.selection.round_robin import RoundRobin
from fedactors.selection.uniform import Uniform
from fedactors.simulation import simulate
from fedactors.simulation.population import Population
from fedactors.simulation.throughput import Feeder, ready
from fedactors.task import TrainReport

FEW, MANY = 100, 1_000
GROWTH_MAX = 1.08
"""For ten times the learners; a heap's or a tree's logarithm is a part of it."""
REPORT = TrainReport(10, 5, 1.0, 2.0, 10.0, {"loss": 0.5})

SELECTIONS = {
    "everyone": Everyone(),
    "uniform": Uniform(fraction=0.5),
    "round_robin": RoundRobin(count=30),
    "by_tag": ByTag(tags=("fed",), count=30),
    "power_of_choice": PowerOfChoice(count=5, candidates=10),
    "oort": Oort(count=30),
}


def calls(work: Callable[[], object]) -> int:
    """How many calls of functions, in Python and in C, a piece of work makes."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def bytes_at_once(feeder: Feeder, events: int) -> float:
    """The memory that an event takes for the moment, in the mean."""
    taken = []
    tracemalloc.start()
    try:
        for _ in range(events):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            feeder.run(1)
            taken.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return statistics.fmean(taken)


@pytest.mark.parametrize("name", plugins.names("fedactors.scheduling"))
def test_an_event_costs_the_same_however_many_learners_there_are(name):
    protocol = plugins.build("fedactors.scheduling", name, {})

    def costs(learners):
        feeder, events = ready(protocol, learners, report=REPORT), 2 * learners + 2
        feeder.run(events)
        return calls(lambda: feeder.run(events)) / events, bytes_at_once(feeder, events)

    (few_calls, few_bytes), (many_calls, many_bytes) = costs(FEW), costs(MANY)
    assert many_calls < GROWTH_MAX * few_calls
    assert many_bytes < 1.5 * few_bytes + 500


STREAMS = [(name, Asynchronous(concurrency=20)) for name in plugins.names("fedactors.selection")]
STREAMS.append(("everyone", Buffered(updates=5, concurrency=20, evaluators=3)))


@pytest.mark.parametrize(
    ("name", "protocol"), STREAMS, ids=lambda value: value if isinstance(value, str) else type(value).__name__
)
def test_a_task_in_a_stream_costs_the_same_however_many_learners_are_idle(name, protocol):
    def costs(learners):
        feeder = ready(protocol, learners, selection=SELECTIONS[name], report=REPORT)
        feeder.run(3 * learners)  # everybody has had a task
        rounds = feeder.rounds
        made = calls(lambda: feeder.run(2 * MANY))
        return made / (feeder.rounds - rounds), bytes_at_once(feeder, MANY // 2)

    (few_calls, few_bytes), (many_calls, many_bytes) = costs(FEW), costs(MANY)
    assert many_calls < GROWTH_MAX * few_calls
    assert many_bytes < 1.5 * few_bytes + 1_000


def simulated(learners: int, rounds: int, protocol: str, **tables: object) -> tuple[int, int]:
    """(calls of functions, messages of actors) of a whole simulation."""
    config = configuration.from_mapping(
        {"seed": 5, "learners": {"count": learners}, "protocol": {"name": protocol}, "stop": {"rounds": rounds}, **tables}
    )
    messages = 0

    def run():
        nonlocal messages
        messages = simulate(config, Population()).costs.messages

    return calls(run), messages


def of_more_rounds(learners: int, rounds: int, protocol: str, **tables: object) -> tuple[float, float]:
    """(calls, messages) of each round beyond the first."""
    simulated(2, 1, protocol, **tables)  # whatever is made once is made now
    more, one = simulated(learners, rounds + 1, protocol, **tables), simulated(learners, 1, protocol, **tables)
    return (more[0] - one[0]) / rounds, (more[1] - one[1]) / rounds


@pytest.mark.parametrize("detail_learners_max", [1, 10_000])
def test_a_learners_part_in_a_round_costs_the_same_however_many_others_there_are(detail_learners_max):
    limits = {"detail_learners_max": detail_learners_max}
    few, many = (of_more_rounds(learners, 1, "synchronous", limits=limits) for learners in (40, 400))
    assert many[0] / 400 < GROWTH_MAX * few[0] / 40
    assert many[1] / 400 < (9.1 if detail_learners_max == 1 else 11.2), "messages for each learner and round"


def test_a_commit_costs_the_same_however_many_learners_train():
    few, many = of_more_rounds(40, 100, "asynchronous"), of_more_rounds(400, 100, "asynchronous")
    assert many[0] < GROWTH_MAX * few[0]
    assert many[1] <= few[1] + 1
