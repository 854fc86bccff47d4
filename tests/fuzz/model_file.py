"""Safetensors files that a user gives as the initial model."""

from __future__ import annotations

import json
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from fedactors import model_file
from fedactors.errors import ModelError
from fedactors.model import GlobalModel, Layout

_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name) / "model.safetensors"
_LENGTH = struct.Struct("<Q")


def file(header: object, values: bytes = b"") -> bytes:
    packed = json.dumps(header).encode()
    return _LENGTH.pack(len(packed)) + packed + values


def saved() -> bytes:
    model_file.save(GlobalModel.initial({"b": np.arange(3, dtype=np.float32), "a": np.zeros((2, 2), np.int8)}), PLACE)
    return PLACE.read_bytes()


SEEDS = [
    saved(),
    file({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"abcd"),
    file({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"ab"),
    file({"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}, "__metadata__": {model_file.ORDER: "[[1]]"}}, b"a"),
    file({"a": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}, "__metadata__": {model_file.ORDER: "no JSON"}}, b"a"),
    file({"__metadata__": {}}),
    _LENGTH.pack(2**63) + b"{}",
]


def check(data: bytes) -> None:
    PLACE.write_bytes(data)
    with suppress(ModelError):
        weights = model_file.load(PLACE)
        layout = Layout.of(weights)
        assert layout.nbytes <= 128 * (len(data) + 1)
        assert layout.difference(weights) is None
