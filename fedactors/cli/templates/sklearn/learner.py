"""A learner with scikit-learn: SklearnLearner wraps an estimator that has partial_fit. Make it yours from top to bottom."""

import numpy as np
from sklearn.linear_model import SGDClassifier

from fedactors.learner.sklearn import SklearnLearner


def my_data(index, count):
    """Your data in place of these: features [rows, 2] and labels [rows] of this learner, to train on and to test with."""
    rng = np.random.default_rng(index)
    y = rng.integers(2, size=250)
    x = rng.normal(size=(250, 2)) + 1.5 * (2 * y[:, None] - 1)
    return (x[:200], y[:200]), (x[200:], y[200:])


def learner(context):
    train, test = my_data(context.index, context.count)
    model = SGDClassifier(loss="log_loss")  # or MLPClassifier, SGDRegressor, MLPRegressor, GaussianNB, ...
    return SklearnLearner(model, train, test, classes=[0, 1])  # the classes of all learners together; none for a regressor
