"""What a method of secure aggregation is."""

from __future__ import annotations

from abc import ABC


class SecureAggregation(ABC):  # noqa: B024  # what methods have in common is where they are named and what they promise
    """A method of secure aggregation. Implementations are frozen dataclasses whose fields are their options.

    The controller adds up what learners send and learns nothing of a single update. Building one imports no cryptography: the
    controller and `fedactors check` build it, too.
    """
