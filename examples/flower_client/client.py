"""A Flower client as one finds them: scikit-learn's logistic regression on handwritten digits. It knows nothing of fedactors."""

import warnings

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss


def load_partition(partition, partitions):
    """One partition's digits: of every image in turn, the last fifth kept aside."""
    images, digits = load_digits(return_X_y=True)
    x, y = images[partition::partitions] / 16, digits[partition::partitions]
    kept = len(y) * 4 // 5
    return x[:kept], y[:kept], x[kept:], y[kept:]


class DigitsClient(NumPyClient):
    def __init__(self, partition, partitions):
        self.x, self.y, self.x_test, self.y_test = load_partition(partition, partitions)
        self.model = LogisticRegression(max_iter=1, warm_start=True)
        self.model.classes_ = np.arange(10)
        self.set_parameters([np.zeros((10, 64)), np.zeros(10)])

    def set_parameters(self, parameters):
        self.model.coef_, self.model.intercept_ = parameters

    def get_parameters(self, config):
        return [self.model.coef_, self.model.intercept_]

    def fit(self, parameters, config):
        self.set_parameters(parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one iteration does not converge, nor shall it
            self.model.fit(self.x, self.y)
        return self.get_parameters({}), len(self.y), {}

    def evaluate(self, parameters, config):
        self.set_parameters(parameters)
        loss = log_loss(self.y_test, self.model.predict_proba(self.x_test), labels=range(10))
        return loss, len(self.y_test), {"accuracy": self.model.score(self.x_test, self.y_test)}


def client_fn(context: Context):
    place = context.node_config
    return DigitsClient(place["partition-id"], place["num-partitions"]).to_client()


app = ClientApp(client_fn=client_fn)
