"""Figures of many federations in one place, each under its name."""

from __future__ import annotations

from collections import Counter

import httpx
from prometheus_client.parser import text_string_to_metric_families

from fedactors.access.callers import Role
from fedactors.dashboard.scraping import scraped
from fedactors.dashboard.where import Where
from fedactors.observe.exposition import CONTENT_TYPE, ManyExpositions
from fedactors.observe.meter import Metered
from fedactors.protocol.federations import Condition
from tests.hosting.place import conditions, until
from tests.hosting.test_desk import added
from tests.observe.story import whole_run
from tests.observe.test_metrics import metered

STATES = [str(state) for state in Condition]


def samples(text):
    """Value by name and labels, and how often each family begins."""
    families = list(text_string_to_metric_families(text))
    found = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    return found, Counter(family.name for family in families)


def test_figures_of_one_kind_stand_together_whichever_federation_they_are_of():
    meter = metered(*whole_run())
    told = [Metered("a", "finished", meter), Metered('b "1"', "running", meter), Metered("c", "failed")]
    found, families = samples(ManyExpositions(lambda: told, STATES).text().decode())
    assert set(families.values()) == {1}
    for name in ("a", 'b "1"'):
        assert found["fedactors_rounds_total", ("federation", name)] == 2
        assert found["fedactors_metric", ("federation", name), ("metric", "accuracy")] == 0.75
        assert found["fedactors_round_phase_seconds_sum", ("federation", name), ("phase", "train")] == 1.6
    assert ("fedactors_rounds_total", ("federation", "c")) not in found
    assert [found["fedactors_federation_state", ("federation", "c"), ("state", state)] for state in STATES] == [
        state == "failed" for state in STATES
    ]


async def test_what_is_served_is_read_while_it_goes_on_and_after_each_has_ended(place):
    place.write("a", rounds=2)
    place.write("b", rounds=3)
    place.write("broken", more="stop.roundz = 1")
    tokens = place.path / "tokens.json"
    observer, learner = added(tokens, Role.OBSERVER, "olga"), added(tokens, Role.LEARNER, "anna")
    async with place.served(is_metered=True) as federations:
        exposition = ManyExpositions(lambda: federations.metered, STATES)
        async with scraped(exposition.text, CONTENT_TYPE, Where("127.0.0.1", 0, tokens)) as url, httpx.AsyncClient() as client:
            for wrong in ({}, {"authorization": f"Bearer {learner}"}):
                assert (await client.get(url, headers=wrong)).status_code == 401

            async def figures():
                return samples((await client.get(url, headers={"authorization": f"Bearer {observer}"})).text)[0]

            async with place.learner("a"):
                await until(lambda: conditions(federations)["a"] == "finished")
            found = await figures()
            assert found["fedactors_rounds_total", ("federation", "a")] == 2
            assert found["fedactors_finished", ("federation", "a")] == 1
            assert found["fedactors_rounds_total", ("federation", "b")] == 0
            assert found["fedactors_actor_messages_total", ("actor", "controller"), ("federation", "b")] > 0
            assert ("fedactors_actor_messages_total", ("actor", "controller"), ("federation", "a")) not in found
            assert found["fedactors_federation_state", ("federation", "b"), ("state", "waiting")] == 1
            assert found["fedactors_federation_state", ("federation", "broken"), ("state", "failed")] == 1
            async with place.learner("b"):
                await until(lambda: conditions(federations)["b"] == "finished")
            found = await figures()
            assert found["fedactors_rounds_total", ("federation", "b")] == 3
            assert found["fedactors_updates_accepted_total", ("federation", "b")] == 3


async def test_without_being_asked_no_figures_are_kept(place):
    place.write("a", rounds=1)
    async with place.served() as federations, place.learner("a"):
        await federations.over()
        assert federations.metered == [Metered("a", "finished")]
