"""Flower's clients as learners, without flwr: how they are found, what they are told, and what comes of what they return."""

import sys
from textwrap import dedent

import numpy as np
import pytest

from fedactors import plugins
from fedactors.errors import ConfigError, FedactorsError, LearnerFailed
from fedactors.learner import LearnerContext, build_learner
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train
from fedactors.learner.flower import flower
from fedactors.model import GlobalModel
from fedactors.task import EvaluateParams, TrainParams
from fedactors.testing.conformance_learner import check_learner

CLIENT = """
    import flwr as fl
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import Context, NDArrays, Scalar
    from flwr.common.logger import log
    import numpy as np

    class Adds(fl.client.NumPyClient):
        '''Adds its number plus one, in place; `told` are the configs that it was given.'''

        def __init__(self, number=0, context=None):
            self.number, self.context, self.told = number, context, []

        def get_parameters(self, config):
            return [np.zeros((2, 3)), np.zeros(3, np.float32)]

        def fit(self, parameters, config):
            self.told.append(config)
            for array in parameters:
                array += 1 + self.number
            return parameters, 10, {"loss": 0.5, "note": "in words", "raw": b"bytes", "well": True}

        def evaluate(self, parameters: NDArrays, config: dict[str, Scalar]):
            self.told.append(config)
            return float(parameters[0].mean()), 5, {"accuracy": 0.25}

    def client_fn(context: Context):
        return Adds(context.node_config["partition-id"], context).to_client()

    def old_client_fn(cid: str):
        return Adds(int(cid))

    class FitOnly(NumPyClient):
        def fit(self, parameters, config):
            return parameters, 1, {}

    ready = Adds(7)
    app = ClientApp(client_fn=client_fn)
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """What is loaded of a client's file: an entry."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "client.py").write_text(dedent(CLIENT))

    def load(name):
        found = plugins.load_learner(f"flower:client.py:{name}", tmp_path)
        monkeypatch.delitem(sys.modules, "client", raising=False)
        return found

    return load


def context(index=0, **options):
    return LearnerContext(f"learner-{index}", index, 3, 42, options)


def trained(learner, **given):
    model = GlobalModel.initial(answer_initialise(learner))
    return answer_train(learner, model.layout, model.weights, TrainParams(**{"round": 4, "version": 3, "seed": 7} | given))


@pytest.mark.parametrize("name", ["client_fn", "app", "Adds", "ready", "old_client_fn"])
def test_a_client_conforms_however_it_is_named(loaded, name):
    check_learner(loaded(name))


@pytest.mark.parametrize(("name", "number"), [("client_fn", 2), ("app", 2), ("old_client_fn", 2), ("Adds", 0), ("ready", 7)])
def test_a_client_fn_is_told_which_partition_it_is(loaded, name, number):
    assert build_learner(loaded(name), context(2)).client.number == number


def test_a_context_has_the_partitions_and_the_run_config(loaded):
    found = build_learner(loaded("client_fn"), context(1, **{"local-epochs": 2})).client.context
    assert found.node_config == {"partition-id": 1, "num-partitions": 3}
    assert (found.run_config, found.node_id, found.run_id, found.state) == ({"local-epochs": 2}, 1, 42, {})


def test_fit_is_told_the_round_and_what_the_configuration_says(loaded):
    learner = build_learner(loaded("client_fn"), context())
    trained(learner, learning_rate=0.1, options={"local_epochs": 2})
    answer_evaluate(learner, {"0000": np.zeros((2, 3)), "0001": np.zeros(3, np.float32)}, EvaluateParams(4, 4, {"limit": 9}))
    fit, evaluate = learner.client.told
    assert fit == {
        "server_round": 4, "version": 3, "seed": 7, "epochs": 1.0, "learning_rate": 0.1, "proximal_mu": 0.0, "local_epochs": 2
    }  # fmt: skip
    assert evaluate == {"server_round": 4, "version": 4, "limit": 9}


def test_parameters_are_the_clients_own_and_keep_their_order_and_dtypes(loaded):
    answer = trained(build_learner(loaded("client_fn"), context(1)))
    assert [(name, array.dtype, array.flat[0]) for name, array in answer.weights.items()] == [
        ("0000", np.float64, 2.0), ("0001", np.float32, 2.0)
    ]  # fmt: skip
    assert answer.cast == ()


def test_examples_count_and_metrics_that_are_no_numbers_are_left_out(loaded):
    report = trained(build_learner(loaded("client_fn"), context())).report
    assert (report.num_examples, report.metrics) == (10, {"loss": 0.5, "well": 1.0})


