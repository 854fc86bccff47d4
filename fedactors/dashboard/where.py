"""Where something is served over HTTP, and to whom."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from fedactors.access.token_file import TokenFile
from fedactors.dashboard.guard import Guard, is_loopback
from fedactors.errors import AddressError

HOST, PORT = "127.0.0.1", 4460
METRICS_PORT = 4461

OPEN_PAGE = "whoever reaches the page can stop the run"
OPEN_FIGURES = "whoever reaches the figures can read them"
"""What is wrong with a place that no token guards."""


@dataclass(frozen=True, slots=True)
class Where:
    """A place, and who is let in.

    Attributes:
        host, port: to listen at; port 0: any that is free.
        tokens: the list of those who may log in; None: whoever is on this machine needs no token.
    """

    host: str = HOST
    port: int = PORT
    tokens: Path | None = None

    @classmethod
    def parse(
        cls,
        text: str,
        tokens: Path | None = None,
        *,
        port: int = PORT,
        option: str = "--dashboard-tokens",
        danger: str = OPEN_PAGE,
    ) -> Where:
        """Read HOST:PORT, or PORT alone, or nothing for the default, which is loopback and `port`; `option` gives the tokens.

        Raises:
            AddressError: it has another form, or other machines can reach it and there is no token to keep them out.
        """
        host, separator, number = text.rpartition(":")
        name = (host if separator else HOST).strip("[]")
        if not text:
            return cls(HOST, port, tokens)
        if not number.isdecimal() or int(number) > 65_535 or not name:
            raise AddressError(f"{text!r} is no place to serve a page at; write HOST:PORT, or PORT, or nothing behind FILE")
        if tokens is None and not is_loopback(name):
            said = f"{text} can be reached by other machines, and {danger}"
            raise AddressError(f"{said}: have them log in by {option} FILE, or serve it at {HOST}:{number}")
        return cls(name, int(number), tokens)

    def guard(self) -> Guard:
        """Lets in who may come.

        Raises:
            ConfigError: the tokens cannot be read.
        """
        if self.tokens is None:
            return Guard(None)
        tokens = TokenFile(self.tokens)
        return Guard(lambda: tokens.book)


def listening_socket(where: Where, what: str) -> socket.socket:
    """A socket that listens there.

    Raises:
        AddressError: it cannot.
    """
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host, where.port), family=family)
    except OSError as error:
        place = f"{where.host}:{where.port}"
        raise AddressError(f"the {what} cannot be served at {place}: {error}; name another place, or port 0 for any") from error


def url_of(host: str, port: int) -> str:
    """Of a page."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
