"""FedProx: the proximal term of numpy learners and of PyTorch ones, against the gradient of the whole objective."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fedactors import Federation
from fedactors.errors import ConfigError
from fedactors.learner import proximal_gradient
from fedactors.learner.answers import answer_initialise, answer_train
from fedactors.model import GlobalModel
from fedactors.task import TrainParams

DATA = np.random.default_rng(5).normal(size=(30, 3))
TARGETS = np.random.default_rng(6).normal(size=30)


def least_squares(w):
    """The gradient of |Aw - b|^2 / 2n."""
    return DATA.T @ (DATA @ w - TARGETS) / len(TARGETS)


def test_the_gradient_is_that_of_the_objective_with_its_term():
    w, anchor, mu, step = np.array([0.3, -1.0, 2.0]), np.array([1.0, 0.5, -0.5]), 0.7, 1e-6

    def objective(at):
        return np.sum((DATA @ at - TARGETS) ** 2) / 2 / len(TARGETS) + mu / 2 * np.sum((at - anchor) ** 2)

    by_differences = [(objective(w + step * axis) - objective(w - step * axis)) / (2 * step) for axis in np.eye(3)]
    np.testing.assert_allclose(proximal_gradient(least_squares(w), w, anchor, mu), by_differences, rtol=1e-7)


def test_many_steps_come_to_the_optimum_of_the_objective_with_its_term():
    anchor, mu = np.array([1.0, 0.5, -0.5]), 0.7
    w = anchor.copy()
    for _ in range(500):
        w -= 0.3 * proximal_gradient(least_squares(w), w, anchor, mu)
    n = len(TARGETS)
    expected = np.linalg.solve(DATA.T @ DATA / n + mu * np.eye(3), DATA.T @ TARGETS / n + mu * anchor)
    np.testing.assert_allclose(w, expected, rtol=1e-12)


def test_without_mu_the_gradient_is_the_same_object():
    gradient = np.array([1.0, np.nan])
    assert proximal_gradient(gradient, np.array([np.inf, 1.0]), np.zeros(2), 0.0) is gradient


# ------------------------------------------------------------------------------------------------------- a federation of it


class Line:
    """One weight that is drawn to the learner's own value, by steps on |w - value|^2 / 2."""

    num_train_examples = 1

    def __init__(self, context):
        self.value = float(context.index)

    def get_weights(self):
        return {"w": np.full(2, 10.0)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        w = weights["w"].copy()
        for _ in range(params.steps):
            w -= params.learning_rate * proximal_gradient(w - self.value, w, weights["w"], params.proximal_mu)
        return {"w": w}, {}

    def evaluate(self, weights, params):
        return {"w": weights["w"][0]}


async def test_a_federation_is_held_to_the_global_model_of_each_round():
    """With many steps each learner comes to (value + mu x) / (1 + mu), so the mean goes from x to (1/2 + mu x) / (1 + mu)."""
    mu, x = 3.0, 10.0
    train = {"steps": 200, "learning_rate": 0.2, "proximal_mu": mu}
    async with Federation({"seed": 1, "learners": {"count": 2}, "train": train, "stop": {"rounds": 3}}) as federation:
        for _ in range(2):
            federation.add_learner(Line)
        await federation.run()
        found = (await federation.model()).weights["w"]
    for _ in range(3):
        x = (0.5 + mu * x) / (1 + mu)
    np.testing.assert_allclose(found, x, rtol=1e-9)


def test_a_negative_mu_is_refused():
    with pytest.raises(ConfigError, match="proximal_mu"):
        Federation({"train": {"proximal_mu": -0.1}})


# ------------------------------------------------------------------------------------------------------------------ PyTorch


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def params(**given):
    return TrainParams(**({"round": 1, "version": 0, "seed": 7, "steps": 6, "learning_rate": 0.1} | given))


def torch_learner(torch, **optimiser):
    from fedactors.learner.torch import TorchLearner

    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 4, generator=generator, dtype=torch.float64)
    data = torch.utils.data.TensorDataset(inputs, (inputs[:, 0] > 0).long())
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2)).double()
    return TorchLearner(model, loader, optimiser=partial(torch.optim.SGD, lr=0.1, **optimiser))


def trained(learner, start, **given):
    model = GlobalModel.initial(start)
    return answer_train(learner, model.layout, model.weights, params(**given)).weights


def by_autograd(torch, learner, start, mu, **optimiser):
    """The same steps, with the whole objective in the loss."""
    learner.set_weights(start)
    anchors = [parameter.detach().clone() for parameter in learner.model.parameters()]
    stepper = torch.optim.SGD(learner.model.parameters(), lr=0.1, **optimiser)
    learner.model.train()
    batches = [batch for _ in range(2) for batch in learner._train][:6]
    for inputs, targets in batches:
        stepper.zero_grad()
        loss = torch.nn.functional.cross_entropy(learner.model(inputs), targets)
        if mu:
            pairs = zip(learner.model.parameters(), anchors, strict=True)
            loss = loss + mu / 2 * sum(((parameter - anchor) ** 2).sum() for parameter, anchor in pairs)
        loss.backward()
        stepper.step()
    return {name: tensor.detach().numpy().copy() for name, tensor in learner.model.state_dict().items()}


@pytest.mark.parametrize("optimiser", [{}, {"momentum": 0.9, "weight_decay": 0.01}], ids=str)
def test_torch_steps_are_those_of_autograd_on_the_whole_objective(torch, optimiser):
    start = {name: array.copy() for name, array in answer_initialise(torch_learner(torch)).items()}
    found = trained(torch_learner(torch, **optimiser), start, proximal_mu=0.8)
    expected = by_autograd(torch, torch_learner(torch, **optimiser), start, 0.8, **optimiser)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-14, err_msg=name)
    without = trained(torch_learner(torch, **optimiser), start)
    assert np.linalg.norm(found["0.weight"] - start["0.weight"]) < np.linalg.norm(without["0.weight"] - start["0.weight"])


def test_torch_without_mu_gives_the_same_bits(torch):
    start = {name: array.copy() for name, array in answer_initialise(torch_learner(torch)).items()}
    found, expected = trained(torch_learner(torch), start), by_autograd(torch, torch_learner(torch), start, 0.0)
    assert {name: array.tobytes() for name, array in found.items()} == {n: a.tobytes() for n, a in expected.items()}


def test_torch_leaves_parameters_that_are_not_trained_where_they_are(torch):
    learner = torch_learner(torch)
    learner.model[0].weight.requires_grad_(False)
    start = {name: array.copy() for name, array in answer_initialise(learner).items()}
    found = trained(learner, start, proximal_mu=0.8)
    assert found["0.weight"].tobytes() == start["0.weight"].tobytes()
    assert found["2.weight"].tobytes() != start["2.weight"].tobytes()
