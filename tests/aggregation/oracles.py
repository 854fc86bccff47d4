"""Every rule a second time: float64 numpy, written from the papers' formulas, one coordinate like the other.

oracle = Oracle(FedAvg(), layout)
oracle.expected(contributions, current)      one round: {name: float64[shape]}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fedactors.aggregation import Contribution
from fedactors.aggregation.bulyan import Bulyan
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedadagrad import FedAdagrad
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedasync import FedAsync
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedavgm import FedAvgM
from fedactors.aggregation.fedbuff import FedBuff
from fedactors.aggregation.fednova import FedNova
from fedactors.aggregation.fedrec import FedRec
from fedactors.aggregation.fedstride import FedStride
from fedactors.aggregation.fedyogi import FedYogi
from fedactors.aggregation.geometric_median import GeometricMedian
from fedactors.aggregation.krum import Krum
from fedactors.aggregation.median import Median
from fedactors.aggregation.multi_krum import MultiKrum
from fedactors.aggregation.scaffold import Scaffold
from fedactors.aggregation.server import ServerOptimiser, ServerStep
from fedactors.aggregation.trimmed_mean import TrimmedMean
from fedactors.model import Layout, is_floating
from tests.aggregation.layouts import exact

RULES = {
    "bulyan": [Bulyan(0), Bulyan(1), Bulyan(2)],
    "fedadagrad": [FedAdagrad(0.1, 0.5, tau=0.01)],
    "fedadam": [FedAdam(0.1, tau=0.01), ServerStep(FedAdam(0.1, tau=0.01), Median())],
    "fedasync": [FedAsync(0.3), FedAsync(0.9), FedAsync(1.0)],
    "fedavg": [FedAvg(), Clipped(FedAvg(), 3.0)],
    "fedavgm": [FedAvgM(0.7, 0.8), ServerStep(FedAvgM(0.5, 0.5), FedBuff())],
    "fedbuff": [FedBuff(), FedBuff(0.5)],
    "fednova": [FedNova(), FedNova(0.9)],
    "fedrec": [FedRec()],
    "fedstride": [FedStride(1), FedStride(8), FedStride(0)],
    "fedyogi": [FedYogi(0.1, tau=0.01)],
    "geometric_median": [GeometricMedian()],
    "krum": [Krum(0), Krum(1), Krum(3)],
    "median": [Median()],
    "multi_krum": [MultiKrum(1), MultiKrum(2, chosen=3)],
    "scaffold": [Scaffold(), Scaffold(0.5)],
    "trimmed_mean": [TrimmedMean(0.1), TrimmedMean(0.2), TrimmedMean(0.34)],
}
"""What every rule is tested with, by the name that it is registered under."""


@dataclass(frozen=True)
class Round:
    """A round's updates.

    Attributes:
        learners: who sent them.
        w: float64[updates, ...] by tensor, what was sent.
        b: float64[updates, ...] by tensor, what each started from.
        p, discount, steps: [updates], of each contribution.
        floats: the names of the floating-point tensors.
    """

    learners: list[str]
    w: dict[str, np.ndarray]
    b: dict[str, np.ndarray]
    p: np.ndarray
    discount: np.ndarray
    steps: list[int]
    floats: list[str]

    @property
    def vectors(self) -> np.ndarray:
        """float64[updates, P]: every update's floating-point tensors, flat."""
        return _flat(self.w, self.floats, len(self.p))


def _flat(stacks, names, rows):
    return np.concatenate([np.zeros((rows, 0)), *(stacks[name].reshape(rows, -1) for name in names)], axis=1)


def _stacked(layout, buffers):
    each = {id(buffer): exact(layout, buffer) for buffer in buffers}  # a base is as a rule that of many
    return {t.name: np.array([each[id(b)][t.name] for b in buffers]).reshape(len(buffers), *t.shape) for t in layout.tensors}


