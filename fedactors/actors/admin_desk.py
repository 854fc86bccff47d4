"""Where drivers and operators are served: each stream of the Admin service is one question to an actor, and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fedactors.access.audit import Audit
from fedactors.access.callers import Caller, Role
from fedactors.actors.doorway import Doorway
from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.messages import (
    BorrowBuffer,
    EventsFrom,
    GetBlob,
    GetModel,
    GetStatus,
    GetVersions,
    Initialise,
    Order,
    ReturnBuffer,
)
from fedactors.actors.spill import as_buffer
from fedactors.actors.waiting_room import WaitingRoom
from fedactors.errors import Rejected, RemoteProtocolError, UpdateRefused
from fedactors.model import Layout
from fedactors.protocol import (
    DOWNLOAD,
    GET_STATUS,
    LIST_VERSIONS,
    ORDER,
    SHIP,
    WATCH,
    BlobHeader,
    BlobReceiver,
    PushAnswer,
    PushOpening,
    answer_push,
    receive_blob,
    refuse_fetch,
    send_blob,
)
from fedactors.protocol.admin import (
    answer_order,
    answer_status,
    read_download,
    read_list_versions,
    read_order,
    read_status,
    read_watch,
    send_news,
)
from fedactors.protocol.blobs import announced_layout, read_opening
from fedactors.protocol.versions import KeptVersion, send_versions
from fedactors.transport import Stream

NEWS_PAUSE_S = 0.01
"""Between two frames of news: what happens meanwhile travels together."""


class AdminDesk:
    """Serves the Admin service's methods. It keeps nothing: the actors know everything, the audit log what was asked of them."""

    def __init__(self, actors: Neighbours, model_bytes_max: int, audit: Audit, doorway: Doorway, room: WaitingRoom) -> None:
        self._actors = actors
        self._room = room
        self._audit = audit
        self._doorway = doorway
        self._model_bytes_max = model_bytes_max

    @property
    def methods(self) -> Mapping[str, Callable[[Stream, Caller], Awaitable[None]]]:
        """Who serves which method."""
        return {
            GET_STATUS: self._status,
            WATCH: self._watch,
            ORDER: self._order,
            SHIP: self._ship,
            DOWNLOAD: self._download,
            LIST_VERSIONS: self._list_versions,
        }

    async def _status(self, stream: Stream, _: Caller) -> None:
        await self._doorway.first(stream, read_status(stream))
        await answer_status(stream, await self._actors.controller.ask(GetStatus()))

    async def _watch(self, stream: Stream, caller: Caller) -> None:
        number = await self._doorway.first(stream, read_watch(stream))
        if caller.role is not Role.LOCAL:  # this process watches itself
            self._audit.did("watched", caller, stream.peer, from_number=number)
        while news := await self._room.answer(self._actors.controller.ask(EventsFrom(number))):
            await send_news(stream, news)
            number += len(news)
            await asyncio.sleep(NEWS_PAUSE_S)

    async def _order(self, stream: Stream, caller: Caller) -> None:
        request = await self._doorway.first(stream, read_order(stream))
        try:
            await self._actors.controller.ask(Order(request.verb, request.why))
        except Rejected as refusal:
            self._audit.did("ordered", caller, stream.peer, verb=str(request.verb), why=request.why, refused=str(refusal))
            await answer_order(stream, False, str(refusal))
        else:
            self._audit.did("ordered", caller, stream.peer, verb=str(request.verb), why=request.why)
            await answer_order(stream, True)

    async def _ship(self, stream: Stream, caller: Caller) -> None:
        opening = await self._doorway.first(stream, read_opening(stream))
        header = BlobHeader(opening.layout_digest, opening.specs, opening.total_bytes)
        try:
            layout = announced_layout(header, None, self._model_bytes_max)
            await self._refuse_second_model()
            await self._receive(stream, opening, layout)
        except (Rejected, UpdateRefused, RemoteProtocolError) as refusal:
            self._audit.did("shipped", caller, stream.peer, nbytes=opening.total_bytes, refused=str(refusal))
            await answer_push(stream, PushAnswer(False, "refused", str(refusal)))
        else:
            self._audit.did("shipped", caller, stream.peer, nbytes=opening.total_bytes)
            await answer_push(stream, PushAnswer(True))

    async def _refuse_second_model(self) -> None:
        """Before any memory is taken for it."""
        try:
            model = await self._actors.store.ask(GetModel())
        except Rejected:
            return
        raise Rejected(f"the federation has a model already, version {model.version}")

    async def _receive(self, stream: Stream, opening: PushOpening, layout: Layout) -> None:
        buffer = as_buffer((await self._actors.aggregator.ask(BorrowBuffer(layout.nbytes, in_memory=True))).buffer)
        try:
            await receive_blob(stream, opening, BlobReceiver(layout, layout.nbytes, buffer))
        except BaseException:
            self._actors.aggregator.tell(ReturnBuffer(buffer))
            raise
        await self._actors.aggregator.ask(Initialise("shipped", layout, buffer))

    async def _download(self, stream: Stream, caller: Caller) -> None:
        version = await self._doorway.first(stream, read_download(stream))
        try:
            blob = await self._actors.store.ask(GetBlob(version))
        except Rejected as refusal:
            await refuse_fetch(stream, str(refusal))
        else:
            self._audit.did("downloaded", caller, stream.peer, version=blob.version)
            await send_blob(stream, blob, layout_known=False)

    async def _list_versions(self, stream: Stream, _: Caller) -> None:
        await self._doorway.first(stream, read_list_versions(stream))
        kept = await self._actors.store.ask(GetVersions())
        await send_versions(stream, (KeptVersion(e.number, e.created_unix_s, e.nbytes, e.digest, e.facts) for e in kept))
