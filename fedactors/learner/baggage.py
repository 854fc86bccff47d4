"""What stays with a learner: the tensors that are its own, between one global model and the next. Pure.

the learner's weights ──taken_from──▶ the names of all, copies of its own
the global model      ──whole───────▶ all tensors, in the learner's order       for train, evaluate and set_weights
what it has trained   ──keep────────▶ copies of its own; the rest travels

FedBN keeps batch norm at home like this, and LoRA the base that its adapters stand on.

Source: Li et al., FedBN: Federated Learning on Non-IID Features via Local Batch Normalization, ICLR 2021, Algorithm 1,
arXiv:2102.07623.
"""

from __future__ import annotations

from fedactors.errors import LayoutMismatch
from fedactors.model import Array, Weights
from fedactors.scope import Scope


class Baggage:
    """The tensors of one learner that do not travel, and the order of all that it has.

    Attributes:
        names: of all its tensors, in its own order.
    """

    def __init__(self, scope: Scope, weights: Weights) -> None:
        """Look through all weights of a learner, and copy its own."""
        self.names = tuple(weights)
        self._travelling = frozenset(name for name in weights if scope.travels(name))
        self._own: dict[str, Array] = {}
        self.keep(weights)

    def whole(self, received: Weights) -> Weights:
        """The learner's tensors, all of them: those received, and its own; all read-only if those received are.

        Raises:
            LayoutMismatch: a tensor that travels is missing here or there; the message names it.
        """
        stranger = next((name for name in received if name not in self._travelling), None)
        if stranger is not None:
            raise LayoutMismatch(f"tensor {stranger!r} of the global model is none of this learner's that travel")
        missing = next((name for name in self.names if name in self._travelling and name not in received), None)
        if missing is not None:
            raise LayoutMismatch(f"this learner's tensor {missing!r} travels, and the global model has none of that name")
        return {name: received[name] if name in self._travelling else self._own[name] for name in self.names}

    def keep(self, weights: Weights) -> None:
        """Copy the learner's own out of all its weights."""
        own = {name: array.copy() for name, array in weights.items() if name not in self._travelling}
        for array in own.values():
            array.flags.writeable = False
        self._own = own
