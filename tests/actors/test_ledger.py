"""What a round's record holds of few learners, and of many."""

from __future__ import annotations

import json

import msgpack

from fedactors.actors.ledger import Ledger
from fedactors.record import RoundRecord, Spread
from fedactors.task import EvaluationReport, Refusal, TrainReport


def played(ledger: Ledger, learners: int) -> RoundRecord:
    """A round in which the first learner fails, the others answer after 1 s, 2 s, ..., and all but the first evaluate."""
    cohort = tuple(f"learner-{number}" for number in range(learners))
    ledger.begin(1, cohort, 100.0, 1e9)
    ledger.refused(1, cohort[0], Refusal.LEARNER_FAILED, "no data")
    for number, learner in enumerate(cohort[1:], 1):
        report = TrainReport(10, ms_per_batch=float(number), metrics={"loss": 0.5})
        ledger.reported(1, learner, report, bytes_up=4, bytes_down=8)
        ledger.accepted(1, learner, report, 0, 100.0 + number)
    ledger.committed(1, 1, 110.0)
    for _ in cohort[1:]:
        ledger.evaluating(1)
    for learner in cohort[1:]:
        ledger.evaluated(1, learner, EvaluationReport(5, {"accuracy": 0.25}), 111.0)
    return ledger.end(1)


def test_a_small_round_tells_of_each_learner_and_of_all_together():
    record = played(Ledger(detail_learners_max=4), 4)
    assert record.cohort == ("learner-0", "learner-1", "learner-2", "learner-3")
    assert record.learners["learner-0"].refused == "learner_failed: no data"
    assert record.learners["learner-3"].ms_per_batch == 3.0
    assert record.learners["learner-3"].eval_metrics == {"accuracy": 0.25}
    assert (record.totals.learners, record.totals.accepted) == (4, 3)


def test_a_round_whose_learners_say_too_much_tells_of_all_together_alone():
    """Else nobody who watches would hear of it: an event has to fit into a frame."""
    ledger = Ledger(detail_learners_max=1000)
    ledger.begin(1, tuple(f"learner-{number}" for number in range(200)), 100.0, 1e9)
    metrics = {f"{number:03}{'m' * 125}": 0.5 for number in range(256)}
    for number in range(200):
        ledger.reported(1, f"learner-{number}", TrainReport(10, metrics=metrics), 4, 8)
        ledger.accepted(1, f"learner-{number}", TrainReport(10, metrics=metrics), 0, 101.0)
    ledger.committed(1, 1, 110.0)
    record = ledger.end(1)
    assert (record.cohort, record.learners) == ((), {})
    assert (record.totals.learners, record.totals.accepted) == (200, 200)
    assert len(msgpack.packb(record.to_map())) < 1000


def test_a_large_round_tells_of_all_together_alone():
    record = played(Ledger(detail_learners_max=3), 4)
    assert (record.cohort, record.learners) == ((), {})
    totals = record.totals
    assert (totals.learners, totals.accepted, totals.refused, totals.evaluated) == (4, 3, {"learner_failed": 1}, 3)
    assert (totals.examples, totals.bytes_up, totals.bytes_down) == (30, 12, 24)
    assert totals.update_s == Spread(1.0, 2.0, 3.0)
    assert totals.ms_per_batch == Spread(1.0, 2.0, 3.0)
    assert record.metrics == {"accuracy": 0.25}


def test_totals_are_the_same_whether_each_learner_is_told_of_or_not():
    assert played(Ledger(detail_learners_max=3), 4).totals == played(Ledger(detail_learners_max=4), 4).totals


def test_a_round_whose_result_many_evaluate_is_large():
    ledger = Ledger(detail_learners_max=2)
    ledger.begin(1, ("a",), 0.0, 0.0)
    ledger.evaluating(1)
    ledger.evaluating(1)
    assert ledger.tells_of_each(1)
    ledger.evaluating(1)
    assert not ledger.tells_of_each(1)


def test_a_round_that_many_give_updates_to_is_large():
    """Where learners train across rounds, a round begins with nobody."""
    ledger = Ledger(detail_learners_max=2)
    ledger.begin(1, (), 0.0, 0.0)
    for learner in "ab":
        ledger.accepted(1, learner, TrainReport(1), 0, 1.0)
    assert ledger.tells_of_each(1)
    ledger.accepted(1, "c", TrainReport(1), 0, 1.0)
    assert not ledger.tells_of_each(1)


def test_a_record_of_totals_survives_json():
    record = played(Ledger(detail_learners_max=3), 4)
    assert RoundRecord.from_map(json.loads(json.dumps(record.to_map()))) == record