class Oracle:
    """A rule's paper, and what it keeps from round to round."""

    def __init__(self, rule, layout: Layout) -> None:
        self.rule = ServerStep(rule, FedAvg()) if isinstance(rule, ServerOptimiser) else rule
        self.layout = layout
        self.latest: dict[str, tuple] = {}
        self.moments: dict[str, dict] = {tensor.name: {} for tensor in layout.tensors}

    def expected(self, sent: Sequence[Contribution], current: np.ndarray) -> dict[str, np.ndarray]:
        """The next version, unrounded; `current` is a buffer."""
        return self.combined(self.rule, self.round(sent), exact(self.layout, current))

    def round(self, sent: Sequence[Contribution]) -> Round:
        """The contributions in float64."""
        return Round(
            [one.learner for one in sent],
            _stacked(self.layout, [one.buffer for one in sent]),
            _stacked(self.layout, [one.base for one in sent]),
            np.array([one.factor for one in sent]),
            np.array([one.discount for one in sent]),
            [one.report.num_batches for one in sent],
            [tensor.name for tensor in self.layout.tensors if is_floating(tensor.dtype)],
        )

    def combined(self, rule, sent: Round, x):
        """What a rule makes of these updates and x."""
        return FORMULAS[type(rule)](self, rule, sent, x)

    def forget(self, learner: str) -> None:
        """A learner has left."""
        self.latest.pop(learner, None)


def weighted(sent, shares):
    return {name: np.tensordot(shares, stack, 1) for name, stack in sent.w.items()}


def stepped(sent, x, shares):
    return {name: x[name] + np.tensordot(shares, stack - sent.b[name], 1) for name, stack in sent.w.items()}


def fedavg(oracle, rule, sent, x):
    return weighted(sent, sent.p / sent.p.sum())


def fedrec(oracle, rule, sent, x):
    for index, learner in enumerate(sent.learners):
        oracle.latest[learner] = sent.p[index], {name: stack[index] for name, stack in sent.w.items()}
    total = sum(p for p, _ in oracle.latest.values())
    return {name: sum(p * w[name] for p, w in oracle.latest.values()) / total for name in x}


def fedasync(oracle, rule, sent, x):
    for index, discount in enumerate(sent.discount):
        share = rule.alpha * discount
        x = {name: (1 - share) * x[name] + share * stack[index] for name, stack in sent.w.items()}
    return x


def fedbuff(oracle, rule, sent, x):
    n = sent.p / sent.discount
    return stepped(sent, x, rule.server_learning_rate * sent.discount * n / n.sum())


def fednova(oracle, rule, sent, x):
    p = sent.p / sent.p.sum()
    lengths = np.array([local_shares(rule.momentum, steps).sum() for steps in sent.steps])
    return stepped(sent, x, (p * lengths).sum() * p / lengths)


def scaffold(oracle, rule, sent, x):
    shares = np.full(len(sent.p), rule.server_learning_rate / len(sent.p))
    return stepped(sent, x, shares)  # these models hold no variates: tests/aggregation/test_scaffold.py has those that do


def local_shares(momentum, steps):
    """The vector a_i: how much of each local step's gradient is in the update, by running the local optimiser."""
    shares, velocity = np.zeros(steps), np.zeros(steps)
    for step in range(steps):
        velocity *= momentum
        velocity[step] += 1
        shares += velocity
    return shares


# ------------------------------------------------------------------------------------------------------------ server optimisers


def server_step(oracle, rule, sent, x):
    combined = oracle.combined(rule.rule, sent, x)
    step = STEPS[type(rule.optimiser)]
    return {
        name: x[name] + step(rule.optimiser, oracle.moments[name], value - x[name]) if name in sent.floats else value
        for name, value in combined.items()
    }


def momentum(rule, state, d):
    state["m"] = rule.momentum * state.get("m", 0.0) + d
    return rule.server_learning_rate * state["m"]


def adaptive(second_moment):
    def step(rule, state, d):
        state["m"] = rule.beta1 * state.get("m", 0.0) + (1 - rule.beta1) * d
        state["v"] = second_moment(rule, state.get("v", rule.tau**2), d)
        return rule.server_learning_rate * state["m"] / (np.sqrt(state["v"]) + rule.tau)

    return step


