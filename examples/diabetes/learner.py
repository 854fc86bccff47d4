"""How diabetes goes on within a year, foretold from ten measures: a small network for tabular data, from scikit-learn."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from fedactors.learner.sklearn import SklearnLearner

AGE = 0
SCALE = 100.0
"""Of the target, a score between 25 and 346: networks learn numbers around 1."""


def my_patients(context):
    """This practice's patients; the practices treat people of different ages."""
    measures, progress = load_diabetes(return_X_y=True)
    rng = np.random.default_rng(context.seed)  # the same in every practice, so that they agree who treats whom
    rank = (measures[:, AGE] + rng.normal(scale=0.05, size=len(progress))).argsort().argsort()
    mine = rank * context.count // len(progress) == context.index
    return measures[mine] * 20, progress[mine] / SCALE  # the measures come scaled to a sum of squares of 1


def learner(context):
    x, x_test, y, y_test = train_test_split(*my_patients(context), test_size=0.25, random_state=context.seed)
    network = MLPRegressor(hidden_layer_sizes=(10, 10), solver="sgd", momentum=0, random_state=context.seed)
    return SklearnLearner(network, (x, y), (x_test, y_test), batch_size=16)
