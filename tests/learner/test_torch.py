"""A PyTorch module as a learner: dtypes, buffers, seeds, steps and what is measured."""

import importlib
import sys
from functools import partial

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # only where torch is
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from fedactors.errors import ExtraMissing, LayoutMismatch, LearnerFailed  # noqa: E402
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train  # noqa: E402
from fedactors.learner.torch import TorchLearner, accuracy, copy_into, to_numpy  # noqa: E402
from fedactors.model import GlobalModel  # noqa: E402
from fedactors.task import EvaluateParams, TrainParams  # noqa: E402
from fedactors.testing.conformance_learner import check_learner  # noqa: E402

EVALUATE = EvaluateParams(round=1, version=0)


def params(**given):
    return TrainParams(**({"round": 1, "version": 0, "seed": 7} | given))


def data(examples=40):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(examples, 4, generator=generator)
    return TensorDataset(inputs, (inputs[:, 0] > 0).long())


FORTY, TWENTY = data(40), data(20)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def learner(_=None, train=FORTY, test=TWENTY, model=None, **options):
    options = {"optimiser": partial(torch.optim.SGD, lr=0.1), "batch_size": 8} | options
    return TorchLearner(model or network(), train, test, **options)


def trained(one, **given):
    model = GlobalModel.initial(answer_initialise(one))
    return answer_train(one, model.layout, model.weights, params(**given)), model


def test_a_torch_learner_conforms():
    check_learner(learner)


def test_the_whole_state_dict_is_federated_in_its_own_dtypes():
    weights = answer_initialise(learner())
    assert list(weights) == list(network().state_dict())
    assert weights["1.running_mean"].dtype == np.float32
    assert weights["1.num_batches_tracked"].dtype == np.int64
    assert weights["1.num_batches_tracked"].shape == ()


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (torch.bfloat16, ml_dtypes.bfloat16),
        (torch.float16, np.float16),
        (torch.float32, np.float32),
        (torch.float64, np.float64),
        (torch.int64, np.int64),
        (torch.bool, np.bool_),
        (torch.uint8, np.uint8),
    ],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3)])
def test_every_bit_survives_the_way_to_numpy_and_back(kind, dtype, shape):
    size = int(np.prod(shape, dtype=int)) * torch.empty((), dtype=kind).element_size()
    octets = torch.arange(size, dtype=torch.uint8) % (2 if kind is torch.bool else 251)
    tensor = octets.view(kind).reshape(shape) if shape else octets.view(kind)[0]
    array = to_numpy(tensor)
    assert (array.dtype, array.shape) == (np.dtype(dtype), shape)
    array = array.copy()
    array.flags.writeable = False
    back = torch.zeros(shape, dtype=kind)
    copy_into(back, array)
    assert to_numpy(back).tobytes() == array.tobytes() == to_numpy(tensor).tobytes()


def test_arrays_are_copied_into_tensors_that_are_not_contiguous():
    for kind in (torch.bfloat16, torch.float32):
        tensor = torch.zeros(3, 2, dtype=kind).T
        array = to_numpy(torch.arange(6, dtype=kind).reshape(2, 3))
        copy_into(tensor, array)
        assert to_numpy(tensor).tolist() == array.tolist()


def test_a_bfloat16_module_trains_and_stays_bfloat16():
    inputs = data().tensors[0].bfloat16()
    answer, model = trained(learner(model=network().bfloat16(), train=TensorDataset(inputs, data().tensors[1])))
    assert answer.cast == ()
    assert answer.weights["0.weight"].dtype == ml_dtypes.bfloat16
    assert answer.weights["0.weight"].tobytes() != model.weights["0.weight"].tobytes()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    one, two, other = (trained(learner(), seed=seed)[0].weights["4.weight"].tobytes() for seed in (7, 7, 8))
    assert one == two != other


