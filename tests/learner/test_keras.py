"""A Keras model as a learner: what travels and under which names, what begins anew with each task, and what is refused.

Keras is imported by the first of these tests, not when they are collected: it takes seconds, in each process that collects.
"""

import importlib
import random
import sys

import ml_dtypes
import numpy as np
import pytest

from fedactors import Federation
from fedactors.errors import ConfigError, ExtraMissing, LayoutMismatch, LearnerFailed
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train
from fedactors.model import GlobalModel
from fedactors.task import EvaluateParams, TrainParams
from fedactors.testing.conformance_learner import check_learner

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
"""Keras' own conversion of PyTorch's tensors gives it; without pytest nobody is shown it."""

EVALUATE = EvaluateParams(round=1, version=0)
PATHS = {
    "sequential/dense/kernel": (4, 8),
    "sequential/dense/bias": (8,),
    "sequential/batch_normalization/gamma": (8,),
    "sequential/batch_normalization/beta": (8,),
    "sequential/batch_normalization/moving_mean": (8,),
    "sequential/batch_normalization/moving_variance": (8,),
    "sequential/dense_1/kernel": (8, 2),
    "sequential/dense_1/bias": (2,),
}


@pytest.fixture(scope="module", autouse=True)
def keras():
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KERAS_BACKEND", "torch")
        yield pytest.importorskip("keras")


def params(**given):
    return TrainParams(**({"round": 1, "version": 0, "seed": 7} | given))


def data(examples=40, seed=1):
    inputs = np.random.default_rng(seed).normal(size=(examples, 4)).astype(np.float32)
    return inputs, (inputs[:, 0] > 0).astype(np.int64)


def compiled(model, optimiser=None, **given):
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": optimiser or keras.optimizers.SGD(0.1, momentum=0.9), "loss": loss} | given)
    return model


def network():
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    parts = [layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2), layers.Dense(2)]
    return compiled(keras.Sequential([keras.Input((4,)), *parts]), metrics=["accuracy"])


def line(optimiser=None, **given):
    """What makes a model of one layer, that layer being given its name."""
    import keras

    return lambda: compiled(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="line", **given)]), optimiser)


def learner(_=None, make_model=network, train=None, test=None, batch_size=8):
    from fedactors.learner.keras import KerasLearner

    return KerasLearner(make_model, data() if train is None else train, data(20) if test is None else test, batch_size=batch_size)


def trained(one, **given):
    model = GlobalModel.initial(answer_initialise(one))
    return answer_train(one, model.layout, model.weights, params(**given)), model


def test_a_keras_learner_conforms():
    check_learner(learner)


def test_weights_travel_under_their_paths_whatever_was_made_before():
    network()
    weights = answer_initialise(learner())
    assert {path: array.shape for path, array in weights.items()} == PATHS
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}


def test_weights_survive_the_way_into_the_model_and_back():
    one = learner()
    weights = {path: np.random.default_rng(2).normal(size=shape).astype(np.float32) for path, shape in PATHS.items()}
    for array in weights.values():
        array.flags.writeable = False
    one.set_weights(weights)
    back = one.get_weights()
    assert {path: array.tobytes() for path, array in back.items()} == {path: array.tobytes() for path, array in weights.items()}


def test_a_bfloat16_layer_trains_and_stays_bfloat16():
    answer, model = trained(learner(make_model=line(dtype="bfloat16")))
    assert answer.cast == ()
    assert model.weights["sequential/line/kernel"].dtype == ml_dtypes.bfloat16
    assert answer.weights["sequential/line/kernel"].tobytes() != model.weights["sequential/line/kernel"].tobytes()


def test_training_lowers_the_loss_and_moves_batch_norms_statistics():
    one = learner(test=data(40))
    answer, model = trained(one, epochs=4.0)
    before, after = (answer_evaluate(one, weights, EVALUATE) for weights in (model.weights, answer.weights))
    assert after.metrics["loss"] < 0.5 * before.metrics["loss"]
    assert after.metrics["accuracy"] > 0.8
    assert answer.weights["sequential/batch_normalization/moving_mean"].any()
    assert not model.weights["sequential/batch_normalization/moving_mean"].any()


