"""Handwritten digits with a softmax in numpy, trained for exactly as many batches as the protocol asks for."""

import numpy as np
from sklearn.datasets import load_digits

from fedactors.learner import Learner

BATCH = 16


class DigitsLearner(Learner):
    def __init__(self, context):
        images, digits = load_digits(return_X_y=True)
        rng = np.random.default_rng(context.seed)  # the same for every learner, so that they agree who owns what
        shares = rng.dirichlet([0.5] * context.count, size=10)  # of each digit: very unequal
        owner = (rng.random((len(digits), 1)) > shares[digits].cumsum(axis=1)[:, :-1]).sum(axis=1)
        mine = rng.permutation(np.flatnonzero(owner == context.index))
        tests = len(mine) // 5
        self.x, self.y = images[mine[tests:]] / 16, digits[mine[tests:]]
        self.x_test, self.y_test = images[mine[:tests]] / 16, digits[mine[:tests]]
        self.num_train_examples, self.num_test_examples = len(self.y), tests
        self.start = {"hidden": rng.normal(0, 0.1, (64, 32)), "output": rng.normal(0, 0.1, (32, 10))}

    def get_weights(self):
        return self.start

    def set_weights(self, weights):
        pass  # nothing is kept between tasks

    def train(self, weights, params):
        hidden, output = weights["hidden"].copy(), weights["output"].copy()
        per_epoch = -(-len(self.y) // BATCH)
        steps = params.steps or round(params.epochs * per_epoch)
        rng = np.random.default_rng(params.seed)
        for _ in range(steps):
            batch = rng.integers(len(self.y), size=BATCH)
            active = np.maximum(self.x[batch] @ hidden, 0)
            error = softmax(active @ output) - np.eye(10)[self.y[batch]]
            hidden -= 0.2 / BATCH * self.x[batch].T @ ((error @ output.T) * (active > 0))
            output -= 0.2 / BATCH * active.T @ error
        return {"hidden": hidden, "output": output}, {"num_batches": steps, "epochs": steps / per_epoch}

    def evaluate(self, weights, params):
        active = np.maximum(self.x_test @ weights["hidden"], 0)
        return {"accuracy": ((active @ weights["output"]).argmax(axis=1) == self.y_test).mean()}


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
