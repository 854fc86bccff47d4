"""What stays with a learner, and what it is given: always the whole of its tensors, in its own order."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from fedactors.errors import LayoutMismatch, ModelError
from fedactors.learner.baggage import Baggage
from fedactors.learner.trainee import Trainee
from fedactors.model import GlobalModel
from fedactors.scope import Scope
from fedactors.task import EvaluateParams, TaskKind, TrainParams
from fedactors.testing.learners import ScriptedLearner, adds, fails_at

WEIGHTS = {"w": np.zeros(2, np.float32), "bn": np.full(3, 5.0), "v": np.ones((1, 2), np.float16), "steps": np.array(7)}
SCOPE = Scope(local=("bn", "steps"))
EVALUATE = EvaluateParams(round=1, version=0)


def params(version=0):
    return TrainParams(round=version + 1, version=version, seed=1)


def values(weights):
    weights = weights if isinstance(weights, dict) else dict(enumerate(weights))
    return {name: array.ravel().tolist() for name, array in weights.items()}


def global_model(version=0, w=10.0, v=20.0):
    weights = {"w": np.full(2, w, np.float32), "v": np.full((1, 2), v, np.float16)}
    model = GlobalModel.initial(weights)
    return GlobalModel(version, model.layout, model.buffer)


class Remembering(ScriptedLearner):
    """Keeps what it was given to train from and to evaluate."""

    def __init__(self, weights=WEIGHTS, **options):
        super().__init__(weights, **options)
        self.given = []

    def train(self, weights, params):
        self.given.append(values(weights))
        return super().train(weights, params)

    def evaluate(self, weights, params):
        self.given.append(values(weights))
        return {}


def test_what_is_taken_and_kept_is_a_copy_that_nobody_can_change():
    weights = {name: array.copy() for name, array in WEIGHTS.items()}
    baggage = Baggage(SCOPE, weights)
    weights["bn"][:] = 0
    whole = baggage.whole(global_model().weights)
    assert list(whole) == ["w", "bn", "v", "steps"]
    assert values(whole) == {"w": [10, 10], "bn": [5, 5, 5], "v": [20, 20], "steps": [7]}
    assert not any(array.flags.writeable for array in whole.values())


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (["w"], "this learner's tensor 'v' travels, and the global model has none of that name"),
        (["w", "v", "u"], "tensor 'u' of the global model is none of this learner's that travel"),
        (["w", "v", "bn"], "tensor 'bn' of the global model is none of this learner's that travel"),
    ],
    ids=str,
)
def test_a_global_model_with_other_tensors_is_refused_by_name(received, said):
    with pytest.raises(LayoutMismatch) as caught:
        Baggage(SCOPE, WEIGHTS).whole({name: np.zeros(1) for name in received})
    assert str(caught.value) == said


def test_only_what_travels_is_pushed_as_version_0():
    assert list(Trainee(Remembering(), SCOPE).initialise()) == ["w", "v"]
    assert list(Trainee(Remembering(), Scope(shared=("w",))).initialise()) == ["w"]
    with pytest.raises(ModelError, match=r"no tensor travels with model\.shared = \['W'\]"):
        Trainee(Remembering(), Scope(shared=("W",))).initialise()


def test_a_learner_is_given_all_of_its_tensors_and_keeps_its_own_from_training_to_training():
    learner = Remembering(train=adds(1.0))
    trainee = Trainee(learner, SCOPE)
    first = trainee.train("t", global_model(0), params(0))
    assert values(first.weights) == {"w": [11, 11], "v": [21, 21]}
    trainee.evaluate(global_model(1, w=0.0), EVALUATE)
    trainee.train("t", global_model(1, w=0.0), params(1))
    own = [{"bn": [5] * 3, "steps": [7]}, {"bn": [6] * 3, "steps": [8]}, {"bn": [6] * 3, "steps": [8]}]
    whole = [
        {"w": [w, w], "bn": mine["bn"], "v": [20, 20], "steps": mine["steps"]} for w, mine in zip((10, 0, 0), own, strict=True)
    ]
    assert learner.given == whole
    assert [list(weights) for weights in learner.given] == [["w", "bn", "v", "steps"]] * 3
    assert [values(weights) for weights in learner.was_set] == [whole[0]]


def test_a_training_that_failed_changes_nothing_of_its_own():
    learner = Remembering(train=fails_at(1, adds(1.0)))
    trainee = Trainee(learner, SCOPE)
    with pytest.raises(Exception, match="told to fail"):
        trainee.train("t", global_model(), params())
    trainee.train("t", global_model(), params())
    assert [given["bn"] for given in learner.given] == [[5] * 3] * 2


def test_a_learner_s_own_tensors_are_those_that_it_begins_with_unless_it_gave_version_0():
    learner = Remembering()
    learner.weights = {name: array.copy() for name, array in WEIGHTS.items()}
    trainee = Trainee(learner, SCOPE)
    trainee.initialise()
    learner.weights["bn"][:] = 9.0
    trainee.evaluate(global_model(), EVALUATE)
    assert learner.given[0]["bn"] == [5] * 3, "copied when it was asked for version 0"


def test_a_learner_that_gives_lists_is_given_lists():
    class InOrder(Remembering):
        def get_weights(self):
            return list(WEIGHTS.values())

        def train(self, weights, params):
            self.given.append(weights)
            return [array + 1 for array in weights], {}

    learner = InOrder()
    trainee = Trainee(learner, Scope(local=("0001", "0003")))
    start = trainee.initialise()
    assert list(start) == ["0000", "0002"]
    model = GlobalModel.initial(start)
    trained = trainee.train("t", model, params())
    trainee.train("t", model, params())
    assert list(trained.weights) == ["0000", "0002"]
    assert values(learner.given[1]) == {0: [0, 0], 1: [6, 6, 6], 2: [1, 1], 3: [8]}


def test_another_dtype_of_a_tensor_that_stays_is_cast_in_silence():
    learner = Remembering(train=lambda weights, _: ({name: array.astype(np.float64) if name != "steps" else array
                                                     for name, array in weights.items()}, {}))  # fmt: skip
    assert Trainee(learner, Scope(local=("w", "steps"))).train(
        "t", GlobalModel.initial({"bn": WEIGHTS["bn"], "v": WEIGHTS["v"]}), params()
    ).cast == ("v",)


def test_without_patterns_a_learner_is_not_asked_for_its_weights():
    class Silent(Remembering):
        def get_weights(self):
            raise AssertionError("nobody needs them")

    trainee = Trainee(Silent())
    assert values(trainee.train("t", global_model(), params()).weights) == {"w": [10, 10], "v": [20, 20]}


def test_patterns_that_match_none_of_the_learner_s_tensors_are_named():
    trainee = Trainee(Remembering(), Scope(local=("bn", "batch_norm"), shared=("*", "lora*")))
    trainee.initialise()
    assert trainee.unmatched == (("model.local", "batch_norm"), ("model.shared", "lora*"))


async def test_a_client_obeys_the_patterns_of_its_welcome_and_warns_of_idle_ones(controller, running, caplog):
    from fedactors.protocol import Task

    controller.welcome_with = {"local": ("bn", "steps", "nomr")}
    controller.publish(0, global_model().weights)
    with caplog.at_level(logging.WARNING):
        async with running(Remembering(train=adds(1.0))):
            await controller.session.send(Task("t0", TaskKind.INITIALISE))
            await controller.session.send(Task("t1", TaskKind.TRAIN, params()))
            async with asyncio.timeout(5):
                while len(controller.updates) < 2:  # noqa: ASYNC110  # the controller's lists have no events
                    await asyncio.sleep(0.001)
    assert [(task, values(weights)) for task, weights, _ in controller.updates] == [
        ("t0", {"w": [0, 0], "v": [1, 1]}),
        ("t1", {"w": [11, 11], "v": [21, 21]}),
    ]
    said = [record.getMessage() for record in caplog.records if "pattern_matches_nothing" in record.getMessage()]
    assert len(said) == 1
    assert "nomr" in said[0]
