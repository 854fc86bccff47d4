"""What a learner finds on its own disk: updates, the token of its last session, and what a relay declared in it."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import msgpack
import numpy as np

from fedactors.errors import LearnerFailed
from fedactors.learner.desk import Update
from fedactors.learner.spool import _LENGTH, Spool
from fedactors.model import Layout
from fedactors.protocol import Hello
from fedactors.protocol.session_wire import encode
from fedactors.task import TrainReport

_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name)
LAYOUT = Layout.from_specs([("w", "float32", (3,)), ("h", "bfloat16", ())])


def kept() -> bytes:
    spool = Spool(PLACE)
    spool.keep(Update("t1", LAYOUT, np.zeros(LAYOUT.nbytes, np.uint8), TrainReport(12, 3, metrics={"loss": 0.25}), True))
    return (PLACE / "t1.update").read_bytes()


def file(specs: object, task: object = "t1", report: object = None) -> bytes:
    header = msgpack.packb({"task": task, "specs": specs, "layout_known": True, "report": report or {"num_examples": 1}})
    return _LENGTH.pack(len(header)) + header


SEEDS = [
    b"\x00" + kept(),
    b"\x00" + file([["w", "float64", [2**40, 2**40]]]),
    b"\x00" + file([["w", "uint8", [0]]], task=5),
    b"\x00" + file([["w", "uint8", [0]]], report={"num_examples": "x", "metrics": 3}),
    b"\x01token",
    b"\x01" + b"t" * 100_000,
    b'\x02[30, 4, ["north"]]',
    b"\x02[1e999, -1, [[]]]",
]


def check(data: bytes) -> None:
    """The first byte says whether the rest is an update, a token or a declaration."""
    if not data:
        return
    spool = Spool(PLACE)
    if data[0] % 3 == 2:
        (PLACE / "token").write_bytes(b"token")
        (PLACE / "declared").write_bytes(data[1:])
        if (said := spool.declared) is not None:
            encode(Hello("anna", num_train_examples=said.num_train_examples, num_test_examples=said.num_test_examples))
        return
    if data[0] % 3:
        (PLACE / "token").write_bytes(data[1:])
        encode(Hello("anna", resume_token=spool.token))
        return
    for left in PLACE.glob("*.update"):  # of an input that named another task
        left.unlink()
    (PLACE / "t1.update").write_bytes(data[1:])
    with suppress(LearnerFailed):
        (update,) = spool.updates()
        assert isinstance(update.task, str)
        assert update.buffer.nbytes == update.layout.nbytes <= len(data)
        assert isinstance(update.report.num_examples, int)
        spool.keep(update)
