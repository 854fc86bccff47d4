"""A client in Flower's manner: it runs there, and here without a change and without flwr. Make it yours from top to bottom."""

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context


def my_data(partition, partitions):
    """Your data in place of these: features [rows, 2] and labels [rows] of this client, to train on and to test with."""
    rng = np.random.default_rng(partition)
    y = rng.integers(2, size=250)
    x = rng.normal(size=(250, 2)) + 1.5 * (2 * y[:, None] - 1)
    return (x[:200], y[:200]), (x[200:], y[200:])


class MyClient(NumPyClient):
    def __init__(self, partition, partitions):
        (self.x, self.y), (self.x_test, self.y_test) = my_data(partition, partitions)

    def get_parameters(self, config):
        return [np.zeros(2), np.zeros(1)]

    def fit(self, parameters, config):
        slope, intercept = parameters
        for _ in range(10):
            error = probability(self.x, slope, intercept) - self.y
            slope -= config["learning_rate"] * self.x.T @ error / len(error)
            intercept -= config["learning_rate"] * error.mean()
        return [slope, intercept], len(self.y), {}

    def evaluate(self, parameters, config):
        says = probability(self.x_test, *parameters)
        loss = -np.log(np.where(self.y_test == 1, says, 1 - says)).mean()
        return loss, len(self.y_test), {"accuracy": ((says > 0.5) == self.y_test).mean()}


def probability(x, slope, intercept):
    return 1 / (1 + np.exp(-(x @ slope + intercept)))


def client_fn(context: Context):
    return MyClient(context.node_config["partition-id"], context.node_config["num-partitions"]).to_client()


app = ClientApp(client_fn=client_fn)
