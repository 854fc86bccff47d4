"""Configuration files in TOML and YAML, and what the command line sets."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from fedactors import config
from fedactors.config import Config
from fedactors.errors import ConfigError, TransportError

_DIRECTORY = tempfile.TemporaryDirectory(prefix="fedactors-fuzz-")
PLACE = Path(_DIRECTORY.name)
TOML = b"""name = "digits"
seed = 7
[learners]
count = 3
options = { alpha = 0.5 }
[protocol]
options = { round_timeout_s = 30 }
[selection]
policy = "uniform"
options.fraction = 0.5
[train]
momentum = 0.9
[stop]
metric = { name = "accuracy", target = 0.9 }
"""
YAML = b"""name: digits
seed: 7
learners: &l {count: 3, options: {alpha: 0.5}}
selection:
  policy: uniform
  options: {fraction: 0.5}
stop: {rounds: 3}
"""
SEEDS = [
    b"\x00" + TOML,
    b"\x01" + YAML,
    b"\x02stop.rounds=3",
    b"\x02train.options={a=[1,2]}",
    b"\x00a = " + b"[" * 600,
    b"\x01a: " + b"[" * 600,
    b"\x01a: &a {b: *a}",
    b"\x01" + b"\n".join([b"a0: &a0 {x: 1}", *(b"a%d: &a%d {x: *a%d, y: *a%d}" % (n, n, n - 1, n - 1) for n in range(1, 40))]),
    b"\x01seed: 2001-99-99",
    b"\x00seed = " + b"9" * 5000,
    b"\x01seed: " + b"9" * 5000,
]


def check(data: bytes) -> None:
    """The first byte says whether the rest is TOML, YAML or what the command line sets."""
    if not data:
        return
    with suppress(ConfigError, TransportError):
        match data[0] % 3:
            case 0:
                read = _file("federation.toml", data[1:])
            case 1:
                read = _file("federation.yaml", data[1:])
            case _:
                read = config.from_mapping({}, [data[1:].decode(errors="replace")])
        assert isinstance(read, Config)
        config.to_toml(read)


def _file(name: str, text: bytes) -> Config:
    (PLACE / name).write_bytes(text)
    return config.read(PLACE / name)
