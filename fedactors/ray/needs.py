"""What a learner at work needs of a node, and how many of them find room at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

QUANTUM = 1e-4
"""The precision to which Ray counts CPUs and GPUs."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node of a cluster has.

    Attributes:
        name: its address.
        cpus: that it offers, taken or not.
        gpus: likewise.
        memory_bytes: likewise.
    """

    name: str
    cpus: float
    gpus: float
    memory_bytes: int

    def __str__(self) -> str:
        return f"{self.name}: {self.cpus:g} CPUs, {self.gpus:g} GPUs, {self.memory_bytes:,} bytes"


@dataclass(frozen=True, slots=True)
class Needs:
    """What one learner at work needs.

    Attributes:
        cpus: > 0; may be a fraction.
        gpus: >= 0; a fraction below 1, or a whole number.
        memory_bytes: > 0; None: nothing is said of memory.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int | None = None

    def options(self) -> dict[str, Any]:
        """The same as an actor's options."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_bytes}

    def room(self, nodes: Iterable[Node]) -> int:
        """How many find room on these nodes at once, if nobody else is there."""
        return sum(self._room_on(node) for node in nodes)

    def _room_on(self, node: Node) -> int:
        shares = [(node.cpus, self.cpus), (node.gpus, self.gpus), (float(node.memory_bytes), float(self.memory_bytes or 0))]
        return min(int((has + QUANTUM / 2) / needed) for has, needed in shares if needed)

    def lacking(self, nodes: Sequence[Node]) -> str | None:
        """Why no node has room for even one, in words with the remedy; None where one has."""
        if self.room(nodes):
            return None
        wished = {
            "ray.cpus_per_learner": (self.cpus, max((node.cpus for node in nodes), default=0.0)),
            "ray.gpus_per_learner": (self.gpus, max((node.gpus for node in nodes), default=0.0)),
            "ray.memory_bytes_per_learner": (self.memory_bytes or 0, max((node.memory_bytes for node in nodes), default=0)),
        }
        short = [f"{key} = {needed:g}" for key, (needed, most) in wished.items() if needed > most]
        said = " and ".join(short or [f"{key} = {needed:g}" for key, (needed, _) in wished.items() if needed])
        listed = "; ".join(map(str, nodes)) or "there is no node"
        return f"{said}: no node of the Ray cluster has that ({listed}); ask for less, or add a node"
