"""Hostile bytes on a connection: (name, what is sent, the words by which it ends)."""

from __future__ import annotations

from fedactors.protocol import FETCH, PUSH, SESSION
from tests.hostile.http2 import HEADERS, PREFACE, SETTINGS, call, data, frame, message
from tests.hostile.scene import hello

BEGUN = (PREFACE, frame(SETTINGS))
NOTHING_SAID = "within 0.3 s"
THE_END = "\0never said"
CONNECTIONS = [
    ("another protocol", [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"], THE_END),
    ("headers and then silence", [*BEGUN, call(SESSION)], NOTHING_SAID),
    ("headers of a fetch and then silence", [*BEGUN, call(FETCH)], NOTHING_SAID),
    ("half a message and then silence", [*BEGUN, call(SESSION), data(message(hello(), announced=5_000))], NOTHING_SAID),
    ("a length and then silence", [*BEGUN, call(PUSH), data(message(b"", announced=8_000_000))], NOTHING_SAID),
    ("a message of 4 GB", [*BEGUN, call(SESSION), data(message(b"x", announced=2**32 - 1))], "4294967295 vs. 8388608"),
    (
        "a message of a byte too many",
        [*BEGUN, call(SESSION), data(message(b"", announced=2**23 + 1))],
        "8388609 vs. 8388608",
    ),
    ("compression that was not agreed on", [*BEGUN, call(SESSION), data(message(hello(), compressed=True))], "grpc-status"),
    ("headers of 40 kB", [*BEGUN, call(SESSION, *((f"x-{n}", "v" * 8_000) for n in range(5)))], THE_END),
    ("headers that are none", [*BEGUN, frame(HEADERS, b"\xff" * 64, flags=4, stream=1)], "overflow in hpack integer decoding"),
    ("a frame of 16 MB", [*BEGUN, b"\xff\xff\xff" + bytes(5) + b"\x01"], THE_END),
]
