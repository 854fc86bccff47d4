"""Breast tumours, malignant or benign, told apart by hospitals of which each sees tumours of other sizes than the rest."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from fedactors.learner.sklearn import SklearnLearner

SIZE = 0
"""The column with a tumour's mean radius."""


def my_patients(context):
    """This hospital's patients: those with small tumours go to the first, those with large ones to the last, with exceptions."""
    measures, benign = load_breast_cancer(return_X_y=True)
    measures = 3 * measures / measures.max(axis=0) - 1  # the ranges of the measurements are no secret
    rng = np.random.default_rng(context.seed)  # the same in every hospital, so that they agree who treats whom
    rank = (measures[:, SIZE] + rng.normal(scale=0.1, size=len(benign))).argsort().argsort()
    mine = rank * context.count // len(benign) == context.index
    return measures[mine], benign[mine]


def learner(context):
    x, x_test, y, y_test = train_test_split(*my_patients(context), test_size=0.25, random_state=context.seed)
    estimator = SGDClassifier(loss="log_loss", alpha=1e-4)
    return SklearnLearner(estimator, (x, y), (x_test, y_test), classes=[0, 1])
