"""Runs on a disk, seen from outside: whatever their files hold, they are looked at without an error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import msgpack

from fedactors.driver.saved_runs import FILES, SavedRun, look

_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name)
EVENTS = (
    {"time": "2026-01-01T00:00:00Z", "kind": "round_committed", "round": 1},
    {"kind": "round_ended", "record": {"round": 1, "metrics": {"loss": 0.5}}},
    {"kind": "finished", "failed": False, "stop_reason": "enough", "version": 1},
)
LINES = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)
WHOLE = {"config.toml": b'name = "digits"\n[stop]\nrounds = 3\n', "events.jsonl": LINES, "journal": b"fedactors journal 1\n"}
SEEDS = [
    msgpack.packb(WHOLE),
    msgpack.packb(WHOLE | {"events.jsonl": LINES[:40]}),
    msgpack.packb(WHOLE | {"config.toml": b"stop = 5"}),
    msgpack.packb(WHOLE | {"config.toml": b"a = " + b"[" * 2000}),
    msgpack.packb(WHOLE | {"events.jsonl": b'{"time": "x"}\n{"kind": "finished"}\n'}),
    msgpack.packb(WHOLE | {"events.jsonl": b'{"time": "x"}\n{"kind": "round_ended", "record": {"round": "1", "metrics": 3}}\n'}),
    msgpack.packb(WHOLE | {"events.jsonl": b'"finished"' + b"[" * 3000 + b"\n"}),
]


def check(data: bytes) -> None:
    """A map of the files' names to what they hold."""
    try:
        files = msgpack.unpackb(data)
    except ValueError:
        return
    if not isinstance(files, dict):
        return
    for name in FILES:
        (PLACE / name).unlink(missing_ok=True)
        if isinstance(held := files.get(name), bytes):
            (PLACE / name).write_bytes(held)
    run = look(PLACE)
    assert isinstance(run, SavedRun)
    assert isinstance(run.rounds, int)
    assert all(value is None or isinstance(value, (int, float)) for value in run.metrics.values()), run.metrics
