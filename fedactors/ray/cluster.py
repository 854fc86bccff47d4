"""This process's one connection to Ray: whoever needs Ray holds it, and the last one to let go ends what was begun.

    async with connected(address) as cluster:          starts a Ray on this machine, or joins the one that runs at an address
        nodes = await cluster.nodes()                  what its nodes have
        actor = ray.remote(Thing).options(**needs.options()).remote()
        reference = await cluster.call(lambda: ray.put(array))

A process has one Ray at a time, so holders must agree on the address; the connection is counted, and several federations of a
process, or several parts of one, hold it at the same time. A Ray that was there before, a running cluster or what this process
had begun itself by `ray.init`, is left as it was found.

Ray's blocking calls are made in a thread of their own, which lives as long as the process: on Linux Ray has the kernel end what a
thread has started together with that thread. References are awaited: `await reference`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import ray
from ray._private import worker as ray_driver

from fedactors.errors import ConfigError, Unreachable
from fedactors.learner.worker import Worker
from fedactors.log import get_logger
from fedactors.ray.needs import Node

log = get_logger("fedactors.ray")

CONNECT_TIMEOUT_S = 60.0
"""For starting a Ray, or joining one."""
DIAL_TIMEOUT_S = 5.0
"""For somebody to answer at a cluster's address."""
LEAVE_TIMEOUT_S = 20.0
"""For ending a Ray."""
LOOPBACK = {"_node_ip_address": "127.0.0.2"} if sys.platform == "linux" else {}
"""Where a Ray of our own lives. Ray takes 127.0.0.1 for a mistake, and puts the machine's address to the network in its place."""
MISTAKEN = {"127.0.0.1", "localhost", "::1"}
TOKEN_SETTINGS = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN = secrets.token_hex(32)
"""Without which nobody is served by a Ray of our own, which listens on all addresses of the machine wherever it lives. Ray itself
would keep one in the user's home, and from then on give it to clusters that know of none."""

Result = TypeVar("Result")


@dataclass(slots=True)
class _Connection:
    """What this process has of Ray; touched in Ray's thread alone."""

    address: str | None = None
    is_ours: bool = False
    holders: set[object] = field(default_factory=set)


_thread = Worker("ray")
_connection = _Connection()


class Cluster:
    """The Ray that this process is connected to."""

    async def nodes(self) -> list[Node]:
        """What its nodes have that are there at the moment, taken or not."""
        found = await _thread(ray.nodes)
        return [_node(one) for one in found if one["Alive"]]

    async def call(self, function: Callable[[], Result]) -> Result:
        """Make a call that blocks, as `ray.put` of much does; calls are made one at a time, in order."""
        return await _thread(function)


@asynccontextmanager
async def connected(address: str | None) -> AsyncIterator[Cluster]:
    """Hold the connection to Ray, which is made if there is none.

    Args:
        address: host:port of a running cluster, or "auto" for the one on this machine; None: that of RAY_ADDRESS if it is set,
            else a Ray of our own on this machine, which ends with its last holder.

    Raises:
        ConfigError: the address is malformed, or this process is connected to another one.
        Unreachable: there is no Ray at that address, or it did not begin in time.
    """
    place, holder = address or os.environ.get("RAY_ADDRESS") or None, object()
    await _look_for(place)
    try:
        await _hold(place, holder)
        yield Cluster()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                await _thread(partial(_leave, holder))


async def _hold(address: str | None, holder: object) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await _thread(partial(_join, address, holder))
    except TimeoutError as error:
        where = "on this machine" if address is None else f"at {address}"
        raise Unreachable(f"Ray {where} is not ready after {CONNECT_TIMEOUT_S:g} s; Ray's own logs say why") from error


async def _look_for(address: str | None) -> None:
    """See that somebody listens at an address: Ray itself tries for minutes, and may end the process then."""
    if address is None or address in ("auto", "local"):
        return
    if "://" in address:
        remedy = 'run the controller on a node of the cluster, and write "auto" or host:port'
        raise ConfigError(f"ray.address = {address!r}: models travel by the object store of the node, not by a proxy; {remedy}")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f'ray.address = {address!r} is not of the form host:port, as in 10.0.0.5:6379, nor "auto"')
    taken = ray.util.get_node_ip_address() if host in MISTAKEN else host
    try:
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            _, writer = await asyncio.open_connection(taken.strip("[]"), int(port))
        writer.close()
    except (OSError, OverflowError) as error:  # TimeoutError is an OSError
        hint = "" if taken == host else f", which Ray reads as {taken} (a cluster of this machine alone may live at 127.0.0.2)"
        raise Unreachable(f"no Ray cluster answers at {address}{hint}; start one there, or leave ray.address out") from error


def _join(address: str | None, holder: object) -> None:
    if not _connection.holders:
        _connection.address, _connection.is_ours = address, not ray.is_initialized()
        if _connection.is_ours:
            _begin(address)
    elif address != _connection.address:
        said = f"this process is connected to Ray at {_connection.address or 'an address of its own'}"
        raise ConfigError(f"{said}, and ray.address = {address!r}: a process has one Ray at a time")
    _connection.holders.add(holder)


def _begin(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be; Ray warns of the change at each start
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray_driver.print_to_stdstream = _note  # what nodes have to say goes to stdout otherwise, into the live display
    settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "namespace": "fedactors"}
    own: dict[str, Any] = {"include_dashboard": False, **LOOPBACK}
    try:
        if address is None or address == "local":
            _lock()
            ray.init("local", **settings, **own)
        else:
            ray.init(address, **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise Unreachable(f"no Ray can be reached {where}: {_first_line(error)}") from error
    log.info("ray_is_up", address=ray.get_runtime_context().gcs_address, own=address is None)


def _note(said: dict[str, Any], **_: Any) -> None:
    """Have what a node of the cluster tells its drivers in the log."""
    for line in said["lines"]:
        log.info("ray_said", who=said.get("pid"), what=" ".join(str(line).split()))


def _lock() -> None:
    """Have a Ray of our own ask for our token, unless the user has said whether it asks for one, and for which."""
    if not any(name in os.environ for name in TOKEN_SETTINGS):
        os.environ["RAY_AUTH_TOKEN"] = TOKEN


def _unlock() -> None:
    if os.environ.get("RAY_AUTH_TOKEN") == TOKEN:
        for name in TOKEN_SETTINGS:
            os.environ.pop(name, None)


def _leave(holder: object) -> None:
    if holder not in _connection.holders:
        return
    _connection.holders.discard(holder)
    if not _connection.holders and _connection.is_ours:
        ray.shutdown()
        _unlock()


def _node(found: dict[str, Any]) -> Node:
    resources = found["Resources"]
    return Node(
        found["NodeManagerAddress"], resources.get("CPU", 0.0), resources.get("GPU", 0.0), int(resources.get("memory", 0))
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
