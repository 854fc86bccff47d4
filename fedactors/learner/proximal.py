"""FedProx on the learner's side: training is held to the global model that it started from.

def train(self, weights, params):
w = weights["w"].copy()
for x, y in self.batches(params):
gradient = proximal_gradient(self.gradient(w, x, y), w, weights["w"], params.proximal_mu)
w -= params.learning_rate * gradient
"""

from __future__ import annotations

from fedactors.model import Array


def proximal_gradient(gradient: Array, weight: Array, anchor: Array, mu: float) -> Array:
    """The gradient of F(w) + mu/2 |w - a|^2 from the gradient of F: gradient + mu (w - a).

    Args:
        gradient: of the local objective F at w, for one tensor.
        weight: w, of the gradient's shape.
        anchor: a, the same tensor of the weights that `train` was given.
        mu: >= 0, `params.proximal_mu`; with 0 the gradient itself is returned, bit for bit.

    Source: Li et al., Federated Optimization in Heterogeneous Networks, MLSys 2020, Algorithm 2, arXiv:1812.06127. There the
    local problem is solved to a given inexactness; here for as many steps as the task says.
    """
    return gradient if mu == 0 else gradient + mu * (weight - anchor)
