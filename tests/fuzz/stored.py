"""What a model store finds: rows of an index, entries of a server, slot files, and whole files that are no database."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import msgpack
import numpy as np

from fedactors.errors import StoreError
from fedactors.model import Layout
from fedactors.storage.catalogue import Catalogue
from fedactors.storage.entries import Entry, Key, digest
from fedactors.storage.index import Index
from fedactors.storage.slots import Slots

_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name)
LAYOUT = Layout.from_specs([("w", "uint8", (64,))])
BUFFER = np.arange(64, dtype=np.uint8)
ENTRY = Entry(Key(None, 3), None, LAYOUT, digest(BUFFER), 1.5, 0, {"round": 3})
LEARNERS = Entry(Key("anna", 0), 3, LAYOUT, digest(BUFFER), 2.5, 1)


def made() -> bytes:
    path = PLACE / "seed.sqlite"
    with closing(Index(path, sync=False)) as index:
        index.commit(ENTRY, 0, [])
        index.commit(LEARNERS, 1, [])
    return path.read_bytes()


WHOLE = made()
ROW = {
    "specs": json.dumps(LAYOUT.specs),
    "facts": json.dumps({"round": 3}),
    "owner": "anna",
    "number": 3,
    "created": 1.5,
    "slot": 0,
}
SEEDS = [
    b"\x00" + msgpack.packb(ROW),
    b"\x00" + msgpack.packb(ROW | {"facts": "5"}),
    b"\x00" + msgpack.packb(ROW | {"facts": "[" * 3000}),
    b"\x00" + msgpack.packb(ROW | {"specs": '[["w", "uint8", "12"]]'}),
    b"\x00" + msgpack.packb(ROW | {"specs": f'[["w", "float64", [{2**200}]]]'}),
    b"\x00" + msgpack.packb(ROW | {"number": "three", "slot": "x", "created": "soon"}),
    b"\x01" + msgpack.packb([0, b"\xff" * 30]),
    b"\x01" + msgpack.packb([0xAD00, b"SQLi\xbfe"]),
    b"\x01" + msgpack.packb([4096, b"SQLite"]),
    b"\x02" + b"x" * 63,
    b"\x02" + BUFFER.tobytes(),
]


def check(data: bytes) -> None:
    """The first byte says whether the rest is a row, a change of an index's file, or a slot."""
    if not data:
        return
    with suppress(StoreError):
        match data[0] % 3:
            case 0:
                _row(data[1:])
            case 1:
                _file(data[1:])
            case _:
                _slot(data[1:])


def _row(packed: bytes) -> None:
    row = _unpacked(packed)
    if not isinstance(row, dict):
        return
    path = _fresh()
    values = [value if isinstance(value := row.get(key), (int, float, str, bytes)) else None for key in ROW]
    with closing(sqlite3.connect(path)) as database, suppress(sqlite3.Error, OverflowError, UnicodeEncodeError):
        specs, facts, owner, number, created, slot = values
        database.execute("UPDATE layouts SET specs = ?", (specs,))
        database.execute(
            "UPDATE entries SET facts = ?, owner = ?, number = ?, created_unix_s = ?, slot = ? WHERE serial = 0",
            (facts, owner, number, created, slot),
        )
        database.commit()
    _read(path)


def _file(packed: bytes) -> None:
    change = _unpacked(packed)
    if not isinstance(change, list) or len(change) != 2 or not isinstance(change[0], int) or not isinstance(change[1], bytes):
        return
    at = change[0] % len(WHOLE)
    _read(_fresh(WHOLE[:at] + change[1] + WHOLE[at + len(change[1]) :]))


def _slot(data: bytes) -> None:
    slots = Slots(PLACE, {0}, sync=False)
    slots.path(0).write_bytes(data)
    assert slots.read(0, LAYOUT.nbytes).nbytes == LAYOUT.nbytes <= len(data)


def _read(path: Path) -> None:
    with closing(Index(path, sync=False)) as index:
        for entry, slot in index.entries():
            assert isinstance(slot, int)
            assert isinstance(entry.number, int)
            assert isinstance(entry.created_unix_s, (int, float))
            assert isinstance(entry.facts, dict)
            assert entry.nbytes >= 0
            Catalogue([entry])


def _fresh(data: bytes = WHOLE) -> Path:
    path = PLACE / "index.sqlite"
    for name in ("index.sqlite-wal", "index.sqlite-shm"):
        (PLACE / name).unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _unpacked(packed: bytes) -> object:
    try:
        return msgpack.unpackb(packed)
    except ValueError:
        return None
