"""Flower's direct gRPC server: `start_server` and `start_client`, deprecated, and the fastest of its paths over a real network.

The server is this process, the controller; the clients are threads of two others, each with a connection of its own.
"""

from __future__ import annotations

import os

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"  # flwr reads it when it is imported

import logging
import sys
import threading

from flwr.client import NumPyClient, start_client
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg
from marks import mark
from runner import Request, free_port, main, processes
from workload import EXAMPLES, LOSS, shares, stress_model, trained


class Idle(NumPyClient):
    """Gives back what it gets, plus a little."""

    def fit(self, parameters, config):
        return [trained(tensor) for tensor in parameters], EXAMPLES, {}

    def evaluate(self, parameters, config):
        return LOSS, EXAMPLES, {}


class MarkedFedAvg(FedAvg):
    """Everyone in every round, whose end is noted."""

    def __init__(self, request: Request) -> None:
        everyone = request.learners
        super().__init__(
            min_fit_clients=everyone,
            min_evaluate_clients=everyone,
            min_available_clients=everyone,
            initial_parameters=ndarrays_to_parameters(list(stress_model(request.parameters).values())),
        )
        self.marks = request.marks

    def aggregate_evaluate(self, server_round, results, failures):
        aggregated = super().aggregate_evaluate(server_round, results, failures)
        mark(self.marks, replies=len(results))
        return aggregated


def serve(request: Request) -> None:
    """The server here, the clients elsewhere; returns when the server has sent them home."""
    address = f"127.0.0.1:{free_port()}"
    with processes([[sys.executable, __file__, "--clients", address, len(share)] for share in shares(request.learners)]):
        start_server(server_address=address, config=ServerConfig(num_rounds=request.rounds), strategy=MarkedFedAvg(request))


def host_clients(address: str, count: int) -> None:
    """Clients in threads of this process, until the server sends them home; silent, a line a message would slow them down."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    connect = {"server_address": address, "insecure": True}
    threads = [threading.Thread(target=start_client, kwargs={**connect, "client": Idle().to_client()}) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if sys.argv[1] == "--clients":
        host_clients(sys.argv[2], int(sys.argv[3]))
    else:
        main("flower_grpc", "flwr", serve)
