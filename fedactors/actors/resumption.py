"""Where a new process goes on with a federation whose controller has died."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fedactors.actors.life import Life, Phase
from fedactors.errors import ConfigError, StoreError
from fedactors.journal import FileJournal, Happened, Story
from fedactors.log import get_logger
from fedactors.model import Version
from fedactors.record import Event, EventKind, RoundRecord
from fedactors.stop import StopConditions
from fedactors.storage.base import Storage
from fedactors.storage.facts import of_round

log = get_logger("fedactors.resumption")


async def resume(conditions: StopConditions, storage: Storage, journal: FileJournal, unix_s: float) -> Life:
    """The federation's life, from its journal and its model store, which is open.

    A version that was kept, and of which the journal says only that it was about to be, is committed: it is told of now.

    Raises:
        StoreError: journal and model store are not of the same run, or the store has lost the newest version.
        ConfigError: rounds would be accounted with other noise than they had.
    """
    versions = await storage.versions()
    newest = versions[-1] if versions else None
    events = list(journal.events)
    if (untold := _untold(journal.story, newest)) is not None:
        event = Event(len(events), unix_s, *untold)
        journal.write(Happened(event))
        events.append(event)
    _check(journal, newest)
    _check_spending(conditions, events)
    await _describe(storage, events)
    layout = None if newest is None else (await storage.get(newest)).layout
    life = Life.resumed(conditions, journal, events, layout)
    if life.phase is not Phase.DONE:
        story = journal.story
        life.publish(unix_s, EventKind.RESUMED, {"lives": story.lives, "round": story.next_round, "version": story.version})
    return life


async def _describe(storage: Storage, events: Sequence[Event]) -> None:
    """Write down what the process before had no time to: where versions came from. No run fails because nobody will know."""
    bare = {entry.number for entry in await storage.lineage(None) if "round" not in entry.facts}
    for event in events:
        if event.kind is EventKind.ROUND_ENDED and event.body["record"]["version"] in bare:
            record = RoundRecord.from_map(event.body["record"])
            try:
                await storage.describe(record.version, of_round(record))
            except StoreError as error:
                log.warning("version_not_described", version=record.version, error=str(error))


def _check_spending(conditions: StopConditions, events: Sequence[Event]) -> None:
    """See that what the rounds so far have spent of the learners' privacy is what it will be said to be."""
    ended = next((event for event in reversed(events) if event.kind is EventKind.ROUND_ENDED), None)
    if ended is None:
        return
    record = RoundRecord.from_map(ended.body["record"])
    known, said = record.epsilon, conditions.epsilon(record.round)
    if (known is None) != (said is None) or not math.isclose(known or 0.0, said or 0.0, rel_tol=1e-6):
        told = " and ".join("without an epsilon" if value is None else f"epsilon {value:.4g}" for value in (known, said))
        remedy = "leave mechanism, noise_multiplier, delta and amplification of [dp] as the run's config.toml has them"
        raise ConfigError(f"round {record.round} ended with {told} would now be said of it: {remedy}")


def _untold(story: Story, newest: Version | None) -> tuple[EventKind, dict[str, Any]] | None:
    """News of a version that the journal does not know to be kept: its kind and body."""
    if newest == 0 and story.version is None:
        return EventKind.INITIALISED, {"source": "the run before", "num_parameters": 0, "bytes": 0}
    committing = story.committing
    if committing is not None and newest == committing.version:
        told = {"round": committing.round, "version": committing.version}
        return EventKind.ROUND_COMMITTED, told | {"updates": len(story.counted)}
    return None


def _check(journal: FileJournal, newest: Version | None) -> None:
    known = journal.story.version
    if newest == known:
        return
    holds = "no version" if newest is None else f"version {newest} as its newest"
    knows = "none" if known is None else f"version {known}"
    remedy = "name the run's own store, one that outlives its process (file:// or redis://)"
    raise StoreError(f"the model store holds {holds}, but the journal {journal.path} knows {knows}; {remedy}")
