"""Server optimisers against torch.optim, and what they remember; against their papers in test_oracles."""

import numpy as np
import pytest
import torch

from fedactors.aggregation.fedadagrad import FedAdagrad
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedavgm import FedAvgM
from fedactors.aggregation.fedbuff import FedBuff
from fedactors.aggregation.fedyogi import FedYogi
from fedactors.aggregation.server import ServerStep
from fedactors.errors import ConfigError
from fedactors.model import GlobalModel, Layout
from tests.aggregation.layouts import committed, contributions, drawn, exact


def torch_rounds(optimiser, x, deltas, before=lambda number: None):
    for number, delta in enumerate(deltas, 1):
        before(number)
        x.grad = -torch.as_tensor(delta)
        optimiser.step()
    return x.detach().numpy()


def our_rounds(rule, start, deltas):
    layout = Layout.of({"w": start})
    fold, current = rule.fold(layout), layout.pack({"w": start})
    for delta in deltas:
        update = contributions(layout, np.random.default_rng(0), 1, current)[0]
        layout.views(update.buffer)["w"][...] = layout.views(current)["w"] + delta
        current = committed(fold, layout, [update], current)
    return layout.views(current)["w"]


START = np.random.default_rng(1).standard_normal((5, 7))
DELTAS = np.random.default_rng(2).standard_normal((20, 5, 7)) / 10


def test_fedavgm_is_torch_sgd_with_momentum():
    x = torch.tensor(START.copy(), requires_grad=True)
    expected = torch_rounds(torch.optim.SGD([x], lr=0.3, momentum=0.9), x, DELTAS)
    np.testing.assert_allclose(our_rounds(FedAvgM(0.3, 0.9), START, DELTAS), expected, rtol=1e-12, atol=1e-12)


def test_fedadagrad_is_torch_adagrad_that_starts_from_tau_squared():
    x = torch.tensor(START.copy(), requires_grad=True)
    optimiser = torch.optim.Adagrad([x], lr=0.3, eps=0.01, initial_accumulator_value=0.01**2)
    expected = torch_rounds(optimiser, x, DELTAS)
    np.testing.assert_allclose(our_rounds(FedAdagrad(0.3, tau=0.01), START, DELTAS), expected, rtol=1e-12, atol=1e-12)


def test_fedadam_is_torch_adam_without_its_bias_correction():
    """Torch divides m by 1 - b1^t and sqrt(v) by sqrt(1 - b2^t): a learning rate and an eps for each round undo that."""
    x = torch.tensor(START.copy(), requires_grad=True)
    optimiser = torch.optim.Adam([x], betas=(0.9, 0.99))
    state = {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(x), "exp_avg_sq": torch.full_like(x, 0.01**2)}
    optimiser.state[x] = state

    def undo(number):
        first, second = 1 - 0.9**number, np.sqrt(1 - 0.99**number)
        optimiser.param_groups[0] |= {"lr": 0.3 * first / second, "eps": 0.01 / second}

    expected = torch_rounds(optimiser, x, DELTAS, undo)
    np.testing.assert_allclose(our_rounds(FedAdam(0.3, tau=0.01), START, DELTAS), expected, rtol=1e-12, atol=1e-12)


def test_a_16_bit_model_remembers_updates_that_its_own_precision_would_round_away():
    layout = Layout.from_specs([("w", "bfloat16", (1,))])
    start = layout.pack({"w": np.ones(1, layout.views(np.zeros(layout.nbytes, np.uint8))["w"].dtype)})
    near = start.copy()
    layout.views(near)["w"][...] = 1 + 2.0**-7
    rng = np.random.default_rng(0)
    sent = contributions(layout, rng, 4, start)
    for update, buffer in zip(sent, (near, start, start, start), strict=True):
        update.buffer[...] = buffer
        object.__setattr__(update, "factor", 1.0)
    found = committed(ServerStep(FedAvgM(4.0, 0.0), FedAvg()), layout, sent, start)
    assert layout.views(found)["w"][0] == 1 + 2.0**-7


def test_an_optimiser_over_fedbuff_steps_along_the_discounted_differences():
    rng = np.random.default_rng(3)
    layout = Layout.from_specs([("w", "float64", (9,))])
    base, current = drawn(layout, rng), drawn(layout, rng)
    sent = contributions(layout, rng, 5, base)
    alone = committed(FedBuff(), layout, sent, current)
    stepped = committed(ServerStep(FedAvgM(0.5, 0.0), FedBuff()), layout, sent, current)
    middle = (exact(layout, alone)["w"] + exact(layout, current)["w"]) / 2
    np.testing.assert_allclose(exact(layout, stepped)["w"], middle, rtol=1e-12)


def test_a_round_that_cannot_be_combined_leaves_the_optimiser_as_it_was():
    layout = Layout.from_specs([("w", "float32", (9,))])
    rng = np.random.default_rng(4)
    current = drawn(layout, rng)
    sent, other = contributions(layout, rng, 3, current), contributions(layout, rng, 3, current)
    folds = [FedAdam().fold(layout) for _ in range(2)]
    for fold in folds:
        committed(fold, layout, sent, current)
    with pytest.raises(Exception, match="nothing to combine"):
        folds[0].commit(GlobalModel(1, layout, current.copy()))
    assert committed(folds[0], layout, other, current).tobytes() == committed(folds[1], layout, other, current).tobytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FedAvgM(0.0), "fedavgm has server_learning_rate=0.0; give a number above 0"),
        (lambda: FedAvgM(momentum=1.0), "fedavgm has momentum=1.0; give a number from 0 to below 1"),
        (lambda: FedAdam(beta2=1.0), "fedadam has beta2=1.0; give a number from 0 to below 1"),
        (lambda: FedYogi(beta1=-0.1), "fedyogi has beta1=-0.1; give a number from 0 to below 1"),
        (lambda: FedAdagrad(tau=0.0), "fedadagrad has tau=0.0; give a number above 0"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_remedy(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
