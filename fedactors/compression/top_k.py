"""The greatest differences, and none of the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fedactors.compression.groups import Floats, Group, GroupedForm, Source, Spec, first_beyond
from fedactors.errors import ConfigError
from fedactors.model import Array, Weights

SAMPLE_MIN = 65_536
"""Magnitudes that are looked at to guess where the greatest begin; of fewer, all are put in order."""
PLACES_MAX = 2**32 - 1
"""Values of which a place takes four bytes."""


@dataclass(frozen=True, slots=True)
class TopK(GroupedForm):
    """Of the update less its base, the k values that are farthest from zero, with their places; the others count as zero.

    With e what the learner holds back, zero at first: d <- w - base + e; the k greatest of |d| travel, and e <- d without them.
    So everything travels in the end, and later where it is small. An update that is refused gives back to e what it had sent. k
    is the same for every update: `fraction` of all values of one dtype, rounded up.

    Attributes:
        fraction: of the values that travel, above 0 and up to 1.
        error_feedback: hold back what does not travel; without it, that is lost, and most models stop learning.

    Source: Stich et al., Sparsified SGD with Memory, NeurIPS 2018, Algorithm 1, arXiv:1809.07599; for federated training, Lin et
    al., Deep Gradient Compression, ICLR 2018, section 3, arXiv:1712.01887, without its momentum correction, clipping and warm-up.
    """

    needs_base: ClassVar[bool] = True

    fraction: float = 0.05
    error_feedback: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"top_k: fraction = {self.fraction} is not above 0 and up to 1")

    @property
    @override
    def holds_back(self) -> bool:
        return self.error_feedback

    @override
    def packs(self, dtype: str) -> bool:
        return True

    @override
    def specs(self, group: Group) -> list[Spec]:
        (places, values), k = _names(group), self._k(group)
        return [(places, "uint32" if group.size <= PLACES_MAX else "uint64", (k,)), (values, group.dtype, (k,))]

    def _k(self, group: Group) -> int:
        return min(group.size, math.ceil(self.fraction * group.size))

    @override
    def encode(self, source: Source, packed: Weights, rng: np.random.Generator) -> None:
        group = source.group
        places, values = (packed[name] for name in _names(group))
        magnitudes = np.empty(group.size, group.working)
        for block in group.blocks():
            np.abs(source.block(block), out=magnitudes[block])
            magnitudes[block][np.isnan(magnitudes[block])] = np.inf  # it is to be found out
        np.copyto(places, greatest(magnitudes, self._k(group)), casting="unsafe")
        for block in group.blocks():
            here = _within(places, block)
            np.copyto(values[here], source.block(block)[places[here] - block.start], casting="unsafe")

    @override
    def decode(self, group: Group, packed: Weights, block: slice) -> Floats:
        places, values = (packed[name] for name in _names(group))
        here, out = _within(places, block), np.zeros(block.stop - block.start, group.working)
        out[places[here] - block.start] = values[here]
        return out

    @override
    def group_problem(self, group: Group, packed: Weights) -> str | None:
        places = packed[_names(group)[0]]
        if (places[1:] <= places[:-1]).any():
            at = int(np.argmax(places[1:] <= places[:-1]))
            return f"place {places[at + 1]:,} of the {group.dtype} values comes after place {places[at]:,}; places ascend"
        if places[-1] >= group.size:
            return f"place {places[-1]:,} of {group.size:,} {group.dtype} values does not exist"
        return None

    @override
    def wild(self, group: Group, packed: Weights) -> int | None:
        places, values = (packed[name] for name in _names(group))
        at = first_beyond(values, group.difference_max)
        return None if at is None else int(places[at])


def greatest(magnitudes: Floats, k: int) -> npt.NDArray[np.int64]:
    """The places of the k greatest of these values, which hold no NaN, ascending; of equal ones, any.

    All but a few are ruled out by what a sample of them says, so that one pass over the values is most of it.
    """
    candidates = _candidates(magnitudes, k)
    if candidates is None:
        candidates = np.arange(magnitudes.size)
    if candidates.size > k:
        candidates = candidates[np.argpartition(magnitudes[candidates], candidates.size - k)[candidates.size - k :]]
        candidates.sort()
    return candidates


def _candidates(magnitudes: Floats, k: int) -> npt.NDArray[np.int64] | None:
    """Places among which the k greatest are; None where a sample does not tell them."""
    sample = magnitudes[:: max(1, magnitudes.size // SAMPLE_MIN)]
    expected = k * sample.size / magnitudes.size
    rank = math.ceil(expected + 4 * math.sqrt(expected) + 1)
    if sample.size == magnitudes.size or rank >= sample.size:
        return None
    found = np.flatnonzero(magnitudes >= np.partition(sample, sample.size - rank)[sample.size - rank])
    return found if found.size >= k else None


def _within(places: Array, block: slice) -> slice:
    first, end = np.searchsorted(places, np.array([block.start, block.stop], places.dtype))
    return slice(int(first), int(end))


def _names(group: Group) -> tuple[str, str]:
    return f"{group.dtype} top k places", f"{group.dtype} top k differences"
