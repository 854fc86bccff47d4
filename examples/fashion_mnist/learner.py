"""Fashion-MNIST, photographs of clothes, learnt by a convolutional network in PyTorch from learners with unlike wardrobes."""

import gzip
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from fedactors.errors import LearnerFailed
from fedactors.learner.torch import TorchLearner

FOLDER = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package dataset-fashion-mnist puts its files."""


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def read(folder, name):
    """An idx file: uint8[images, 28, 28] or uint8[images]. Its magic number says how many axes there are."""
    path = Path(folder) / f"{name}-ubyte.gz"
    try:
        with gzip.open(path) as file:
            octets = file.read()
    except FileNotFoundError:
        raise LearnerFailed(
            f"there is no {path}: apt-get install dataset-fashion-mnist, or say where the four files are, as in "
            "--set learners.options.folder=/data"
        ) from None
    axes = octets[3]
    shape = np.frombuffer(octets, ">i4", count=axes, offset=4)
    return np.frombuffer(octets, np.uint8, offset=4 + 4 * axes).reshape(shape)


def my_share(labels, context):
    """This learner's images: of each kind of clothes unequal shares (Dirichlet, alpha 0.5), in an order of its own."""
    rng = np.random.default_rng(context.seed)  # the same for every learner, so that they agree who owns what
    bounds = rng.dirichlet([0.5] * context.count, size=10).cumsum(axis=1)[:, :-1]
    owner = (rng.random((len(labels), 1)) > bounds[labels]).sum(axis=1)
    return rng.permutation(np.flatnonzero(owner == context.index))[: context.options.get("images")]


def my_clothes(split, context):
    folder = context.options.get("folder", FOLDER)
    images, labels = read(folder, f"{split}-images-idx3"), read(folder, f"{split}-labels-idx1")
    mine = my_share(labels, context)
    pixels = torch.from_numpy(images[mine]).unsqueeze(1).float() / 255
    return TensorDataset(pixels, torch.from_numpy(labels[mine]).long())


def learner(context):
    torch.manual_seed(context.seed)
    train, test = my_clothes("train", context), my_clothes("t10k", context)
    return TorchLearner(network(), train, test, optimiser=partial(torch.optim.SGD, lr=0.05, momentum=0.9), num_threads=1)