def test_the_next_task_begins_with_a_new_optimiser_and_new_seeds():
    old, new = learner(), learner()
    _, model = trained(old, epochs=2.0, learning_rate=0.5, seed=3)
    one, two = (answer_train(each, model.layout, model.weights, params()).weights for each in (old, new))
    assert model.layout.pack(one).tobytes() == model.layout.pack(two).tobytes()


@pytest.mark.parametrize("own", [None, 5])
def test_the_tasks_seed_is_dropouts_too_whether_or_not_it_has_one_of_its_own(keras, own):
    def dropping():
        keras.utils.set_random_seed(0)
        return compiled(keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, seed=own), keras.layers.Dense(2)]))

    one = learner(make_model=dropping, batch_size=40)  # a batch is everything: its order does not matter
    start = GlobalModel.initial(answer_initialise(one))
    first, again, other = (
        answer_train(one, start.layout, start.weights, params(seed=seed)).weights["sequential/dense/kernel"] for seed in (7, 7, 8)
    )
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_training_leaves_pythons_and_numpys_randomness_alone():
    one, before = learner(), (random.getstate(), np.random.get_state()[1].tobytes())
    trained(one)
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before


@pytest.mark.parametrize(
    ("given", "batches", "epochs", "examples"),
    [
        ({"epochs": 1.0}, 5, 1.0, 40),
        ({"epochs": 2.5}, 12, 2.4, 40),
        ({"epochs": 0.001}, 1, 0.2, 8),
        ({"steps": 7}, 7, 1.4, 40),
        ({"batch_size": 100}, 1, 1.0, 40),
    ],
)
def test_fractional_epochs_and_steps_are_trained_and_reported(given, batches, epochs, examples):
    one = learner(make_model=line())
    report = trained(one, **given)[0].report
    assert (report.num_batches, report.epochs, report.num_examples) == (batches, epochs, examples)
    assert int(one.model.optimizer.iterations) == batches
    assert report.ms_per_epoch == pytest.approx(report.ms_per_batch * batches / epochs)
    assert set(report.metrics) == {"loss"}


def test_a_tasks_learning_rate_takes_the_place_of_the_optimisers_for_that_task():
    one = learner(make_model=line())
    still, model = trained(one, learning_rate=0.0)
    assert still.weights["sequential/line/kernel"].tobytes() == model.weights["sequential/line/kernel"].tobytes()
    moved, model = trained(one)
    assert moved.weights["sequential/line/kernel"].tobytes() != model.weights["sequential/line/kernel"].tobytes()


def test_a_schedule_of_learning_rates_is_obeyed_and_cannot_be_replaced(keras):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.0])
    one, two = (learner(make_model=line(keras.optimizers.SGD(schedule))) for _ in range(2))
    _, model = trained(one)
    three, five = (answer_train(two, model.layout, model.weights, params(steps=steps)).weights for steps in (3, 5))
    assert model.layout.pack(three).tobytes() == model.layout.pack(five).tobytes()
    with pytest.raises(LearnerFailed, match=r"^the optimiser has a schedule of learning rates.*leave it out of \[train\]"):
        trained(one, learning_rate=0.5)


def test_evaluation_says_what_the_model_says_of_the_test_data():
    inputs, targets = data(20)
    one = learner(test=(inputs, targets))
    report = answer_evaluate(one, answer_initialise(one), EVALUATE)
    outputs = one.model.predict(inputs, verbose=0)
    assert report.num_examples == 20
    assert report.metrics["accuracy"] == pytest.approx(np.mean(outputs.argmax(1) == targets))
    assert set(report.metrics) == {"loss", "accuracy"}


def test_without_test_data_there_is_nothing_to_report():
    one = learner(make_model=line(), test=(np.zeros((0, 4)), np.zeros(0)))
    assert answer_evaluate(one, answer_initialise(one), EVALUATE).metrics == {}


def test_inputs_by_name_and_weights_of_examples_are_taken(keras):
    def two_inputs():
        left, right = (keras.Input((2,), name=name) for name in ("left", "right"))
        return compiled(keras.Model([left, right], keras.layers.Dense(2)(keras.layers.Concatenate()([left, right]))))

    inputs, targets = data()
    named = {"left": inputs[:, :2], "right": inputs[:, 2:]}
    answer, model = trained(learner(make_model=two_inputs, train=(named, targets, np.zeros(40)), test=(named, targets)))
    assert model.layout.pack(answer.weights).tobytes() == model.buffer.tobytes()  # nobody's example weighs anything


