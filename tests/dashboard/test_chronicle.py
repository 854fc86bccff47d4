from __future__ import annotations

import dataclasses
import json
import math

from fedactors.dashboard import chronicle as module
from fedactors.dashboard.chronicle import Chronicle
from tests.observe.story import Story, record, whole_run


def told(*events, **options) -> Chronicle:
    chronicle = Chronicle("digits", **options)
    for event in events:
        chronicle.take(event)
    return chronicle


def test_a_whole_run_is_told_with_its_end():
    state = told(*whole_run(), rounds_total=2).state()
    assert (state["name"], state["rounds_ended"], state["rounds_total"], state["version"]) == ("digits", 2, 2, 2)
    assert (state["finished"], state["failed"], state["note"]) == (True, False, "finished: 2 rounds are done")
    assert state["metrics"] == {"loss": 0.25, "accuracy": 0.75}
    assert state["model"] == {"num_parameters": 1000, "bytes": 4000}
    assert json.dumps(state, allow_nan=False)


def test_a_learner_s_last_trouble_stays_when_it_is_well_again():
    rows = {row["learner"]: row for row in told(*whole_run()).state()["learners"]}
    assert rows["c"]["trouble"] == "layout: because"
    assert rows["a"]["trouble"] == ""
    story = Story()
    lost = told(*story.joined("a"), story.departed("a", "lost", "silent for 5 s")).state()["learners"][0]
    assert (lost["state"], lost["trouble"], lost["troubled"], lost["gone"]) == ("lost", "lost: silent for 5 s", True, True)


def test_rounds_are_handed_out_once_by_the_numbers_of_their_events():
    chronicle = told(*whole_run(rounds=4))
    first = chronicle.rounds_after(0, 3)
    assert [point.round for point in first] == [1, 2, 3]
    assert [point.round for point in chronicle.rounds_after(first[-1].number + 1, 3)] == [4]
    assert chronicle.rounds_after(chronicle.next_number, 3) == []
    assert first[0].phases == (0.004, 0.8, 0.002, 0.1)


def test_of_a_long_run_rounds_are_left_out_evenly(monkeypatch):
    monkeypatch.setattr(module, "ROUNDS_KEPT_MAX", 8)
    rounds = [point.round for point in told(*whole_run(rounds=20)).rounds]
    assert len(rounds) <= 8
    assert rounds[0] == 1
    assert rounds[-4:] == [17, 18, 19, 20]


def test_of_many_learners_those_in_trouble_are_shown_first(monkeypatch):
    monkeypatch.setattr(module, "LEARNERS_SHOWN_MAX", 3)
    story = Story()
    names = [f"l{number}" for number in range(10)]
    events = [*story.joined(*names), story.began(1, *names), story.refused(1, "l7", "layout"), story.departed("l8", "left")]
    state = told(*events).state()
    assert [row["learner"] for row in state["learners"]] == ["l7", "l0", "l1"]
    assert state["learners_total"] == 10


def test_a_privacy_budget_is_shown_where_rounds_tell_of_it():
    chronicle = told(*whole_run())
    assert (chronicle.state()["epsilon"], chronicle.rounds[0].epsilon) == (None, None)
    private = dataclasses.replace(record(3, ["a"]), epsilon=1.5)
    chronicle.take(Story().event("round_ended", record=private.to_map()))
    assert (chronicle.state()["epsilon"], chronicle.rounds[-1].epsilon) == (1.5, 1.5)


def test_a_metric_that_is_no_number_is_none():
    chronicle = told(Story().ended(1, ["a"], loss=math.inf, accuracy=math.nan))
    assert chronicle.rounds[0].metrics == chronicle.state()["metrics"] == {"loss": None, "accuracy": None}


def test_a_resumed_run_is_not_over():
    story = Story()
    events = [story.finished(), story.event("resumed", lives=2, round=3, version=2)]
    assert told(*events).state()["finished"] is False


def test_metrics_without_end_are_cut(monkeypatch):
    many = {f"m{number}": 0.0 for number in range(50)} | {"loss": 1.0}
    chronicle = told(Story().ended(1, ["a"], **many))
    assert len(chronicle.rounds[0].metrics) == module.METRICS_KEPT_MAX
    assert next(iter(chronicle.rounds[0].metrics)) == "loss"
