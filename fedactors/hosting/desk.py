"""Where operators list, add and stop the federations of a process: each stream is one question, and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from fedactors.access.callers import Caller
from fedactors.access.guard import Guard
from fedactors.actors.doorway import Doorway
from fedactors.errors import AccessDenied, ConfigError, FederationFailed, ProtocolError, RemoteProtocolError, TransportError
from fedactors.hosting.federations import Federations
from fedactors.log import get_logger
from fedactors.protocol import ADD_FEDERATION, LIST_FEDERATIONS, STOP_FEDERATION
from fedactors.protocol.federations import answer, answer_list, read_add, read_list, read_stop
from fedactors.transport import Address, Stream, Transport

log = get_logger("fedactors.hosting")

STRANGERS_MAX = 64
"""Streams that may wait for their first message."""
FIRST_MESSAGE_S = 10.0
CLOSE_GRACE_S = 1.0


class Desk:
    """Serves the Federations service. What was asked of it, and by whom, is in the audit log."""

    def __init__(self, federations: Federations, guard: Guard) -> None:
        self._federations = federations
        self._guard = guard
        self._doorway = Doorway(STRANGERS_MAX, FIRST_MESSAGE_S)
        self._methods: Mapping[str, Callable[[Stream, Caller], Awaitable[None]]] = {
            LIST_FEDERATIONS: self._list,
            ADD_FEDERATION: self._add,
            STOP_FEDERATION: self._stop,
        }

    @asynccontextmanager
    async def at(self, transport: Transport, address: Address) -> AsyncIterator[Address]:
        """Serve at an address, which is told; the port is the real one where 0 was asked for.

        Raises:
            AddressError: it cannot be listened at.
        """
        listener = await transport.listen(address, self.accept, self._guard.admit)
        try:
            yield listener.address
        finally:
            await listener.close(CLOSE_GRACE_S)

    async def accept(self, stream: Stream) -> None:
        """Serve one stream."""
        caller = self._guard.caller(stream)
        try:
            await self._methods.get(stream.method, self._explain)(stream, caller)
        except AccessDenied:
            raise
        except (TransportError, ProtocolError) as error:
            log.info("stream_ended", method=stream.method, peer=stream.peer, why=str(error))
            stream.cut(str(error))

    async def _explain(self, stream: Stream, _: Caller) -> None:
        """Refuse a method, once the question is here: whoever is still asking would not hear why."""
        await self._doorway.first(stream, stream.receive())
        raise RemoteProtocolError(f"no method {stream.method!r:.80} is served here; each federation is asked at its own address")

    async def _list(self, stream: Stream, _: Caller) -> None:
        await self._doorway.first(stream, read_list(stream))
        await answer_list(stream, self._federations.standings)

    async def _add(self, stream: Stream, caller: Caller) -> None:
        name, toml = await self._doorway.first(stream, read_add(stream))
        try:
            self._federations.add(name, toml)
        except ConfigError as refusal:
            await self._refuse(stream, caller, "added", name, str(refusal))
        else:
            self._guard.audit.did("added", caller, stream.peer, name=name)
            await answer(stream, True)

    async def _stop(self, stream: Stream, caller: Caller) -> None:
        asked = await self._doorway.first(stream, read_stop(stream))
        try:
            await self._federations.stop(asked.name, asked.why or "stopped by the operator", now=asked.now)
        except FederationFailed as refusal:
            await self._refuse(stream, caller, "stopped", asked.name, str(refusal))
        else:
            self._guard.audit.did("stopped", caller, stream.peer, name=asked.name, why=asked.why, now=asked.now)
            await answer(stream, True)

    async def _refuse(self, stream: Stream, caller: Caller, what: str, name: str, why: str) -> None:
        self._guard.audit.did(what, caller, stream.peer, name=name, refused=why)
        await answer(stream, False, why)
