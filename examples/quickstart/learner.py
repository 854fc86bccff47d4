"""Handwritten digits, learnt together by learners of which each has seen other digits than the rest."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from fedactors.learner import Learner


class DigitsLearner(Learner):
    def __init__(self, context):
        images, digits = load_digits(return_X_y=True)
        rng = np.random.default_rng(context.seed)  # the same for every learner, so that they agree who owns what
        shares = rng.dirichlet([0.5] * context.count, size=10)  # of each digit: very unequal
        owner = (rng.random((len(digits), 1)) > shares[digits].cumsum(axis=1)[:, :-1]).sum(axis=1)
        mine = owner == context.index
        data = train_test_split(images[mine].astype("float32") / 16, digits[mine], test_size=0.2, random_state=context.seed)
        self.x, self.x_test, self.y, self.y_test = data
        self.num_train_examples, self.num_test_examples = len(self.y), len(self.y_test)
        self.model = MLPClassifier(64, solver="sgd", learning_rate_init=0.2, momentum=0, batch_size=16, random_state=context.seed)
        self.model.partial_fit(self.x, self.y, classes=range(10))

    def get_weights(self):
        return [*self.model.coefs_, *self.model.intercepts_]

    def set_weights(self, weights):
        weights = [tensor.copy() for tensor in weights]
        self.model.coefs_, self.model.intercepts_ = weights[:2], weights[2:]

    def train(self, weights, params):
        self.set_weights(weights)
        self.model.random_state = params.seed
        for _ in range(round(params.epochs)):
            self.model.partial_fit(self.x, self.y)
        return self.get_weights(), {"loss": self.model.loss_}

    def evaluate(self, weights, params):
        self.set_weights(weights)
        loss = log_loss(self.y_test, self.model.predict_proba(self.x_test), labels=range(10))
        return {"loss": loss, "accuracy": self.model.score(self.x_test, self.y_test)}
