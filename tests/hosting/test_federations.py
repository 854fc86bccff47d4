"""Many federations in one process: what goes wrong with one harms none of the others, and what was cut short goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from fedactors.actors.controller import Controller
from fedactors.aggregation.fedavg import FedAvg
from fedactors.config import planning
from fedactors.driver.saved_runs import State, look
from fedactors.errors import ConfigError, FederationFailed, StoreError
from fedactors.hosting import hosted
from fedactors.model import GlobalModel
from fedactors.runtime.supervisor import Backoff
from fedactors.storage.memory import MemoryStorage
from fedactors.testing import FailingStorage
from fedactors.testing.learners import adds, takes_s
from tests.e2e.support import events, results
from tests.hosting.place import conditions, standing, until


async def test_each_has_its_own_run_and_all_come_to_their_end(place):
    for name, rounds in (("a", 2), ("b", 3), ("c", 4)):
        place.write(name, rounds)
    async with place.served() as federations, place.learner("a", "b", "c"):
        await federations.over()
        told = [(one.name, str(one.condition), one.rounds, one.rounds_total, one.addresses) for one in federations.standings]
    assert told == [("a", "finished", 2, 2, ()), ("b", "finished", 3, 3, ()), ("c", "finished", 4, 4, ())]
    for name, rounds in (("a", 2), ("b", 3), ("c", 4)):
        assert len(results(place.runs / name)["rounds"]) == rounds
        assert (place.runs / name / "model.safetensors").is_file()


async def test_one_waits_for_its_first_learners_as_long_as_it_takes(place):
    place.write("a", more="learners.count = 2\nlearners.join_timeout_s = 0.05")
    async with place.served() as federations:
        async with place.learner("a"):
            await until(lambda: standing(federations, "a").learners == 1)
            await asyncio.sleep(0.1)
            assert conditions(federations) == {"a": "waiting"}
            assert standing(federations, "a").addresses == (f"memory://{place.path.name}-a",)
        await federations.stop("a", "enough")
        await federations.over()
        assert (str(standing(federations, "a").condition), standing(federations, "a").why) == ("finished", "enough")


class Full(FailingStorage):
    """A store on a disk that is full after version 2."""

    def __init__(self):
        super().__init__(MemoryStorage(), fail_at=0)
        self._is_full = False

    @override
    async def put(self, model):
        if self._is_full:
            raise StoreError("no space is left on the device; make room")
        await super().put(model)
        self._is_full = isinstance(model, GlobalModel) and model.version == 2


@dataclass(frozen=True)
class Breaking(FedAvg):
    """A rule whose folds raise what no rule may."""

    @override
    def fold(self, layout):
        raise ZeroDivisionError("told to")


@pytest.fixture
def broken(monkeypatch):
    """A federation named `full` has a full store, one named `rule` a rule that raises; neither takes long to give up."""
    build_storage, build_rule = planning.build_storage, planning.build_rule
    monkeypatch.setattr(planning, "build_storage", lambda c: Full() if c.name == "full" else build_storage(c))
    monkeypatch.setattr(planning, "build_rule", lambda c: Breaking() if c.name == "rule" else build_rule(c))
    monkeypatch.setattr(Controller, "supervision", replace(Controller.supervision, backoff=Backoff(0.001, 0.001)))


async def test_what_goes_wrong_with_one_harms_none_of_the_others(place, broken):
    for name in ("good", "full", "rule"):
        place.write(name, rounds=20)
    place.write("misspelt", more="stop.roundz = 3")
    (place.folder / "twin.toml").write_text(place.toml("good", rounds=20))  # one of the two finds its address taken
    async with place.served() as federations, place.learner("good", "full", "rule"), place.flood("good"):
        await federations.over()
        told = {one.name: one for one in federations.standings}
    first, second = sorted(("good", "twin"), key=lambda name: str(told[name].condition) == "failed")
    assert (str(told.pop(first).condition), look(place.runs / first).rounds) == ("finished", 20)
    assert {str(one.condition) for one in told.values()} == {"failed"}
    assert told["full"].why == "round 3 failed 4 times in a row: StoreError('no space is left on the device; make room')"
    assert "ZeroDivisionError('told to')" in told["rule"].why
    assert "misspelt.toml:7: [stop] has no key 'roundz'; did you mean 'rounds'?" in told["misspelt"].why
    assert f"memory://{place.path.name}-good is in use in this process" in told[second].why


def slow(rounds_per_s=200):
    """A training that takes as long as it takes to look at it."""
    return takes_s(1 / rounds_per_s, adds(1.0))


async def test_what_died_goes_on_with_its_learners_and_what_is_over_stays_listed(place):
    place.write("done", rounds=1)
    place.write("long", rounds=1000)
    place.write("lonely", rounds=2)
    async with place.learner("done", "long", train=slow()):
        async with place.served() as federations:
            await until(lambda: standing(federations, "long").rounds >= 3 and conditions(federations)["done"] == "finished")
        cut = look(place.runs / "long")
        assert cut.state is State.RESUMABLE
        place.write("long", rounds=1000, more="stop.roundz = 'what a run has begun with holds for all of it'")
        async with place.served() as federations:
            assert conditions(federations) == {"done": "finished", "lonely": "waiting", "long": "waiting"}
            await until(lambda: standing(federations, "long").rounds > cut.rounds + 3)
            assert conditions(federations) == {"done": "finished", "lonely": "waiting", "long": "running"}
    told = events(place.runs / "long")
    assert [event["number"] for event in told] == list(range(len(told)))
    assert sum(event["kind"] == "resumed" for event in told) == 1


async def test_a_process_that_is_told_to_end_ends_open_rounds_and_the_next_goes_on(place):
    place.write("long", rounds=1000)
    place.write("lonely", rounds=2)
    async with place.served() as federations, place.learner("long", train=slow()):
        await until(lambda: standing(federations, "long").rounds >= 3)
        await federations.end()
        await federations.over()
        with pytest.raises(ConfigError, match="this process ends"):
            federations.add("late", place.toml("late"))
        assert conditions(federations) == {"lonely": "interrupted", "long": "interrupted"}
    ended = look(place.runs / "long")
    assert (ended.state, ended.why) == (State.FINISHED, "Ctrl-C")
    async with place.served() as federations, place.learner("long", "lonely", train=slow()):
        await until(lambda: standing(federations, "long").rounds > ended.rounds)
        await until(lambda: conditions(federations)["lonely"] == "finished")


async def test_one_that_was_aborted_stays_failed_until_somebody_adds_it_again(place):
    place.write("a", more="stop.roundz = 1")
    place.write("b", rounds=1000)
    async with place.served() as federations, place.learner("b", train=slow()):
        await until(lambda: standing(federations, "b").rounds > 2)
        await federations.stop("b", "no more", now=True)
        await until(lambda: conditions(federations) == {"a": "failed", "b": "failed"})
        with pytest.raises(FederationFailed, match="b is failed already"):
            await federations.stop("b", "again")
    async with place.served() as federations:
        assert (str(standing(federations, "b").condition), standing(federations, "b").why) == ("failed", "no more")
        rounds = standing(federations, "b").rounds
        await until(lambda: conditions(federations) == {"a": "failed", "b": "failed"})
        federations.add("a", place.toml("a"))
        federations.add("b", place.toml("b", rounds=1000))
        async with place.learner("a", "b", train=slow()):
            await until(lambda: standing(federations, "b").rounds > rounds > 2)
            await until(lambda: standing(federations, "a").rounds == 3)
    assert "rounds = 3" in (place.folder / "a.toml").read_text()


async def test_what_is_added_must_be_new_and_well(place):
    place.write("a")
    async with place.served() as federations:
        for name, toml, said in [
            ("a", place.toml("a"), "there is a federation a, and it is waiting"),
            ("b", "stop.roundz = 1", "has no key 'roundz'"),
            ("../b", place.toml("b"), "cannot name a directory"),
        ]:
            with pytest.raises(ConfigError, match=said):
                federations.add(name, toml)
        assert {one.name for one in place.folder.iterdir()} == {"a.toml"}
        federations.add("b", place.toml("b"))
        async with place.learner("a", "b"):
            await federations.over()
        with pytest.raises(ConfigError, match=r"it is finished; move .*runs/b away to run it anew"):
            federations.add("b", place.toml("b"))
        with pytest.raises(FederationFailed, match="there is no federation 'c' here"):
            await federations.stop("c", "")


async def test_no_more_are_taken_than_there_may_be(place, monkeypatch):
    monkeypatch.setattr("fedactors.hosting.federations.FEDERATIONS_MAX", 1)
    place.write("a")
    async with place.served() as federations:
        with pytest.raises(ConfigError, match="1 federations are here already"):
            federations.add("b", place.toml("b"))


async def test_a_broken_run_is_left_alone(place):
    place.write("a")
    run = place.runs / "a"
    run.mkdir(parents=True)
    (run / "journal").write_text("nothing of ours")
    (run / "config.toml").write_text(place.toml("a"))
    async with place.served() as federations:
        await federations.over()
        assert "cannot be gone on with: its journal is no journal of fedactors; move it away" in standing(federations, "a").why
    assert (run / "journal").read_text() == "nothing of ours"


async def test_a_bug_ends_one_and_is_told_as_such(place, monkeypatch):
    place.write("a")
    place.write("b")
    begin = hosted.begin

    def stumble(file, run, overrides):
        return 1 // 0 if file.stem == "a" else begin(file, run, overrides)

    monkeypatch.setattr(hosted, "begin", stumble)
    async with place.served() as federations, place.learner("b"):
        await federations.over()
        assert conditions(federations) == {"a": "failed", "b": "finished"}
        assert "ZeroDivisionError" in (why := standing(federations, "a").why)
        assert "(this is a bug in fedactors)" in why
