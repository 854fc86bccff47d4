"""Figures for Prometheus: what is counted, how it is written, and that the dashboard of Grafana asks for nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from fedactors.observe.exposition import Exposition
from fedactors.observe.meter import METRICS_KEPT_MAX, PROXIES, Kernel, Meter
from fedactors.runtime.trace import ActorStatistics, SystemStatistics
from tests.observe.story import Story, record, whole_run

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana" / "fedactors.json"
STATISTICS = SystemStatistics(
    (
        ActorStatistics("/controller", 10, 1, 0.5, 0.25, 0),
        ActorStatistics("/controller/gateway", 5, 0, 0.0, 0.0, 1),
        ActorStatistics("/controller/gateway/learner-0", 3, 2, 0.1, 0.2, 0),
        ActorStatistics("/controller/gateway/learner-1", 4, 3, 0.1, 0.2, 0),
    ),
    7,
    1,
    2,
    0.001,
    0.02,
)


def metered(*events) -> Meter:
    meter = Meter("digits")
    for event in events:
        meter.take(event)
    return meter


def samples(meter: Meter, kernel=None) -> dict[tuple, float]:
    """Value by name and labels' values."""
    text = Exposition(meter, kernel).text().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_a_run_is_counted():
    found = samples(metered(*whole_run()))
    assert found["fedactors_federation_info", "digits"] == 1
    assert found["fedactors_rounds_total",] == 2
    assert found["fedactors_updates_accepted_total",] == 5
    assert found["fedactors_received_bytes_total",] == 24_000
    assert found["fedactors_round_phase_seconds_sum", "train"] == 1.6
    assert found["fedactors_round_phase_seconds_count", "train"] == 2
    assert found["fedactors_metric", "accuracy"] == 0.75
    assert (found["fedactors_learners", "evaluated"], found["fedactors_learners", "refused"]) == (2, 1)
    assert found["fedactors_learners", "lost"] == 0
    assert (found["fedactors_finished",], found["fedactors_failed",]) == (1, 0)
    assert not [name for name, *_ in found if name.startswith(("process_", "fedactors_loop", "fedactors_privacy"))]


def test_refusals_are_counted_by_reason_and_privacy_where_it_is_accounted():
    made = record(1, ["a"])
    totals = dataclasses.replace(made.totals, refused={"layout": 2, "late": 1}, bytes_up=10, bytes_down=20)
    made = dataclasses.replace(made, totals=totals, epsilon=0.5)
    found = samples(metered(Story().event("round_ended", record=made.to_map())))
    assert found["fedactors_updates_refused_total", "layout"] == 2
    assert found["fedactors_updates_refused_total", "late"] == 1
    assert (found["fedactors_received_bytes_total",], found["fedactors_sent_bytes_total",]) == (10, 20)
    assert found["fedactors_privacy_epsilon",] == 0.5


def test_a_resumed_run_goes_on():
    story = Story()
    meter = metered(story.finished(failed=True), story.event("resumed", lives=2, round=1, version=None))
    assert (meter.finished, meter.failed) == (False, False)


def test_actors_are_told_of_and_those_of_learners_as_one():
    found = samples(Meter("x"), lambda: Kernel.of(STATISTICS))
    assert found["fedactors_mailbox_depth", "controller"] == 1
    assert found["fedactors_mailbox_depth", PROXIES] == 5
    assert found["fedactors_actor_messages_total", PROXIES] == 7
    assert found["fedactors_mailbox_wait_seconds_total", "controller"] == 0.5
    assert found["fedactors_dead_letters_total",] == 7
    assert found["fedactors_loop_lag_max_seconds",] == 0.02
    assert found["process_resident_memory_bytes",] > 1e6


def test_learners_cannot_make_series_without_end():
    many = {f"m{number}": 0.0 for number in range(100)}
    found = samples(metered(Story().ended(1, ["a"], **many)))
    assert sum(name == "fedactors_metric" for name, *_ in found) == METRICS_KEPT_MAX


def test_a_learner_s_words_cannot_break_the_format():
    name = 'loss"} 1\nevil{x="'
    assert samples(metered(Story().ended(1, ["a"], **{name: 0.5})))["fedactors_metric", name] == 0.5


def every_name() -> set[str]:
    """Of a run that has something of everything."""
    made = dataclasses.replace(record(1, ["a"]), epsilon=0.5, metrics={"loss": 1.0})
    made = dataclasses.replace(made, totals=dataclasses.replace(made.totals, refused={"late": 1}))
    meter = metered(Story().event("round_ended", record=made.to_map()))
    return {name for name, *_ in samples(meter, lambda: Kernel.of(STATISTICS))}


def test_every_metric_that_the_grafana_dashboard_names_is_there():
    asked = set(re.findall(r"\b(?:fedactors|process)_[a-z_]+", GRAFANA.read_text()))
    assert len(asked) > 15
    assert asked <= every_name()


def test_the_grafana_dashboard_s_panels_do_not_overlap():
    places = set()
    for panel in json.loads(GRAFANA.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & cells, panel["title"]
        places |= cells
