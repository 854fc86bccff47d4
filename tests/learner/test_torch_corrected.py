"""SCAFFOLD's correction in PyTorch: against autograd of the loss with a linear term, whose gradient the correction is."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fedactors.learner.answers import answer_initialise, answer_train
from fedactors.learner.trainee import Trainee
from fedactors.model import GlobalModel
from fedactors.scope import Scope
from fedactors.task import TrainParams

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  # only where torch is
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from fedactors.learner.torch import TorchLearner  # noqa: E402

STEPS = 6


def learner(rate=0.1, **optimiser):
    inputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=8)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).double()
    return TorchLearner(model, loader, optimiser=partial(torch.optim.SGD, lr=rate, **optimiser))


def params(**given):
    return TrainParams(round=1, version=1, seed=7, steps=STEPS, **given)


def start():
    return GlobalModel.initial(answer_initialise(learner()))


def corrections(model):
    rng = np.random.default_rng(2)
    floats = {name: array for name, array in model.weights.items() if array.dtype == np.float64}
    return {name: 0.1 * rng.normal(size=array.shape) for name, array in floats.items() if not name.startswith("2.")}


def by_autograd(model, correction, **optimiser):
    one = learner(**optimiser)
    one.set_weights(model.weights)
    stepper = torch.optim.SGD(one.model.parameters(), lr=0.1, **optimiser)
    one.model.train()
    for inputs, targets in [batch for _ in range(2) for batch in one._train][:STEPS]:
        stepper.zero_grad()
        loss = nn.functional.cross_entropy(one.model(inputs), targets)
        named = [(name, parameter) for name, parameter in one.model.named_parameters() if name in correction]
        (loss + sum((parameter * torch.from_numpy(correction[name])).sum() for name, parameter in named)).backward()
        stepper.step()
    return {name: tensor.numpy() for name, tensor in one.model.state_dict().items()}


@pytest.mark.parametrize("optimiser", [{}, {"weight_decay": 0.01}], ids=str)
def test_steps_are_those_of_autograd_with_the_linear_term(optimiser):
    model = start()
    correction = corrections(model)
    assert any("running_mean" in name for name in correction), "buffers have variates, and no gradients to correct"
    one = learner(**optimiser)
    trained = answer_train(one, model.layout, model.weights, params(correction=correction))
    for name, expected in by_autograd(model, correction, **optimiser).items():
        np.testing.assert_allclose(trained.weights[name], expected, rtol=1e-12, atol=1e-14, err_msg=name)
    assert trained.report.metrics["learning_rate"] == 0.1


def test_a_correction_of_zero_gives_the_same_weights_and_none_the_same_metrics():
    model = start()
    without = answer_train(learner(), model.layout, model.weights, params())
    expected = {name: array.copy() for name, array in without.weights.items()}
    zeros = {name: np.zeros_like(array) for name, array in corrections(model).items()}
    trained = answer_train(learner(), model.layout, model.weights, params(correction=zeros))
    for name, array in expected.items():
        np.testing.assert_array_equal(trained.weights[name], array)
    assert set(without.report.metrics) == {"loss", "accuracy"}


def test_it_goes_together_with_the_proximal_term():
    model = start()
    correction = corrections(model)
    plain, held = (
        answer_train(learner(), model.layout, model.weights, params(correction=correction, proximal_mu=mu))
        .weights["0.weight"]
        .copy()
        for mu in (0.0, 5.0)
    )
    before = model.weights["0.weight"]
    assert np.linalg.norm(held - before) < np.linalg.norm(plain - before)


def test_own_variates_follow_from_the_optimiser_s_own_step_length():
    """With plain SGD c_i is the mean of the gradients; of one step from one batch, that batch's."""
    one = learner(rate=0.05)
    trainee = Trainee(one, Scope(variates=True))
    model = GlobalModel.initial(trainee.initialise())
    trained = trainee.train("t1", model, TrainParams(round=1, version=0, seed=7, steps=1))
    moved = (model.weights["0.weight"] - trained.weights["0.weight"]) / 0.05
    np.testing.assert_allclose(trained.weights["scaffold/0.weight"], moved, rtol=1e-12)
    assert np.abs(moved).max() > 1e-3
