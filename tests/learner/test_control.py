"""SCAFFOLD on the learner's side: what corrects its steps, and when its own control variates grow."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from fedactors.errors import LearnerFailed
from fedactors.learner.control import ControlVariates, local_steps
from fedactors.learner.trainee import Trainee
from fedactors.model import GlobalModel
from fedactors.protocol import PushAnswer, Task
from fedactors.scope import Scope
from fedactors.task import TaskKind, TrainParams, TrainReport
from fedactors.testing.learners import ScriptedLearner
from fedactors.variates import with_variates

C = {"w": np.array([1.0, 2.0])}
X, Y = {"w": np.array([5.0, 5.0])}, {"w": np.array([3.0, 9.0])}
GROWTH = (X["w"] - Y["w"]) / (4 * 0.5) - C["w"]


def sent(control, task="t1", version=1):
    return control.difference(task, version, C, X, Y, 4, 0.5)["w"]


def own(control, version):
    """c_i as it counts for a training from this version."""
    return (C["w"] - control.correction(version, C)["w"]).tolist()


def test_the_difference_is_the_mean_step_less_c_and_the_correction_c_less_its_own():
    control = ControlVariates()
    assert own(control, 1) == [0, 0]
    np.testing.assert_allclose(sent(control), GROWTH)
    control.settle("t1", True)
    assert own(control, 2) == GROWTH.tolist()
    assert not control.correction(2, C)["w"].flags.writeable


@pytest.mark.parametrize(
    ("accepted", "task", "version", "grows"),
    [
        (True, "t1", 2, True),
        (False, "t1", 2, False),
        (None, "t1", 2, False),
        (True, "another", 2, False),
        (True, "t1", 1, False),
        (True, "t1", 0, False),
    ],
    ids=["accepted", "refused", "unanswered", "another task's answer", "the round was begun again", "the federation was"],
)
def test_its_own_grow_only_by_what_counts(accepted, task, version, grows):
    control = ControlVariates()
    sent(control)
    if accepted is not None:
        control.settle(task, accepted)
    assert own(control, version) == (GROWTH.tolist() if grows else [0, 0])
    assert own(control, version + 5) == (GROWTH.tolist() if grows else [0, 0]), "once, and not again"


def test_a_federation_that_begins_anew_finds_a_learner_without_variates():
    control = ControlVariates()
    sent(control)
    control.settle("t1", True)
    assert own(control, 2) != [0, 0]
    assert own(control, 0) == [0, 0]


PARAMS = TrainParams(round=1, version=0, seed=1)


@pytest.mark.parametrize(
    ("rate", "metrics", "batches", "expected"),
    [
        (0.5, {}, 3, (3, 0.5)),
        (0.5, {"learning_rate": 0.25}, 3, (3, 0.25)),
        (None, {"learning_rate": 0.25}, 1, (1, 0.25)),
        (None, {}, 3, "it is not known: write [train] learning_rate, or have train() return the metric 'learning_rate'"),
        (None, {"learning_rate": float("nan")}, 3, "it is nan: write"),
        (0.5, {}, 0, "scaffold needs the number of local steps: have train() return the metric 'num_batches'"),
    ],
    ids=str,
)
def test_steps_and_their_length_are_those_reported_or_asked_for(rate, metrics, batches, expected):
    params = TrainParams(round=1, version=0, seed=1, learning_rate=rate)
    report = TrainReport(1, batches, metrics=metrics)
    if isinstance(expected, tuple):
        assert local_steps(params, report) == expected
    else:
        with pytest.raises(LearnerFailed) as caught:
            local_steps(params, report)
        assert expected in str(caught.value)


# --------------------------------------------------------------------------------------------- a learner, and its client


class Stepping(ScriptedLearner):
    """Takes two steps of 0.5 with gradient 1 on every tensor; keeps the corrections that it was given."""

    def __init__(self):
        super().__init__({"w": np.zeros(2, np.float32), "own": np.zeros(1), "n": np.array(3)})
        self.corrections = []

    def train(self, weights, params):
        self.corrections.append(params.correction)
        new = dict(weights)
        for _ in range(2):
            for name, correction in params.correction.items():
                new[name] = new[name] - np.float32(0.5) * (1 + correction)
        return new, {"num_batches": 2, "learning_rate": 0.5}


SCOPE = Scope(local=("own",), variates=True)


def test_what_is_local_and_what_is_no_float_has_no_variates():
    learner = Stepping()
    trainee = Trainee(learner, SCOPE)
    start = trainee.initialise()
    assert list(start) == ["w", "n", "scaffold/w"]
    trained = trainee.train("t1", GlobalModel.initial(start), PARAMS)
    assert list(learner.corrections[0]) == ["w"]
    assert {name: array.tolist() for name, array in trained.weights.items()} == {"w": [-1, -1], "n": 3, "scaffold/w": [1, 1]}
    assert [list(weights) for weights in learner.was_set] == [["w", "own", "n"]]


def test_without_the_rule_there_is_no_correction():
    learner = ScriptedLearner()
    Trainee(learner).train("t1", GlobalModel.initial(learner.weights), PARAMS)
    assert learner.trained[0].correction is None


def version(number):
    return {**with_variates({"w": np.zeros(2, np.float32), "n": np.array(3)}), "scaffold/w": np.full(2, number, np.float32)}


def train(task, number):
    return Task(task, TaskKind.TRAIN, TrainParams(round=number + 1, version=number, seed=1))


@pytest.mark.parametrize("answer", [PushAnswer(True), PushAnswer(False, "late", "too late")], ids=str)
async def test_the_answer_to_a_push_decides_and_the_next_training_waits_for_it(controller, running, answer):
    """The second task comes while the first one's push is unanswered; c_i grows by 1 + (c - c_i) - c = 1, or not."""
    controller.welcome_with = {"local": ("own",), "variates": True}
    for number in (1, 2):
        controller.publish(number, version(number))
    controller.models[0] = controller.models[1]
    controller.push_faults = [answer]
    controller.answers_when.clear()
    learner = Stepping()
    async with running(learner):
        await controller.session.send(train("t1", 1))
        await controller.session.send(train("t2", 2))
        async with asyncio.timeout(5):
            await controller.received.wait()
        await asyncio.sleep(0)
        assert len(learner.corrections) == 1, "nobody knows yet whether the first update counts"
        controller.answers_when.set()
        async with asyncio.timeout(5):
            while len(learner.corrections) < 2:  # noqa: ASYNC110  # a learner has no events
                await asyncio.sleep(0.001)
    assert learner.corrections[0]["w"].tolist() == [1, 1]
    assert learner.corrections[1]["w"].tolist() == ([2 - 1, 2 - 1] if answer.accepted else [2, 2])
