"""Which of a learner's tensors are federated, by their names: what the configuration's table [model] says.

                           matches `shared`, or `shared` is empty    matches another name only
    matches `local`        stays with the learner                    stays with the learner
    does not               travels                                   stays with the learner

What travels is combined, unless it matches `frozen`: then every version holds what version 0 held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fedactors.errors import ModelError
from fedactors.model import GlobalModel, Layout, Weights
from fedactors.variates import has_variates, plain_layout, plain_model, with_variates

PATTERNS_MAX = 64
"""Of each kind. All of them travel in one control message, with the greatest lengths and the widest characters too."""
PATTERN_CHARS_MAX = 120
NAMES_MAX = 5
"""Tensors that an error names."""


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether a tensor's whole name matches one of these globs: `*`, `?` and `[seq]`, case-sensitive; `*` matches dots, too."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a model travels, and what of that is combined.

    Attributes:
        local: globs of tensors that stay with each learner.
        shared: globs of the tensors that travel, unless they are local; empty: all.
        frozen: globs of tensors that travel and are not combined; learners need not know.
        variates: control variates travel behind them, as the rule scaffold needs it.
    """

    local: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    variates: bool = False

    @property
    def is_whole(self) -> bool:
        """Everything travels, whatever its name."""
        return not self.local and not self.shared

    def travels(self, name: str) -> bool:
        """Whether a tensor of this name leaves its learner."""
        return not matches(self.local, name) and (not self.shared or matches(self.shared, name))

    def travelling(self, weights: Weights) -> Weights:
        """Those of these tensors that travel, in their order, and version 0 of their control variates, where they have some.

        Raises:
            ModelError: none does, or one has a variate's name.
        """
        chosen = {name: array for name, array in weights.items() if self.travels(name)}
        if not chosen:
            said = f"no tensor travels with model.shared = {list(self.shared)} and model.local = {list(self.local)}"
            more = ", ..." if len(weights) > NAMES_MAX else ""
            raise ModelError(f"{said}; the model has {', '.join(list(weights)[:NAMES_MAX])}{more}")
        return with_variates(chosen) if self.variates else chosen

    def visible(self, model: GlobalModel) -> GlobalModel:
        """A version as users see it: without control variates."""
        return plain_model(model) if self.variates else model

    def num_parameters(self, layout: Layout) -> int:
        """How many there are in a federation's model, as users see it."""
        return (plain_layout(layout) if self.variates else layout).num_parameters

    def problem(self, layout: Layout) -> str | None:
        """Why a model of this layout cannot be a federation's, in words; None if it can."""
        if self.variates and not has_variates(layout):
            return "the model does not hold a control variate for each of its floating-point tensors, as the rule scaffold needs"
        names = [tensor.name for tensor in (plain_layout(layout) if self.variates else layout).tensors]
        staying = next((name for name in names if not self.travels(name)), None)
        if staying is not None:
            return f"tensor {staying!r} was sent and is to stay with its learner, as model.local and model.shared say"
        if self.frozen and all(matches(self.frozen, name) for name in names):
            return f"every tensor that travels is frozen by model.frozen = {list(self.frozen)}, so that nothing can be learnt"
        return None

    def unmatched(self, key: str, names: Iterable[str]) -> Iterator[str]:
        """The patterns of a key, "local", "shared" or "frozen", that match none of these names: slips of the pen, as a rule."""
        known = list(names)
        patterns: tuple[str, ...] = getattr(self, key)
        return (pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in known))


WHOLE = Scope()
"""Everything travels, and all of it is combined."""
