"""The stress test as a Flower app of today's kind (messages and records), for its simulation and its deployment engine.

The run's configuration says the model, the rounds and the learners, where marks go, and which processes belong to the controller
besides the one that runs the server's app ("" for none).
"""

from __future__ import annotations

from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Message
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from marks import mark
from workload import EXAMPLES, LOSS, stress_model, trained

client = ClientApp()


@client.train()
def train(message, _context):
    """Give back what came, plus a little."""
    arrays = ArrayRecord([trained(tensor) for tensor in message.content["arrays"].to_numpy_ndarrays()])
    metrics = MetricRecord({"num-examples": EXAMPLES})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@client.evaluate()
def evaluate(message, _context):
    """A constant."""
    metrics = MetricRecord({"loss": LOSS, "num-examples": EXAMPLES})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


class MarkedFedAvg(FedAvg):
    """Everyone in every round, whose end is noted."""

    def __init__(self, config) -> None:
        everyone = config["learners"]
        super().__init__(min_train_nodes=everyone, min_evaluate_nodes=everyone, min_available_nodes=everyone)
        self.marks = config["marks"]
        self.others = [int(pid) for pid in config["controller-pids"].split()]

    def aggregate_evaluate(self, server_round, replies):
        replies = list(replies)
        aggregated = super().aggregate_evaluate(server_round, replies)
        mark(self.marks, sum(not reply.has_error() for reply in replies), self.others)
        return aggregated


def server_for(config) -> ServerApp:
    """A server's app with this configuration; with None, the one that the run brings."""
    server = ServerApp()

    @server.main()
    def rounds(grid, context) -> None:
        asked = config or context.run_config
        weights = ArrayRecord(list(stress_model(asked["parameters"]).values()))
        MarkedFedAvg(asked).start(grid=grid, initial_arrays=weights, num_rounds=asked["rounds"])

    return server


server = server_for(None)