STEPS = {
    FedAvgM: momentum,
    FedAdagrad: adaptive(lambda rule, v, d: v + d**2),
    FedAdam: adaptive(lambda rule, v, d: rule.beta2 * v + (1 - rule.beta2) * d**2),
    FedYogi: adaptive(lambda rule, v, d: v - (1 - rule.beta2) * d**2 * np.sign(v - d**2)),
}


# ------------------------------------------------------------------------------------------------------------------ robust rules


def median(oracle, rule, sent, x):
    return {name: np.median(stack, axis=0) for name, stack in sent.w.items()}


def trimmed_mean(oracle, rule, sent, x):
    out = math.floor(rule.trim * len(sent.p) + 1e-9)
    return {name: np.sort(stack, axis=0)[out : len(stack) - out].mean(axis=0) for name, stack in sent.w.items()}


def squared_distances(vectors):
    return np.stack([((vectors - one) ** 2).sum(axis=1) for one in vectors])


def scores(squared, byzantine):
    others = np.sort(np.where(np.eye(len(squared), dtype=bool), np.inf, squared), axis=1)
    return others[:, : max(len(squared) - byzantine - 2, 1)].sum(axis=1)


def krum(oracle, rule, sent, x):
    best = int(np.argmin(scores(squared_distances(sent.vectors), rule.byzantine)))
    return {name: stack[best] for name, stack in sent.w.items()}


def multi_krum(oracle, rule, sent, x):
    number = rule.chosen or len(sent.p) - rule.byzantine - 2
    best = np.argsort(scores(squared_distances(sent.vectors), rule.byzantine), kind="stable")[:number]
    return {name: stack[best].mean(axis=0) for name, stack in sent.w.items()}


def bulyan(oracle, rule, sent, x):
    squared, left, chosen = squared_distances(sent.vectors), list(range(len(sent.p))), []
    while len(left) > 2 * rule.byzantine:
        chosen.append(left.pop(int(np.argmin(scores(squared[np.ix_(left, left)], rule.byzantine)))))
    return {name: nearest(stack[chosen], len(chosen) - 2 * rule.byzantine) for name, stack in sent.w.items()}


def nearest(stack, count):
    ordered = np.sort(stack, axis=0)
    order = np.argsort(abs(ordered - np.median(ordered, axis=0)), axis=0, kind="stable")[:count]
    return np.take_along_axis(ordered, order, axis=0).mean(axis=0)


def geometric_median(oracle, rule, sent, x):
    p, vectors = sent.p / sent.p.sum(), sent.vectors
    shares, before = p, 0 * p
    for _ in range(rule.iterations):
        if np.allclose(shares, before, rtol=1e-13, atol=0):
            break
        pulls = p / np.maximum(np.linalg.norm(vectors - shares @ vectors, axis=1), rule.smoothing)
        before, shares = shares, pulls / pulls.sum()
    return weighted(sent, shares)


def clipped(oracle, rule, sent, x):
    lengths = np.linalg.norm(sent.vectors - _flat(sent.b, sent.floats, len(sent.p)), axis=1)
    scale = np.minimum(1.0, rule.bound / np.maximum(lengths, 1e-300))
    w = dict(sent.w)
    for name in sent.floats:
        each = scale.reshape(-1, *[1] * (w[name].ndim - 1))
        w[name] = sent.b[name] + each * (w[name] - sent.b[name])
    return oracle.combined(rule.rule, replace(sent, w=w), x)


FORMULAS = {
    Bulyan: bulyan,
    Clipped: clipped,
    FedAsync: fedasync,
    FedAvg: fedavg,
    FedBuff: fedbuff,
    FedNova: fednova,
    FedRec: fedrec,
    FedStride: fedavg,
    GeometricMedian: geometric_median,
    Krum: krum,
    Median: median,
    MultiKrum: multi_krum,
    Scaffold: scaffold,
    ServerStep: server_step,
    TrimmedMean: trimmed_mean,
}
