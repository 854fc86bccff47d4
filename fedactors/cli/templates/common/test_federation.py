"""Run by `pytest`: does the learner do what it owes, and does a federation of three learn?"""

import asyncio
from pathlib import Path

from fedactors import Federation
from fedactors.config import load_entry, read
from fedactors.learner import LearnerContext, TrainParams
from fedactors.testing import check_learner

CONFIG = read(Path(__file__).with_name("federation.toml"), ["stop.rounds=3"])
LEARNER = load_entry(CONFIG)
TASK = TrainParams(round=1, version=0, seed=7, learning_rate=CONFIG.train.learning_rate)


def test_the_learner_does_what_it_owes():
    check_learner(LEARNER, context=LearnerContext(count=3, seed=CONFIG.seed), params=TASK)


def test_a_federation_learns():
    async def run():
        async with Federation(CONFIG) as federation:
            for _ in range(CONFIG.learners.count):
                federation.add_learner(LEARNER)
            return await federation.run()

    assert asyncio.run(run()).final.metrics["accuracy"] > 0.7
