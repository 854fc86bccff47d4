"""Handwritten digits again, with a convolutional network in PyTorch: TorchLearner brings the four methods."""

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset, random_split

from fedactors.learner.torch import TorchLearner


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 2 * 2, 10),
    )  # fmt: skip


def my_digits(context):
    """This learner's images and labels: of each digit, very unequal shares (Dirichlet, alpha 0.5)."""
    images, digits = load_digits(return_X_y=True)
    rng = np.random.default_rng(context.seed)  # the same for every learner, so that they agree who owns what
    shares = rng.dirichlet([0.5] * context.count, size=10)
    owner = (rng.random((len(digits), 1)) > shares[digits].cumsum(axis=1)[:, :-1]).sum(axis=1)
    mine = owner == context.index
    return TensorDataset(torch.tensor(images[mine] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(digits[mine]))


def learner(context):
    torch.manual_seed(context.seed)
    train, test = random_split(my_digits(context), [0.8, 0.2])
    return TorchLearner(network(), train, test, optimiser=partial(torch.optim.SGD, lr=0.05), batch_size=16, num_threads=1)
