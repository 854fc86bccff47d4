"""A gRPC client that keeps no rule: HTTP/2 frames by hand, over a plain socket."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_HEADERS = 0x4


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def call(method: str, *more: tuple[str, str], stream: int = 1) -> bytes:
    """The headers that open a call; field by field, without compression."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "here"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    ]
    block = b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)
    return frame(HEADERS, block, flags=END_HEADERS, stream=stream)


def message(body: bytes, *, announced: int | None = None, compressed: bool = False) -> bytes:
    """A gRPC message, or one that lies about its length."""
    return struct.pack(">BI", compressed, len(body) if announced is None else announced) + body


def data(body: bytes, stream: int = 1) -> bytes:
    return frame(DATA, body, stream=stream)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _integer(len(encoded), 7) + encoded


def _integer(number: int, prefix_bits: int) -> bytes:
    """As RFC 7541, section 5.1."""
    most = 2**prefix_bits - 1
    if number < most:
        return bytes([number])
    out, number = bytearray([most]), number - most
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        with suppress(ConnectionError):
            for piece in pieces:
                self._writer.write(piece)
                await self._writer.drain()

    async def until(self, words: bytes) -> str:
        """Everything that comes, until these words are in it, or the connection ends."""
        heard = b""
        with suppress(ConnectionError):
            while words not in heard and (piece := await self._reader.read(65536)):
                heard += piece
        return heard.decode(errors="replace")


@asynccontextmanager
async def wire(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