def test_the_loss_is_a_metric_like_others(loaded):
    learner = build_learner(loaded("client_fn"), context())
    report = answer_evaluate(learner, {"0000": np.full((2, 3), 0.5), "0001": np.zeros(3, np.float32)}, EvaluateParams(1, 1))
    assert (report.num_examples, report.metrics) == (5, {"loss": 0.5, "accuracy": 0.25})


def test_a_client_that_does_not_evaluate_is_no_part_of_the_mean(loaded):
    report = answer_evaluate(build_learner(loaded("FitOnly"), context()), {"0000": np.zeros(1)}, EvaluateParams(1, 1))
    assert (report.num_examples, report.metrics) == (0, {})


def test_a_client_without_parameters_to_start_from_is_told_what_to_do(loaded):
    learner = build_learner(loaded("FitOnly"), context())
    with pytest.raises(LearnerFailed, match=r'get_parameters\(config\) return them, or write initial = "file:PATH\.safetensors"'):
        answer_initialise(learner)
    model = GlobalModel.initial({"0000": np.ones(2)})  # read from such a file
    assert answer_train(learner, model.layout, model.weights, TrainParams(1, 0, 0)).weights["0000"].tolist() == [1, 1]


def test_nothing_of_flwr_is_left_behind(loaded):
    build_learner(loaded("client_fn"), context())
    assert not [name for name in sys.modules if name.partition(".")[0] == "flwr"]
    with pytest.raises(ModuleNotFoundError):
        import flwr  # noqa: F401


def test_what_to_client_wraps_where_flwr_is_installed_is_found(loaded):
    inner = build_learner(loaded("Adds"), context()).client

    class Wrapper:
        numpy_client = inner

    assert build_learner(flower(lambda: Wrapper()), context()).client is inner


class Client:
    """As flwr's own, whose methods take and return messages."""

    __module__ = "flwr.client.client"

    def fit(self, ins):
        """Never called."""


class Pair:
    """Returns two things where three are due."""

    def fit(self, parameters, config):
        return parameters, {}

    def evaluate(self, parameters, config):
        return 0.5


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda: object(), "gave an object without fit; a NumPyClient has get_parameters, fit and evaluate"),
        (lambda: Client(), "gave a Client, which speaks in Flower's messages"),
        (type("ClientApp", (), {})(), "ClientApp is a ClientApp of the installed flwr; name its client_fn in its place"),
    ],
)
def test_what_is_no_numpy_client_is_refused(found, said):
    with pytest.raises(LearnerFailed, match=said):
        build_learner(flower(lambda: found), context())


def test_results_of_another_form_are_refused():
    learner = build_learner(flower(lambda: Pair()), context())
    model = GlobalModel.initial({"0000": np.zeros(1)})
    with pytest.raises(LearnerFailed, match=r"^fit\(\) returned a tuple; it returns \(parameters, num_examples, metrics\)"):
        answer_train(learner, model.layout, model.weights, TrainParams(1, 0, 0))
    with pytest.raises(LearnerFailed, match=r"^evaluate\(\) returned a float; it returns \(loss, num_examples, metrics\)"):
        answer_evaluate(learner, model.weights, EvaluateParams(1, 0))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from flwr.common import FitIns", r"flwr\.common\.FitIns is not at hand: fedactors brings .* pip install flwr"),
        (
            "from flwr.clientapp import ClientApp\napp = ClientApp()",
            "a ClientApp of @app.train functions speaks",
        ),
        (
            "from flwr.client import ClientApp\napp = ClientApp(len, mods=[len])",
            "a ClientApp with mods speaks in",
        ),
        ("import flwr_datasets", "No module named 'flwr_datasets'"),
    ],
)
def test_what_fedactors_does_not_stand_in_for_is_named(tmp_path, monkeypatch, line, said):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "client_with_more.py").write_text(line)
    with pytest.raises(FedactorsError, match=said):
        plugins.load_learner("flower:client_with_more.py:app", tmp_path)


def test_a_file_without_an_object_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "client.py").write_text("")
    with pytest.raises(ConfigError, match=r'name the client, too: entry = "flower:client\.py:client_fn"'):
        plugins.load_learner("flower:client.py", tmp_path)


def test_a_misspelt_style_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"no learner style named 'flowr'; did you mean 'flower'\? \(known: flower, script\)"):
        plugins.load_learner("flowr:client.py:client_fn", tmp_path)


def test_a_module_of_a_style_s_name_is_a_module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "flower.py").write_text("rose = 5")
    try:
        assert plugins.load_learner("flower:rose", tmp_path) == 5
    finally:
        sys.modules.pop("flower", None)
