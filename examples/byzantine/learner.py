"""Handwritten digits among ten learners, of which some send the opposite of what they have learnt."""

import numpy as np
from sklearn.datasets import load_digits

from fedactors.learner import Learner


class DigitsLearner(Learner):
    def __init__(self, context):
        images, digits = load_digits(return_X_y=True)
        order = np.random.default_rng(context.seed).permutation(len(digits))  # the same for every learner
        mine = np.array_split(order, context.count)[context.index]
        tests = len(mine) // 5
        self.x, self.y = images[mine[tests:]] / 16, digits[mine[tests:]]
        self.x_test, self.y_test = images[mine[:tests]] / 16, digits[mine[:tests]]
        self.num_train_examples, self.num_test_examples = len(self.y), tests
        self.lies = context.index < context.options["liars"]

    def get_weights(self):
        return {"weight": np.zeros((64, 10)), "bias": np.zeros(10)}

    def set_weights(self, weights):
        pass  # nothing is kept between tasks

    def train(self, weights, params):
        weight, bias = weights["weight"].copy(), weights["bias"].copy()
        for _ in range(20):
            scores = self.x @ weight + bias
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            error = powers / powers.sum(axis=1, keepdims=True) - np.eye(10)[self.y]
            weight -= 0.5 * self.x.T @ error / len(self.y)
            bias -= 0.5 * error.mean(axis=0)
        learnt = {"weight": weight, "bias": bias}
        return {name: old + (-5 if self.lies else 1) * (learnt[name] - old) for name, old in weights.items()}, {}

    def evaluate(self, weights, params):
        says = (self.x_test @ weights["weight"] + weights["bias"]).argmax(axis=1)
        return {"accuracy": (says == self.y_test).mean()}
