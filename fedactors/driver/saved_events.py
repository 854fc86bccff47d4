"""The events of a run as its directory has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from fedactors.errors import ConfigError
from fedactors.record import Event, EventKind

EVENTS_FILE = "events.jsonl"


def saved_events(run: Path) -> Iterator[Event]:
    """Every event that is written whole, in order.

    Raises:
        ConfigError: there is no run in this directory, or its events cannot be read.
    """
    file = run / EVENTS_FILE
    if not file.is_file():
        raise ConfigError(f"there is no run in {run}: it has no {EVENTS_FILE}; `fedactors runs ls` lists what there is")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield event_of(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ConfigError(f"{file}:{number} is no event of this version: {error}") from error


def event_of(line: bytes) -> Event:
    """The inverse of `RunDirectory.write_event`; in metrics, null becomes NaN again.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    body: dict[str, Any] = _with_nan(json.loads(line))
    number, moment, kind = (body.pop(key) for key in ("number", "time", "kind"))
    return Event(number, datetime.fromisoformat(moment).timestamp(), EventKind(kind), body)


def _with_nan(value: Any, *, in_metrics: bool = False) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(inner, in_metrics=in_metrics or key.endswith("metrics")) for key, inner in value.items()}
    return float("nan") if value is None and in_metrics else value
