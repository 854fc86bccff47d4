"""What every table of the configuration is made of."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Positive: TypeAlias = Annotated[float, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Options: TypeAlias = dict[str, JsonValue]


class Table(BaseModel):
    """One table of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def without_none(given: dict[str, Any]) -> dict[str, Any]:
    """A table as it was given, without the keys that are None: those are not given."""
    return {key: value for key, value in given.items() if value is not None}
