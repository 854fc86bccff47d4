"""Optimisers on the server: what the cohort's combined update is the gradient of.

    combined = what a rule makes of the round's updates      (fedavg, median, ...)
    d        = combined - x                                  the pseudo-gradient, downhill
    x        <- x + what the optimiser makes of d

Any rule whose result is a combination of the round's updates can be the one that combines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from fedactors.aggregation._kernels import accumulator, blocks, values, zero_padding
from fedactors.aggregation.base import Contribution, Fold, Rule
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.lanes import share_out
from fedactors.aggregation.state import NOTHING, FoldState, put_back
from fedactors.aggregation.widened import Widened
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.model import DTYPES, Array, Buffer, GlobalModel, Layout, Weights, is_floating

OWN = "optimiser."
"""What the names of an optimiser's arrays begin with, among those of the rule that combines."""


class Stepper(ABC):
    """An optimiser at work on one run of a model: its state, and how it steps."""

    @abstractmethod
    def step(self, at: slice, delta: Array) -> None:
        """Turn a block of the pseudo-gradient, in place, into what is added to x; `at` is the block's place in the run.

        Several blocks may be stepped at once, in any order.
        """

    def state(self) -> Weights:
        """The arrays that are kept from step to step, by name; what was kept is copied into them on `Fold.restore`."""
        return NOTHING


class ServerOptimiser(Rule):
    """A rule that steps along the combined update; by itself it combines by fedavg, otherwise `ServerStep(optimiser, rule)`.

    Floating-point tensors are stepped, in float32 (float64 for float64); integers and bools are what the combining rule says.
    16-bit tensors are combined in float32, so that their small updates are not lost before the optimiser sees them.
    Memory: the optimiser's state stays from round to round, one or two float32 models; each commit puts a copy into the model
    store, so that a restarted aggregator and a resumed run go on with it.
    """

    elementwise: ClassVar[bool] = True

    @abstractmethod
    def stepper(self, size: int, dtype: np.dtype[Any]) -> Stepper:
        """The optimiser at work on a run of so many elements; its state has this dtype."""

    @override
    def fold(self, layout: Layout) -> Fold:
        return ServerStep(self, FedAvg()).fold(layout)


@dataclass(frozen=True, slots=True)
class ServerStep(Wrapping):
    """A server optimiser over a combining rule.

    Attributes:
        optimiser: what steps.
        rule: what makes one update of the round's.
    """

    optimiser: ServerOptimiser
    rule: Rule

    @property
    def elementwise(self) -> bool:  # type: ignore[override]  # as the rule that combines
        """As the rule that combines."""
        return self.rule.elementwise

    @override
    def fold(self, layout: Layout) -> Fold:
        return ServerFold(self, layout)


class ServerFold(WrappingFold):
    """The combining rule's fold, and the optimiser's state for each floating-point run."""

    def __init__(self, rule: ServerStep, layout: Layout) -> None:
        self._widened = Widened(layout, keeps=rule.keeps_updates)
        super().__init__(rule.rule.fold(self._widened.layout))
        self._runs = [
            (dtype, start, end, self._stepper(rule.optimiser, dtype, end - start) if is_floating(dtype) else None)
            for dtype, start, end in self._widened.layout.runs()
            if start < end
        ]

    @staticmethod
    def _stepper(optimiser: ServerOptimiser, dtype: str, nbytes: int) -> Stepper:
        return optimiser.stepper(nbytes // DTYPES[dtype].itemsize, np.dtype(accumulator(dtype)))

    @override
    def add(self, contribution: Contribution) -> None:
        self._fold.add(self._widened.contribution(contribution))

    @override
    def commit(self, current: GlobalModel) -> Buffer:
        wide = self._wide(current)
        return self._stepped(wide, self._fold.commit(wide))

    @override
    def commit_with(self, contributions: Sequence[Contribution], current: GlobalModel) -> Buffer:
        if self._widened.copies:
            return super().commit_with(contributions, current)
        return self._stepped(current, self._fold.commit_with(contributions, current))

    @override
    def state(self) -> FoldState:
        inner = self._fold.state()
        return replace(inner, arrays={**inner.arrays, **self._moments()})

    @override
    def restore(self, state: FoldState) -> None:
        own = self._moments()
        put_back({name: array for name, array in state.arrays.items() if name.startswith(OWN)}, own)
        inner = {name: array for name, array in state.arrays.items() if name not in own}
        self._fold.restore(replace(state, arrays=inner))

    def _moments(self) -> dict[str, Array]:
        """The optimiser's arrays, by the number of their run."""
        return {
            f"{OWN}{number}.{name}": array
            for number, (_, _, _, stepper) in enumerate(self._runs)
            if stepper is not None
            for name, array in stepper.state().items()
        }

    def _wide(self, current: GlobalModel) -> GlobalModel:
        return GlobalModel(current.version, self._widened.layout, self._widened.buffer(current.buffer))

    def _stepped(self, current: GlobalModel, combined: Buffer) -> Buffer:
        """The next version, in the memory of what was combined where the layout is no wider than the model's."""
        for dtype, start, end, stepper in self._runs:
            if stepper is not None:
                _step(stepper, values(current.buffer, dtype, start, end), values(combined, dtype, start, end))
        zero_padding(combined, self._widened.layout)
        return self._widened.narrowed(combined)


def _step(stepper: Stepper, x: Array, combined: Array) -> None:
    """Write x plus the optimiser's step over what was combined."""

    def work(at: slice) -> None:
        np.subtract(combined[at], x[at], out=combined[at])
        stepper.step(at, combined[at])
        np.add(x[at], combined[at], out=combined[at])

    share_out(work, list(blocks(x.size)), 2 * x.size)
