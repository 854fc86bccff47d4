"""A learner with PyTorch: TorchLearner wraps a module, its data, a loss and an optimiser. Make it yours from top to bottom."""

from functools import partial

import torch
from torch import nn
from torch.utils.data import TensorDataset, random_split

from fedactors.learner.torch import TorchLearner


def my_data(index, count):
    """Your data in place of these: a Dataset of (features, label) of this learner."""
    generator = torch.Generator().manual_seed(index)
    y = torch.randint(2, (250,), generator=generator)
    x = torch.randn(250, 2, generator=generator) + 1.5 * (2 * y[:, None] - 1)
    return TensorDataset(x, y)


def my_model():
    """Your module in place of this."""
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))


def learner(context):
    torch.manual_seed(context.seed)
    train, test = random_split(my_data(context.index, context.count), [0.8, 0.2])
    optimiser = partial(torch.optim.SGD, lr=0.1)  # [train] learning_rate takes the place of lr
    return TorchLearner(my_model(), train, test, loss=nn.functional.cross_entropy, optimiser=optimiser, num_threads=1)
