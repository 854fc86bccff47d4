"""Hosts and ports: what an address names, and whether one can listen there."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from fedactors.errors import AddressError
from fedactors.transport.base import Address

PORT_MAX = 65_535


def host_and_port(place: str) -> tuple[str, int] | None:
    """The two halves of "host:port", an IPv6 address without its brackets; None where it is none."""
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)


async def bind(address: Address) -> list[socket.socket]:
    """Sockets that have the port and do not listen yet: one for each address of the host that this machine has, at least one.

    Where 0 is asked for, all have the port that the first one was given.

    Raises:
        AddressError: it is in use, or this process may not listen there.
    """
    named = host_and_port(address.place)
    assert named is not None, f"{address} was to be refused"
    host, port = named
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refusal(address, [error], port) from error
    bound: list[socket.socket] = []
    problems: list[OSError] = []
    for family, kind, number, _, place in dict.fromkeys(found):
        at = place if not bound else (place[0], bound[0].getsockname()[1], *place[2:])
        try:
            bound.append(_bound(family, kind, number, at))
        except OSError as error:
            problems.append(error)
    if not bound or any(problem.errno == errno.EADDRINUSE for problem in problems):
        for one in bound:
            one.close()
        raise _refusal(address, problems, port)
    return bound


def _bound(family: int, kind: int, number: int, place: tuple[Any, ...]) -> socket.socket:
    one = socket.socket(family, kind, number)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(place)
    except OSError:
        one.close()
        raise
    return one


def _refusal(address: Address, problems: list[OSError], port: int) -> AddressError:
    if any(problem.errno == errno.EADDRINUSE for problem in problems):
        remedy = "stop what listens there, or choose another port (0: any free one)"
        return AddressError(f"cannot listen at {address}: port {port} is in use; {remedy}")
    if problems[0].errno == errno.EACCES:
        return AddressError(f"cannot listen at {address}: {problems[0]}; choose a port of 1024 or above")
    return AddressError(f"cannot listen at {address}: {problems[0]}; choose an address of this machine")
