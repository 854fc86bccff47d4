"""Partial participation, by the labels that learners declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import LearnerId
from fedactors.selection.base import Candidate, Selection
from fedactors.selection.pool import Pool, Urn
from fedactors.selection.uniform import Uniform
from fedactors.task import Round


@dataclass(frozen=True, slots=True)
class ByTag(Selection):
    """Learners that declared certain tags when they joined; where none is here, the round waits for one.

    Attributes:
        tags: at least one.
        match: "all": a learner has every one of them; "any": at least one.
        count: >= 1; so many of them, drawn uniformly without replacement; None: all of them.
    """

    tags: tuple[str, ...]
    match: Literal["all", "any"] = "all"
    count: int | None = None

    def __post_init__(self) -> None:
        if not self.tags:
            raise ConfigError("selection 'by_tag' has no tags; give at least one, as in tags = [\"gpu\"]")
        if self.match not in {"all", "any"}:
            raise ConfigError(f"selection 'by_tag' has match={self.match!r}; it is 'all' or 'any'")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"selection 'by_tag' has count={self.count}; at least 1 learner takes part")

    @override
    def select(self, candidates: Sequence[Candidate], round_: Round, rng: np.random.Generator) -> list[LearnerId]:
        eligible = [candidate for candidate in candidates if self.takes(candidate)]
        if self.count is None or not eligible:
            return [candidate.learner for candidate in eligible]
        return Uniform(count=self.count).select(eligible, round_, rng)

    @override
    def pool(self) -> Pool:
        return Urn()

    @override
    def takes(self, candidate: Candidate) -> bool:
        if self.match == "all":
            return candidate.tags.issuperset(self.tags)
        return not candidate.tags.isdisjoint(self.tags)

    @override
    def size(self, learners: int) -> int:
        return learners if self.count is None else min(self.count, learners)