def test_training_leaves_torchs_own_randomness_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trained_learner = learner(model=nn.Linear(4, 2))
    torch.manual_seed(3)
    trained(trained_learner)
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("given", "batches", "epochs", "examples"),
    [
        ({"epochs": 1.0}, 5, 1.0, 40),
        ({"epochs": 2.5}, 12, 2.4, 40),
        ({"epochs": 0.4}, 2, 0.4, 16),
        ({"epochs": 0.001}, 1, 0.2, 8),
        ({"steps": 7}, 7, 1.4, 40),
        ({"batch_size": 40}, 1, 1.0, 40),
    ],
)
def test_fractional_epochs_and_steps_are_trained_and_reported(given, batches, epochs, examples):
    report = trained(learner(), **given)[0].report
    assert (report.num_batches, report.epochs, report.num_examples) == (batches, epochs, examples)
    assert report.ms_per_batch > 0
    assert report.ms_per_epoch == pytest.approx(report.ms_per_batch * batches / epochs)
    assert set(report.metrics) == {"loss", "accuracy"}


def test_an_incomplete_last_batch_is_left_out_unless_it_is_the_only_one():
    assert trained(learner(train=data(41)))[0].report.num_examples == 40
    assert trained(learner(train=data(5)))[0].report.num_examples == 5


def test_a_tasks_learning_rate_takes_the_place_of_the_optimisers():
    answer, model = trained(learner(model=nn.Linear(4, 2)), learning_rate=0.0)
    assert answer.weights["weight"].tobytes() == model.weights["weight"].tobytes()


def test_a_data_loader_is_used_as_it_is_unless_the_task_says_otherwise():
    loader = DataLoader(data(), batch_size=20, shuffle=True, generator=torch.Generator())
    assert trained(learner(train=loader))[0].report.num_batches == 2
    assert trained(learner(train=loader), batch_size=10)[0].report.num_batches == 4
    first, second = (trained(learner(train=loader))[0].weights["4.weight"].tobytes() for _ in range(2))
    assert first == second


def test_evaluation_averages_over_examples_and_changes_nothing():
    one = learner(test=data(20), batch_size=8)
    weights = answer_initialise(one)
    before = {name: array.tobytes() for name, array in weights.items()}
    report = answer_evaluate(one, weights, EVALUATE)
    inputs, targets = data(20).tensors
    with torch.inference_mode():
        outputs = one.model.eval()(inputs)
    assert report.num_examples == 20
    assert report.metrics["accuracy"] == pytest.approx(float((outputs.argmax(1) == targets).float().mean()))
    assert report.metrics["loss"] == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)))
    assert {name: array.tobytes() for name, array in answer_initialise(one).items()} == before


def test_without_test_data_there_is_nothing_to_report():
    one = TorchLearner(network(), data())
    assert answer_evaluate(one, answer_initialise(one), EVALUATE).metrics == {}


def test_regression_takes_its_own_loss_and_metrics():
    inputs = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    one = learner(
        model=nn.Linear(4, 1),
        train=TensorDataset(inputs, inputs.sum(1, keepdim=True)),
        loss=nn.functional.mse_loss,
        metrics=lambda outputs, targets: {"mae": (outputs - targets).abs().mean()},
    )
    assert set(trained(one)[0].report.metrics) == {"loss", "mae"}
    assert accuracy(torch.zeros(3, 1), torch.zeros(3, 1)) == {}


def test_weights_of_another_shape_do_not_enter_the_module():
    one = learner(model=nn.Linear(4, 2))
    with pytest.raises(LayoutMismatch) as caught:
        one.set_weights({"weight": np.zeros((3, 4), np.float32), "bias": np.zeros(3, np.float32)})
    assert str(caught.value) == (
        "the module does not fit the global model: tensor 'weight' has shape [2, 4]; the global model has weight: float32[3, 4]"
    )


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fedactors.learner.torch")
    with pytest.raises(ExtraMissing) as caught:
        importlib.import_module("fedactors.learner.torch")
    assert str(caught.value) == (
        "fedactors.learner.torch needs the package 'torch', which is not installed: pip install 'fedactors[torch]'"
    )


def test_a_learner_without_data_says_so():
    with pytest.raises(LearnerFailed, match=r"^there is no training data$"):
        trained(learner(train=DataLoader(data(5), batch_size=8, drop_last=True)))
