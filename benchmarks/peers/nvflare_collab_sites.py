"""The stress test in NVFlare's collaboration API: the server's function calls functions that the clients publish."""

from __future__ import annotations

import numpy as np
from marks import mark
from nvflare.collab import collab
from workload import LOSS, stress_model, trained

CALL_TIMEOUT_S = 600.0


class StressServer:
    """FedAvg over everyone, all with as many examples."""

    def __init__(self, parameters: str, rounds: int, marks: str) -> None:
        self.parameters = parameters
        self.rounds = rounds
        self.marks = marks

    @collab.main
    def run(self) -> None:
        """All rounds; an end of one is noted when its evaluation is in."""
        weights = stress_model(self.parameters)
        for _ in range(self.rounds):
            updates = [update for _, update in collab.clients(timeout=CALL_TIMEOUT_S).train(weights)]
            weights = average(updates)
            losses = list(collab.clients(timeout=CALL_TIMEOUT_S).evaluate(weights))
            mark(self.marks, replies=min(len(updates), len(losses)))


class StressClient:
    """Gives back what it gets, plus a little."""

    @collab.publish
    def train(self, weights):
        return {name: trained(tensor) for name, tensor in weights.items()}

    @collab.publish
    def evaluate(self, weights):
        return LOSS


def average(updates: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The mean of each tensor, accumulated in place."""
    totals = {name: tensor.copy() for name, tensor in updates[0].items()}
    for update in updates[1:]:
        for name, total in totals.items():
            total += update[name]
    for total in totals.values():
        total /= len(updates)
    return totals
