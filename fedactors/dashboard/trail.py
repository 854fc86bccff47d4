"""The versions that a run has kept, as the page lists them."""

from __future__ import annotations

import asyncio
from typing import Any

from fedactors.dashboard.source import Source
from fedactors.driver.run_directory import plain
from fedactors.errors import StoreError, TransportError
from fedactors.protocol.versions import KeptVersion


async def trail(source: Source, at_most: int | None, patience_s: float) -> dict[str, Any]:
    """The newest versions, the newest first, how many there are in all, and why they cannot be listed where that is so."""
    try:
        async with asyncio.timeout(patience_s), source.versions() as versions:
            kept = await versions.kept()
    except (StoreError, TransportError, TimeoutError) as error:
        return {"versions": [], "total": 0, "why": str(error) or "the controller does not answer"}
    return {"versions": [_shown(one) for one in kept[::-1][:at_most]], "total": len(kept), "why": ""}


def _shown(one: KeptVersion) -> dict[str, Any]:
    facts = one.facts
    totals = facts.get("totals") or {}
    shown = {"version": one.version, "nbytes": one.nbytes, "digest": one.digest, "created_unix_s": one.created_unix_s}
    more = {"round": facts.get("round"), "metrics": facts.get("metrics") or {}, "learners": totals.get("accepted")}
    return {key: plain(value) for key, value in (shown | more).items()}
