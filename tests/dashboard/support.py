"""A run whose events a test hands out."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from typing_extensions import override

from fedactors.access.callers import Role
from fedactors.access.tokens import TokenBook
from fedactors.dashboard.source import Source
from fedactors.driver.versions import Versions
from fedactors.errors import FederationFailed, NoSuchModel
from fedactors.model import GlobalModel, Layout
from fedactors.protocol import Verb
from fedactors.protocol.versions import KeptVersion

LEARNER, OBSERVER, OPERATOR = (f"fedactors_of-{role}" for role in ("learner", "observer", "operator"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOOK = (
    TokenBook()
    .add(Role.LEARNER, "l0", LEARNER, NOW)
    .add(Role.OBSERVER, "otto", OBSERVER, NOW)
    .add(Role.OPERATOR, "olga", OPERATOR, NOW)
)


class Told(Source):
    """Tells what `tell` is given, until `end`; keeps the orders that it is given."""

    takes_orders = True
    configuration = 'name = "digits"\n'

    def __init__(self) -> None:
        self.news: asyncio.Queue[Any] = asyncio.Queue()
        self.orders: list[tuple[Verb, str]] = []
        self.refuses = ""
        self.ended = False

    def tell(self, *events) -> None:
        self.news.put_nowait(events)

    def end(self, error: Exception | None = None) -> None:
        self.news.put_nowait(error)

    @override
    async def events(self):
        while isinstance(news := await self.news.get(), tuple):
            yield news
        if news is not None:
            raise news

    @override
    async def status(self):
        return {"phase": "training", "paused": False}

    @override
    @asynccontextmanager
    async def versions(self):
        yield Kept()

    @override
    async def order(self, verb, why):
        if self.refuses:
            raise FederationFailed(self.refuses)
        self.orders.append((verb, why))


class Kept(Versions):
    """One version."""

    @override
    async def kept(self):
        facts = {"round": 1, "metrics": {"loss": float("nan")}, "totals": {"accepted": 3}}
        return [KeptVersion(1, 1_000.0, 8, "ab" * 16, facts)]

    @override
    async def _get(self, version):
        if version != 1:
            raise NoSuchModel(f"version {version} was evicted")
        weights = {"w": np.arange(2, dtype=np.float32)}
        layout = Layout.of(weights)
        return GlobalModel(1, layout, layout.pack(weights))


def read(message: bytes) -> tuple[str, str, Any]:
    """(kind, id, data) of a server-sent event."""
    fields = dict(line.split(": ", 1) for line in message.decode().strip().splitlines())
    return fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"]) if "data" in fields else None
