"""What still comes of a former task of a relay's is told apart from what is at work by now."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from fedactors.actors.messages import Initialised, RoundCommitted, RoundEnded, TrainingOver
from fedactors.actors.relay_messages import CallOff, EvaluateChildren, Summed, TrainChildren
from fedactors.errors import Rejected
from fedactors.model import GlobalModel
from fedactors.record import Phases, RoundRecord
from fedactors.relay import Relay
from fedactors.task import EvaluateParams, TrainParams, TrainReport
from tests.relay.test_relay import Steady

FORMER, ROUND, VERSION = "former", 3, 2
MODEL = GlobalModel.initial({"w": np.ones((3, 2), np.float32)})
MODEL = GlobalModel(VERSION, MODEL.layout, MODEL.buffer)
OTHERS = GlobalModel(0, MODEL.layout, np.zeros_like(MODEL.buffer))
TRAIN = TrainChildren("now", MODEL, TrainParams(round=ROUND, version=VERSION, seed=1))
EVALUATE = EvaluateChildren("now", MODEL, EvaluateParams(round=ROUND, version=VERSION))


class Held(Steady):
    """Neither trains nor evaluates before it may."""

    def __init__(self, begun: Callable[[], object]):
        super().__init__(1)
        self.begun, self.may = begun, threading.Event()

    def train(self, weights, params):
        self.begun()
        self.may.wait(10)
        return super().train(weights, params)

    def evaluate(self, weights, params):
        self.begun()
        self.may.wait(10)
        return super().evaluate(weights, params)


@asynccontextmanager
async def at_work(question):
    """A relay whose one learner is at work at this, the learner, and the answer to come."""
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    learner = Held(lambda: loop.call_soon_threadsafe(begun.set))
    async with asyncio.timeout(20), Relay({"name": "tree", "learners": {"count": 1}}) as relay:
        relay.add_learner(learner, id="anna")
        answer = asyncio.ensure_future(relay._controller.ask(question))
        try:
            await begun.wait()
            yield relay, learner, answer
        finally:
            learner.may.set()
            answer.cancel()


LATE = {
    "it was called off": [CallOff(FORMER, "late")],
    "it failed": [TrainingOver("late", FORMER)],
    "it was combined": [Summed(ROUND, OTHERS.buffer, TrainReport(99, 1.0)), RoundCommitted(ROUND, VERSION, 1, FORMER)],
    "it gave first weights": [Initialised("anna", OTHERS)],
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
async def test_a_training_is_not_taken_for_a_former_one_of_which_is_told_late_that(late):
    async with at_work(TRAIN) as (relay, learner, answer):
        for message in late:
            relay._controller.tell(message)
        assert (await relay.admin.status())["phase"] == "training"
        learner.may.set()
        summed = await answer
        assert (summed.round, summed.report.num_examples) == (ROUND, 8)
        weights = GlobalModel(0, MODEL.layout, summed.buffer).weights["w"]
        np.testing.assert_array_equal(weights, np.full((3, 2), 2, np.float32))
        assert (await relay.admin.status())["version"] == VERSION


async def test_an_evaluation_is_not_taken_for_a_former_one_of_the_same_version():
    nobody = RoundRecord(ROUND, VERSION, "2030-01-01T00:00:00.000000Z", 0.0, Phases(0.0, 0.0, 0.0, 0.0), (), {}, {})
    async with at_work(EVALUATE) as (relay, learner, answer):
        relay._controller.tell(RoundEnded(nobody, FORMER))
        assert (await relay.admin.status())["phase"] == "training"
        learner.may.set()
        assert (await answer).metrics == {"mean": 1.0}


async def test_what_is_at_work_can_be_called_off_and_another_task_begun():
    async with at_work(TRAIN) as (relay, learner, answer):
        relay._controller.tell(CallOff(TRAIN.task, "not wanted any more"))
        with pytest.raises(Rejected, match="not wanted any more"):
            await answer
        learner.may.set()
        assert (await relay._controller.ask(EVALUATE)).metrics == {"mean": 1.0}
