"""What is told of a relay's rounds, and how it stands: what `status`, `top` and `stop` show there."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from fedactors.actors.relay_rounds import RelayRounds
from fedactors.cli.status import _lines
from fedactors.observe.board import Board
from fedactors.protocol import Verb
from fedactors.record import EventKind, LearnerRecord, Phases, RoundRecord, Totals
from tests.relay.test_relay import CONFIG, Steady, tree

ONE = CONFIG | {"learners": {"count": 1}}
TRAINED = RoundRecord(
    4,
    3,
    "2030-01-01T00:00:00.000000Z",
    2.0,
    Phases(0.1, 1.4, 0.5, 0.0),
    ("anna", "bert"),
    {"anna": LearnerRecord(examples=8), "bert": LearnerRecord(examples=16)},
    {},
    Totals(learners=2, accepted=2, examples=24),
)
EVALUATED = RoundRecord(
    4,
    4,
    "2030-01-01T00:00:09.000000Z",
    0.0,
    Phases(0.0, 0.0, 0.0, 0.3),
    ("anna", "carl"),
    {"anna": LearnerRecord(eval_metrics={"loss": 1.0}), "carl": LearnerRecord(eval_metrics={"loss": 3.0})},
    {"loss": 2.0},
    Totals(learners=2, evaluated=2, examples_evaluated=5),
)


def test_a_round_that_was_trained_and_evaluated_is_one():
    rounds = RelayRounds()
    rounds.trained(TRAINED)
    whole = rounds.evaluated(EVALUATED)
    assert (whole.round, whole.version, whole.duration_s, whole.metrics) == (4, 4, 2.0, {"loss": 2.0})
    assert whole.phases == Phases(0.1, 1.4, 0.5, 0.3)
    assert whole.totals == Totals(learners=2, accepted=2, examples=24, evaluated=2, examples_evaluated=5)
    assert {learner: (part.examples, part.eval_metrics) for learner, part in whole.learners.items()} == {
        "anna": (8, {"loss": 1.0}),
        "bert": (16, {}),
        "carl": (0, {"loss": 3.0}),
    }
    assert TRAINED.learners["anna"] == LearnerRecord(examples=8)
    assert rounds.without_evaluation() is None


def test_one_that_is_not_evaluated_is_told_of_as_it_is():
    rounds = RelayRounds()
    assert rounds.without_evaluation() is None
    rounds.trained(TRAINED)
    assert rounds.without_evaluation() is TRAINED
    assert rounds.without_evaluation() is None


def test_an_evaluation_of_another_round_is_one_by_itself():
    rounds, earlier = RelayRounds(), replace(EVALUATED, round=3)
    rounds.trained(TRAINED)
    assert rounds.evaluated(earlier) is earlier
    assert rounds.evaluated(EVALUATED).totals.accepted == 2


@pytest.mark.parametrize(("every", "told"), [(1, [True, True, True]), (2, [False, True, True]), (0, [False, False, False])])
async def test_a_relay_tells_of_each_of_its_rounds_once(every, told):
    """The last round is evaluated unless none is."""
    config = ONE | {"evaluate": {"every": every}}
    async with tree(config, [Steady(1), Steady(2)], below=CONFIG) as (root, (relay,)):
        following = asyncio.create_task(records_of(relay))
        await root.run()
        records = await following
    assert [(record.round, record.totals.examples) for record in records] == [(1, 24), (2, 24), (3, 24)]
    assert [bool(record.metrics) for record in records] == told


async def records_of(relay):
    """Until it is done; it goes down at once then."""
    records = []
    async with aclosing(relay.events()) as news:
        async for event in news:
            if event.kind is EventKind.ROUND_ENDED:
                records.append(RoundRecord.from_map(event.body["record"]))
            if event.kind is EventKind.FINISHED:
                return records
    return records


async def test_the_version_that_a_relay_trains_from_is_shown():
    shown = []

    async def follow(relay):
        board = Board()
        async with aclosing(relay.events()) as news:
            async for event in news:
                board.apply(event)
                if event.kind is EventKind.ROUND_BEGAN:
                    shown.append((board.round, board.version))
                if event.kind is EventKind.FINISHED:
                    return

    async with tree(ONE, [Steady(1), Steady(2)], below=CONFIG) as (root, (relay,)):
        following = asyncio.create_task(follow(relay))
        await root.run()
        await following
    assert shown == [(1, 0), (2, 1), (3, 2)]


async def test_a_relay_says_that_it_is_one_and_has_no_number_of_rounds_of_its_own():
    async with tree(ONE, [Steady(1), Steady(2)], below=CONFIG) as (root, (relay,)):
        assert (await root.admin.status()).get("is_relay") is None
        status = await relay.admin.status()
        assert (status["is_relay"], status["rounds_total"]) == (True, None)
        assert ("relay", "its rounds are those of its parent") in _lines(status)
        await root.run()


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT, Verb.CLOSE])
async def test_a_relay_that_is_stopped_takes_no_further_part_and_the_root_goes_on(verb):
    config = CONFIG | {"stop": {"rounds": 6}}
    loop = asyncio.get_running_loop()

    class Stopping(Steady):
        def train(self, weights, params):
            if params.round == 2:
                asyncio.run_coroutine_threadsafe(relays[0].admin.order(verb, "enough"), loop).result(10)
            return super().train(weights, params)

    async with tree(config, [Stopping(1), Steady(2)], [Steady(3), Steady(6)]) as (root, relays):
        results = await root.run()
        departed = [one.body["learner"] async for one in root.events() if one.kind is EventKind.LEARNER_DEPARTED]
    assert len(results.rounds) == 6
    assert departed == ["relay-0"]
    assert {learner for record in results.rounds[3:] for learner in record.learners} == {"relay-1"}
