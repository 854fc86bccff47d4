"""What user code returns, checked: good results as they travel, bad ones in one line each."""

import ml_dtypes
import numpy as np
import pytest

from fedactors.errors import LayoutMismatch, LearnerFailed
from fedactors.learner.answers import (
    Declared,
    answer_evaluate,
    answer_initialise,
    answer_train,
    declared,
    given,
    take_weights,
)
from fedactors.model import GlobalModel
from fedactors.task import EvaluateParams, EvaluationReport, TrainParams, TrainReport
from fedactors.testing.learners import ScriptedLearner, adds, fails_at, not_a_tuple, wrong_shape

WEIGHTS = {"kernel": np.ones((2, 3), np.float32), "steps": np.array(7, np.int64)}
TRAIN = TrainParams(round=1, version=0, seed=3, epochs=2.5)
EVALUATE = EvaluateParams(round=1, version=0)


class Clock:
    """One second passes between any two looks at it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


class Sequential:
    """Knows its tensors by their order alone; declares nothing."""

    def __init__(self, result=None):
        self.seen, self.result = [], result

    def get_weights(self):
        return [np.zeros(2), np.ones(3)]

    def set_weights(self, weights):
        self.seen.append(weights)

    def train(self, weights, params):
        self.seen.append(weights)
        return (self.result if self.result is not None else weights), {}

    def evaluate(self, weights, params):
        self.seen.append(weights)
        return {}


def trained(result, params=TRAIN, weights=WEIGHTS):
    model = GlobalModel.initial(weights)
    learner = ScriptedLearner(train=lambda *_: result)
    return answer_train(learner, model.layout, model.weights, params, clock=Clock())


def test_a_training_is_answered_with_its_weights_and_its_report():
    model = GlobalModel.initial(WEIGHTS)
    answer = answer_train(ScriptedLearner(train=adds(1)), model.layout, model.weights, TRAIN, clock=Clock())
    assert answer.weights["kernel"].tolist() == [[2.0] * 3] * 2
    assert answer.weights["steps"] == 8
    assert answer.report == TrainReport(10, 0, 2.5, 0.0, 1000 / 2.5, {"loss": 1.0})
    assert answer.cast == ()


def test_reserved_metrics_become_the_report_and_the_rest_stay_metrics():
    metrics = {"num_examples": 4, "num_batches": np.int32(2), "epochs": 0.5, "ms_per_batch": 3.0, "loss": np.float32(0.25)}
    assert trained((WEIGHTS, metrics)).report == TrainReport(4, 2, 0.5, 3.0, 2000.0, {"loss": 0.25})


def test_steps_that_were_asked_for_are_the_batches_that_were_trained_on():
    params = TrainParams(round=1, version=0, seed=3, steps=4)
    assert trained((WEIGHTS, {}), params).report == TrainReport(10, 4, 0.0, 250.0, 0.0, {})


def test_other_float_dtypes_are_cast_to_the_models_and_named():
    weights = {"kernel": np.ones((2, 3), np.float32), "half": np.ones(2, ml_dtypes.bfloat16), "steps": np.array(7)}
    answer = trained(
        ({name: array.astype(np.float64) if name != "steps" else array for name, array in weights.items()}, {}), TRAIN, weights
    )
    assert answer.cast == ("kernel", "half")
    assert {name: array.dtype for name, array in answer.weights.items()} == {name: a.dtype for name, a in weights.items()}


def test_a_value_too_large_for_the_models_dtype_becomes_infinite():
    answer = trained(({**WEIGHTS, "kernel": np.full((2, 3), 1e300)}, {}))
    assert np.isinf(answer.weights["kernel"]).all()


def test_a_learner_that_gives_its_weights_in_order_gets_them_in_order():
    learner = Sequential()
    weights = answer_initialise(learner)
    assert list(weights) == ["0000", "0001"]
    model = GlobalModel.initial(weights)
    take_weights(learner, model.weights)
    assert list(answer_train(learner, model.layout, model.weights, TRAIN).weights) == ["0000", "0001"]
    answer_evaluate(learner, model.weights, EVALUATE)
    assert [[array.tolist() for array in weights] for weights in learner.seen] == [[[0, 0], [1, 1, 1]]] * 3


def test_weights_in_order_take_the_names_of_the_global_model():
    model = GlobalModel.initial(WEIGHTS)
    answer = answer_train(Sequential([WEIGHTS["kernel"], WEIGHTS["steps"]]), model.layout, model.weights, TRAIN)
    assert list(answer.weights) == ["kernel", "steps"]


def test_weights_that_are_given_are_views_and_cannot_be_changed():
    model = GlobalModel.initial(WEIGHTS)
    assert not model.weights["kernel"].flags.writeable
    assert given(model.weights)["kernel"].base is not None

    def in_place(weights, _):
        weights["kernel"] += 1

    with pytest.raises(LearnerFailed) as caught:
        answer_train(ScriptedLearner(train=in_place), model.layout, model.weights, TRAIN)
    assert str(caught.value) == (
        "train failed: ValueError: output array is read-only; weights are read-only: change a copy"
        f" (test_answers.py:{in_place.__code__.co_firstlineno + 1} in in_place)"
    )


def test_an_exception_in_a_library_is_blamed_on_the_users_line_that_called_it():
    def stacks(*_):
        return np.concatenate([np.zeros(2), np.zeros((2, 2))])

    with pytest.raises(LearnerFailed, match=rf"\(test_answers.py:{stacks.__code__.co_firstlineno + 1} in stacks\)$"):
        answer_train(ScriptedLearner(train=stacks), GlobalModel.initial(WEIGHTS).layout, WEIGHTS, TRAIN)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (WEIGHTS, "train() returned a dict; it returns a tuple of the new weights and the metrics"),
        (None, "train() returned None; it returns a tuple of the new weights and the metrics"),
        ((WEIGHTS, {}, {}), "train() returned a tuple; it returns a tuple of the new weights and the metrics"),
        ((np.zeros(3), {}), "train() returned an ndarray, not weights: numpy arrays by name, or a list of them"),
        (("kernel", {}), "train() returned a str, not weights: numpy arrays by name, or a list of them"),
        (({**WEIGHTS, "kernel": [1.0]}, {}), "train() returned a list as tensor 'kernel'; tensors are numpy arrays"),
        ((WEIGHTS, 0.5), "train() returned a float as metrics; metrics are numbers by name"),
        ((WEIGHTS, {"loss": "low"}), "train() gave metric 'loss' = 'low', which is not a number"),
        ((WEIGHTS, {"num_examples": -1}), "train() gave num_examples = -1; it is a whole number >= 0"),
        ((WEIGHTS, {"num_examples": 1.5}), "train() gave num_examples = 1.5; it is a whole number >= 0"),
        ((WEIGHTS, {"num_batches": np.inf}), "train() gave num_batches = inf; it is a whole number >= 0"),
        (
            (WEIGHTS, {"epochs": np.nan}),
            "train() gave a report that cannot be used: epochs is nan; it must be a finite number >= 0",
        ),
        (
            (WEIGHTS, {f"m{number}": 0.0 for number in range(257)}),
            "train() gave a report that cannot be used: 257 metrics; at most 256 are taken",
        ),
    ],
)
def test_what_is_no_result_is_said_in_one_line(result, said):
    with pytest.raises(LearnerFailed) as caught:
        trained(result)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("weights", "difference"),
    [
        (
            {**WEIGHTS, "kernel": np.ones((3, 2), np.float32)},
            "'kernel' has shape [3, 2]; the global model has kernel: float32[2, 3]",
        ),
        (
            {**WEIGHTS, "kernel": np.ones((2, 3), np.int32)},
            "'kernel' has dtype int32; the global model has kernel: float32[2, 3]",
        ),
        ({**WEIGHTS, "steps": np.array(7.0)}, "'steps' has dtype float64; the global model has steps: int64[]"),
        ({"kernel": WEIGHTS["kernel"]}, "'steps' is missing; the global model has steps: int64[]"),
        ({**WEIGHTS, "bias": np.zeros(1)}, "'bias' is not in the global model"),
    ],
)
def test_weights_that_do_not_fit_are_said_in_one_line(weights, difference):
    with pytest.raises(LayoutMismatch) as caught:
        trained((weights, {}))
    assert str(caught.value) == f"train() returned weights that do not fit: tensor {difference}"


def test_too_few_weights_in_order_are_said_in_one_line():
    with pytest.raises(LayoutMismatch) as caught:
        trained(([np.zeros(3)], {}))
    assert str(caught.value) == "train() returned 1 tensors instead of the global model's 2"


def test_an_evaluation_is_answered_with_its_share_and_its_metrics():
    model = GlobalModel.initial(WEIGHTS)
    assert answer_evaluate(ScriptedLearner(), model.weights, EVALUATE) == EvaluationReport(5, {"mean": 4.0})


def test_an_evaluation_may_give_its_own_share_and_nan_is_a_value():
    learner = ScriptedLearner()
    learner.evaluate = lambda *_: {"num_examples": 2, "loss": float("nan")}
    report = answer_evaluate(learner, WEIGHTS, EVALUATE)
    assert report.num_examples == 2
    assert np.isnan(report.metrics["loss"])


def test_an_evaluation_that_returns_a_number_is_told_what_it_returns():
    learner = ScriptedLearner()
    learner.evaluate = lambda *_: 0.5
    with pytest.raises(LearnerFailed) as caught:
        answer_evaluate(learner, WEIGHTS, EVALUATE)
    assert str(caught.value) == "evaluate() returned a float as metrics; metrics are numbers by name"


@pytest.mark.parametrize("script", [wrong_shape, not_a_tuple, fails_at(1, adds(1))])
def test_scripted_faults_are_faults(script):
    model = GlobalModel.initial(WEIGHTS)
    with pytest.raises((LearnerFailed, LayoutMismatch)):
        answer_train(ScriptedLearner(train=script), model.layout, model.weights, TRAIN)


def test_a_learner_declares_its_sizes_and_tags():
    assert declared(ScriptedLearner(tags=("gpu",))) == Declared(10, 5, ("gpu",))
    assert declared(Sequential()) == Declared(0, 0, ())


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("num_train_examples", -1, "the learner gave num_train_examples = -1; it is a whole number >= 0"),
        ("num_test_examples", "many", "the learner gave num_test_examples = 'many'; it is a whole number >= 0"),
        ("tags", "gpu", "the learner's tags are 'gpu'; tags are a list of strings"),
        ("tags", [1], "the learner's tags are [1]; tags are a list of strings"),
    ],
)
def test_a_wrong_declaration_is_said_in_one_line(attribute, value, said):
    learner = ScriptedLearner()
    setattr(learner, attribute, value)
    with pytest.raises(LearnerFailed) as caught:
        declared(learner)
    assert str(caught.value) == said
