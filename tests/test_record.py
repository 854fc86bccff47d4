"""Records and results: what is written can be read again."""

import json

from fedactors.record import Event, EventKind, FinalModel, History, LearnerRecord, Phases, Results, RoundRecord


def record(round_=1, **metrics):
    learners = {
        "anna": LearnerRecord(examples=10, batches=2, epochs=0.5, train_metrics={"loss": 1.5}, eval_metrics={"accuracy": 0.5}),
        "bela": LearnerRecord(refused="late"),
    }
    phases = Phases(0.1, 2.0, 0.01, 0.5)
    started_at = "2026-01-01T12:00:00.000001+00:00"
    return RoundRecord(round_, round_, started_at, 2.11, phases, ("anna", "bela"), learners, metrics)


def event(number, kind, **body):
    return Event(number, 1e9 + number, kind, body)


def test_round_record_survives_json():
    written = json.dumps(record(accuracy=0.5).to_map())
    assert RoundRecord.from_map(json.loads(written)) == record(accuracy=0.5)


def test_round_record_as_a_map_shares_nothing_with_the_record():
    original = record(accuracy=0.5)
    plain = original.to_map()
    plain["learners"]["anna"]["train_metrics"]["loss"] = 0
    plain["metrics"].clear()
    assert original == record(accuracy=0.5)


def test_results_are_plain_json():
    final = FinalModel(2, {"accuracy": 0.75}, "models/final.safetensors", "ab" * 32)
    results = Results("demo", 7, "round 2 is committed, the last of 2", False, (record(1), record(2)), final)
    read = json.loads(json.dumps(results.to_map()))
    assert [each["round"] for each in read["rounds"]] == [1, 2]
    assert read["final"] == {
        "version": 2,
        "metrics": {"accuracy": 0.75},
        "model": "models/final.safetensors",
        "sha256": "ab" * 32,
    }
    assert (read["name"], read["seed"], read["failed"]) == ("demo", 7, False)


def test_results_without_a_model_say_so():
    assert Results("demo", 7, "nobody came", True, (), None).to_map()["final"] is None


def test_history_gathers_the_results_from_events():
    history = History()
    history.take(event(0, EventKind.ROUND_BEGAN, round=1, version=0, cohort=["anna"]))
    history.take(event(1, EventKind.ROUND_ENDED, record=record(1, accuracy=0.5).to_map()))
    history.take(event(2, EventKind.ROUND_ENDED, record=record(2).to_map()))
    assert not history.finished
    history.take(event(3, EventKind.FINISHED, stop_reason="enough", version=2, failed=False))
    assert history.finished
    assert history.metrics == {"accuracy": 0.5}, "of the last evaluated round"
    assert history.results("demo", 7, None) == Results("demo", 7, "enough", False, (record(1, accuracy=0.5), record(2)), None)


def test_history_keeps_rounds_in_order_although_an_evaluation_came_late():
    history = History()
    for number, ended in enumerate((record(1, accuracy=0.5), record(3, accuracy=0.7), record(2, accuracy=0.6))):
        history.take(event(number, EventKind.ROUND_ENDED, record=ended.to_map()))
    assert [known.round for known in history.rounds] == [1, 2, 3]
    assert history.metrics == {"accuracy": 0.7}


def test_event_kinds_are_listed_in_the_module_with_their_bodies():
    import fedactors.record

    for kind in EventKind:
        assert f"\n    {kind} " in fedactors.record.__doc__, kind
