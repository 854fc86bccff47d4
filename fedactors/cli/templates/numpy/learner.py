"""A learner in numpy: logistic regression on two features. Make it yours from top to bottom."""

import numpy as np

from fedactors import Learner


def my_data(index, count):
    """Your data in place of these: features [rows, 2] and labels [rows] of this learner, to train on and to test with."""
    rng = np.random.default_rng(index)
    y = rng.integers(2, size=250)
    x = rng.normal(size=(250, 2)) + 1.5 * (2 * y[:, None] - 1)
    return (x[:200], y[:200]), (x[200:], y[200:])


class MyLearner(Learner):
    def __init__(self, context):
        (self.x, self.y), (self.x_test, self.y_test) = my_data(context.index, context.count)
        self.num_train_examples, self.num_test_examples = len(self.y), len(self.y_test)
        self.weights = {"slope": np.zeros(2), "intercept": np.zeros(1)}

    def get_weights(self):
        """Where training starts from: the weights of one learner, drawn by the seed, become version 0."""
        return self.weights

    def set_weights(self, weights):
        """Called once, with the first global model that arrives."""
        self.weights = weights

    def train(self, weights, params):
        """From the global weights, which are read-only, to new ones; and metrics, if there are any."""
        slope, intercept = weights["slope"].copy(), weights["intercept"].copy()
        for _ in range(round(10 * params.epochs)):
            error = probability(self.x, slope, intercept) - self.y
            slope -= params.learning_rate * self.x.T @ error / len(error)
            intercept -= params.learning_rate * error.mean()
        return {"slope": slope, "intercept": intercept}, {"error": np.abs(error).mean()}

    def evaluate(self, weights, params):
        """How good the global weights are on this learner's test data."""
        says = probability(self.x_test, weights["slope"], weights["intercept"]) > 0.5
        return {"accuracy": (says == self.y_test).mean()}


def probability(x, slope, intercept):
    return 1 / (1 + np.exp(-(x @ slope + intercept)))
