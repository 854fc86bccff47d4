from __future__ import annotations

import asyncio
import math
from contextlib import closing

import pytest

from fedactors.dashboard import source as module
from fedactors.dashboard.source import FromController, FromDirectory
from fedactors.driver.reaching import Reach, address_of
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.saved_runs import State
from fedactors.errors import ConfigError, FederationFailed, StoreError
from fedactors.journal import FileJournal, Opened
from fedactors.protocol import Verb
from fedactors.system import Federation
from tests.driver.test_saved_runs import write
from tests.observe.story import Story, whole_run


async def all_events(source):
    return [event async for news in source.events() for event in news]


async def test_the_events_of_a_finished_run_are_read_as_they_were(tmp_path):
    told = whole_run()
    source = FromDirectory(write(tmp_path / "run", *told))
    assert await all_events(source) == told
    assert 'name = "digits"' in source.configuration
    with pytest.raises(FederationFailed, match="takes no orders"):
        await source.order(Verb.STOP, "")


async def test_a_metric_that_was_no_number_is_nan_again(tmp_path):
    source = FromDirectory(write(tmp_path / "run", Story().ended(1, ["a"], loss=math.inf)))
    (event,) = await all_events(source)
    assert math.isnan(event.body["record"]["metrics"]["loss"])
    assert event.body["record"]["totals"]["update_s"] is None


async def test_a_run_that_goes_on_is_followed_line_by_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    story = Story()
    write(tmp_path / "run", *story.joined("a"), journal=False)
    journal = FileJournal(tmp_path / "run" / "journal", Opened("digits", 7, {}))
    going_on = FromDirectory(tmp_path / "run").events()
    assert len(await anext(going_on)) == 1
    waiting = asyncio.ensure_future(anext(going_on))
    with (tmp_path / "run" / "events.jsonl").open("a") as file:
        file.write('{"number": 1, "time": "2026-01-01T00:00:00+00:00", ')
        file.flush()
        await asyncio.sleep(0.02)
        assert not waiting.done(), "half a line is no event"
        file.write('"kind": "stopping", "why": "x"}\n')
    assert [event.kind for event in await waiting] == ["stopping"]
    journal.close()
    assert [news async for news in going_on] == []


async def test_a_federation_in_this_process_is_followed_and_ordered():
    async with Federation({"name": "here", "learners": {"count": 1}}) as federation:
        source = FromController(federation.admin)
        assert (await source.status())["rounds_total"] == federation.config.stop.rounds
        await source.order(Verb.STOP, "enough")
        assert [event.kind for event in await all_events(source)][-1] == "finished"
        async with source.versions() as versions:
            assert await versions.kept() == []


async def test_a_controller_is_found_by_the_directory_of_its_run(tmp_path):
    run = write(tmp_path / "run", *whole_run()[:-1], journal=False)
    with closing(RunDirectory(run, resume=True)) as directory:
        directory.write_addresses(["memory://nowhere"])
    assert address_of(run) is None, "nobody is at it"
    with closing(FileJournal(run / "journal", Opened("digits", 7, {}))):
        assert address_of(run) == "memory://nowhere"
        async with Reach().admin(run):
            pass  # nothing is sent before something is asked
    with pytest.raises(StoreError, match=f"it is {State.RESUMABLE}"):
        await anext(aiter_of(Reach(), run))
    with pytest.raises(ConfigError, match="one of the two"):
        await anext(aiter_of(Reach("memory://nowhere"), run))
    with pytest.raises(ConfigError, match="there is no run in"):
        address_of(tmp_path)


async def aiter_of(reach, run):
    """Enters the conversation, for what that raises."""
    async with reach.admin(run) as admin:
        yield admin
