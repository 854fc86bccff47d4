"""The same client in Flower itself, to compare: `python with_flower.py`, with flwr[simulation] and scikit-learn installed."""

import json

import numpy as np
from client import app
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

CLIENTS, ROUNDS = 3, 10


class Remembering(FedAvg):
    """FedAvg that keeps the model it made last, and prints every round's metrics."""

    def aggregate_fit(self, server_round, results, failures):
        made = super().aggregate_fit(server_round, results, failures)
        self.arrays = parameters_to_ndarrays(made[0])
        return made


def mean_accuracy(metrics):
    return {"accuracy": sum(n * one["accuracy"] for n, one in metrics) / sum(n for n, _ in metrics)}


def main():
    strategy = Remembering(
        min_fit_clients=CLIENTS,
        min_evaluate_clients=CLIENTS,
        min_available_clients=CLIENTS,
        initial_parameters=ndarrays_to_parameters([np.zeros((10, 64)), np.zeros(10)]),
        evaluate_metrics_aggregation_fn=mean_accuracy,
    )
    parts = ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=ROUNDS))
    run_simulation(ServerApp(server_fn=lambda context: parts), app, num_supernodes=CLIENTS)
    np.savez("with_flower.npz", *strategy.arrays)
    print(json.dumps({"norms": [float(np.linalg.norm(array)) for array in strategy.arrays]}))


if __name__ == "__main__":
    main()
