"""The work that every system does: MetisFL's stress test (arXiv:2311.00334). Needs numpy alone, which every peer brings.

A model of 102 layers (8 to w, 100 of w by w, w to 1, with biases), learners that give back what they got plus a little, FedAvg
over all of them, evaluation on all.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

WIDTHS = {"100K": 32, "1M": 100, "10M": 320}
HIDDEN_LAYERS = 100
EXAMPLES = 100
LOSS = 1.0
CLIENT_PROCESSES = 2  # as benchmarks/round.py has


def stress_model(parameters: str) -> dict[str, np.ndarray]:
    """204 tensors, float32; `parameters` is a key of WIDTHS."""
    sizes = [8, *[WIDTHS[parameters]] * (HIDDEN_LAYERS + 1), 1]
    model = {}
    for index, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        model[f"{index}.weight"] = np.full((fan_out, fan_in), 0.01, np.float32)
        model[f"{index}.bias"] = np.zeros(fan_out, np.float32)
    return model


def trained(tensor: np.ndarray) -> np.ndarray:
    """What a learner gives back for a tensor."""
    return tensor + np.float32(1e-3)


def shares(learners: int) -> list[range]:
    """Which learners each client process hosts."""
    bounds = [learners * place // CLIENT_PROCESSES for place in range(CLIENT_PROCESSES + 1)]
    return [range(first, last) for first, last in pairwise(bounds)]
