"""A mode for tests: every message must be immutable, for its sender and its receivers share it."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Callable
from typing import Any

from fedactors.runtime import ActorRef, Deferred

PLAIN = (
    int, float, complex, bool, str, bytes, range, type(None), type, enum.Enum, BaseException,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.GenericAlias, ActorRef, Deferred,
)  # fmt: skip
"""What cannot change, or is meant to be shared."""


def immutable_check(*handed_over: type) -> Callable[[object], None]:
    """A check for `ActorSystem(check=...)`: it raises AssertionError at the sender for a message that could change.

    Frozen dataclasses, tuples and frozensets of immutable things are immutable, and so is what says so itself by a truthy
    `__immutable__`. An array counts by its `flags.writeable`.

    Args:
        *handed_over: types of which a sender keeps no use once they are sent, such as buffers and streams.
    """

    def check(message: object) -> None:
        mutable = find_mutable(message, type(message).__name__, handed_over)
        assert mutable is None, f"a message must be immutable, but {mutable}"

    return check


def find_mutable(value: Any, where: str, handed_over: tuple[type, ...] = ()) -> str | None:
    """Where in a value something can change; None where nothing can."""
    if isinstance(value, (*PLAIN, *handed_over)) or getattr(value, "__immutable__", False):
        return None
    if isinstance(value, tuple | frozenset):
        inner = ((f"{where}[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, types.MappingProxyType):
        inner = ((f"{where}[{key!r}]", item) for key, item in value.items())
    elif dataclasses.is_dataclass(value) and value.__dataclass_params__.frozen:  # type: ignore[union-attr]  # an instance is at hand
        inner = ((f"{where}.{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value))
    elif getattr(getattr(value, "flags", None), "writeable", True) is False:
        return None
    else:
        return f"{where} is a {type(value).__name__}"
    return next((found for name, item in inner if (found := find_mutable(item, name, handed_over))), None)