def test_a_model_that_was_not_built_is_built_by_the_data(keras):
    answer, _ = trained(learner(make_model=lambda: compiled(keras.Sequential([keras.layers.Dense(2)]))))
    assert answer.weights["sequential/dense/kernel"].shape == (4, 2)


async def test_a_federation_of_two_learns_what_both_have_half_of():
    inputs, targets = data(64, seed=5)
    config = {"seed": 1, "learners": {"count": 2}, "train": {"epochs": 2.0}, "stop": {"rounds": 3}}
    async with Federation(config) as federation:
        for half in (slice(0, 32), slice(32, 64)):
            federation.add_learner(learner(train=(inputs[half], targets[half]), test=(inputs, targets)))
        results = await federation.run()
    assert results.final.metrics["accuracy"] > 0.8


# --------------------------------------------------------------------------------------------------------------- refusals


def test_nothing_is_said_while_a_model_trains(capfd):
    one = learner()
    answer, _ = trained(one)
    answer_evaluate(one, answer.weights, EVALUATE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "said"), [({"proximal_mu": 0.1}, "proximal_mu"), ({"correction": {"line": np.zeros(2)}}, "the rule scaffold")]
)
def test_what_changes_gradients_is_refused_with_the_remedy(given, said):
    with pytest.raises(LearnerFailed) as caught:
        learner(make_model=line()).train({}, params(**given))
    assert str(caught.value) == f"{said} changes gradients, which Keras keeps to itself; TorchLearner obeys it"


def test_a_model_that_is_not_compiled_or_not_made_by_a_function_is_refused(keras):
    with pytest.raises(LearnerFailed, match=r"^the Keras model is not compiled: call model\.compile"):
        learner(make_model=lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    with pytest.raises(LearnerFailed, match=r"^KerasLearner was given a model; give it the function"):
        learner(make_model=line()())


def test_two_variables_of_one_path_are_refused(keras):
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = (keras.layers.Dense(4, name="twin") for _ in range(2))

        def call(self, inputs):
            return self.two(self.one(inputs))

    with pytest.raises(LearnerFailed, match=r"^2 of the Keras model's variables are called 'twins/twin/kernel'"):
        learner(make_model=lambda: compiled(Twins()))


def test_weights_of_another_shape_do_not_enter_the_model():
    kernel = {"sequential/line/kernel": np.zeros((3, 2), np.float32), "sequential/line/bias": np.zeros(2, np.float32)}
    with pytest.raises(LayoutMismatch, match=r"^the Keras model does not fit the global model: tensor 'sequential/line/kernel'"):
        learner(make_model=line()).set_weights(kernel)


def test_data_that_are_missing_or_no_arrays_are_refused():
    with pytest.raises(LearnerFailed, match=r"^there is no training data$"):
        trained(learner(make_model=line(), train=(np.zeros((0, 4)), np.zeros(0))))
    with pytest.raises(LearnerFailed, match=r"takes a tuple of arrays, inputs and targets, and was given a list$"):
        learner(make_model=line(), train=[1, 2])


@pytest.mark.parametrize(
    ("absent", "kind", "said"),
    [
        ("keras", ExtraMissing, "needs the package 'keras', which is not installed: pip install 'fedactors[keras]'"),
        ("tensorflow", ConfigError, "'tensorflow', which is not installed: set the environment's KERAS_BACKEND to torch, jax or"),
    ],
)
def test_a_package_that_is_missing_is_named_in_one_line(monkeypatch, absent, kind, said):
    class Importing:
        """In place of keras: imports its backend, and fails."""

        def find_spec(self, name, path=None, target=None):
            if name == "keras":
                raise ModuleNotFoundError(f"No module named {absent!r}", name=absent)

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delitem(sys.modules, "fedactors.learner.keras", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Importing(), *sys.meta_path])
    with pytest.raises(kind) as caught:
        importlib.import_module("fedactors.learner.keras")
    assert said in str(caught.value)
