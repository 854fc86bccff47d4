"""The synchronous protocol, one rule a test."""

import pytest

from fedactors.errors import ConfigError
from fedactors.scheduling.base import (
    AbandonRound,
    Accept,
    BeginRound,
    Cancel,
    ClearDeadline,
    Combine,
    CombineFailed,
    Departed,
    EndRound,
    Evaluate,
    EvaluationArrived,
    Finish,
    Finished,
    GiveUp,
    Joined,
    Proceed,
    Refuse,
    SetDeadline,
    TaskFailed,
    Train,
    UpdateArrived,
    Wait,
)
from fedactors.scheduling.books import LATE_TASKS_MAX
from fedactors.scheduling.synchronous import Synchronous
from fedactors.selection.base import Candidate
from fedactors.selection.everyone import Everyone
from fedactors.selection.uniform import Uniform
from fedactors.task import Refusal
from tests.scheduling.play import Play


def test_round_begins_with_a_task_for_everybody():
    assert Play().begun == [
        BeginRound(1, ("a", "b", "c")),
        Train("t1", "a", 1, 0),
        Train("t2", "b", 1, 0),
        Train("t3", "c", 1, 0),
    ]


def test_cohort_is_chosen_from_candidates_in_order_of_id():
    assert Play(here="cab").begun[0] == BeginRound(1, ("a", "b", "c"))


def test_round_continues_the_version_and_number_of_a_resumed_run():
    begun = Play(here="a", version=4, first_round=5).begun
    assert begun == [BeginRound(5, ("a",)), Train("t1", "a", 5, 4)]


def test_nothing_begins_without_proceed():
    play = Play(granted=False)
    assert play.tell(Joined(Candidate("d"))) == []


def test_round_waits_for_enough_learners_and_says_so_once():
    play = Play(here="a", min_learners=3)
    assert play.begun == [Wait("round 1 needs 3 learners; 1 are here")]
    assert play.tell(Joined(Candidate("b"))) == []
    assert play.tell(Joined(Candidate("c")))[0] == BeginRound(1, ("a", "b", "c"))


def test_later_round_begins_with_whoever_is_here():
    play = Play(here="ab", min_learners=2)
    play.round(1, ["t1", "t2"], "ab")
    play.tell(Departed("b"))
    assert play.tell(Proceed())[0] == BeginRound(2, ("a",))


def test_round_that_needs_more_updates_than_learners_are_here_does_not_begin():
    play = Play(Synchronous(min_updates=2), here="a")
    assert play.begun == [Wait("round 1 needs 2 learners; 1 are here")]


def test_round_combines_when_everybody_has_answered():
    play = Play()
    assert play.update("t1", "a") == [Accept("t1", "a", 0)]
    assert play.update("t3", "c") == [Accept("t3", "c", 0)]
    assert play.update("t2", "b") == [Accept("t2", "b", 0), Combine(1)]


def test_one_proceed_grants_one_round():
    play = Play()
    assert play.round(1, ["t1", "t2", "t3"]) == [EndRound(1)]
    assert play.tell(Proceed())[0] == BeginRound(2, ("a", "b", "c"))


def test_proceed_during_a_round_grants_the_next_one():
    play = Play()
    assert play.tell(Proceed()) == []
    assert play.round(1, ["t1", "t2", "t3"])[:3] == [EndRound(1), BeginRound(2, ("a", "b", "c")), Train("t4", "a", 2, 1)]


def test_departure_of_the_last_that_was_waited_for_combines_at_once():
    play = Play()
    play.update("t1", "a")
    play.update("t2", "b")
    assert play.tell(Departed("c")) == [Combine(1)]


def test_failure_of_the_last_that_was_waited_for_combines_at_once():
    play = Play()
    play.update("t1", "a")
    play.fail("t2", "b")
    assert play.fail("t3", "c") == [Combine(1)]


def test_joiner_waits_for_the_next_round():
    play = Play()
    assert play.tell(Joined(Candidate("d"))) == []
    play.round(1, ["t1", "t2", "t3"])
    assert play.tell(Proceed())[0] == BeginRound(2, ("a", "b", "c", "d"))


def test_rejoined_learner_answers_its_old_task_in_vain():
    play = Play()
    play.tell(Departed("c"))
    play.tell(Joined(Candidate("c")))
    assert play.update("t3", "c") == [Refuse("t3", "c", Refusal.UNKNOWN_TASK)]


def test_replayed_update_is_refused():
    play = Play()
    play.update("t1", "a")
    assert play.update("t1", "a") == [Refuse("t1", "a", Refusal.UNKNOWN_TASK)]


def test_update_for_another_learners_task_is_refused_and_the_task_stays_open():
    play = Play()
    assert play.update("t1", "b") == [Refuse("t1", "b", Refusal.NOT_OWNER)]
    assert play.update("t1", "a") == [Accept("t1", "a", 0)]


def test_update_for_a_task_that_never_was_is_refused():
    assert Play().update("t99", "a") == [Refuse("t99", "a", Refusal.UNKNOWN_TASK)]


def test_another_learners_failure_report_changes_nothing():
    play = Play(here="a")
    assert play.fail("t1", "b") == []
    assert play.update("t1", "a") == [Accept("t1", "a", 0), Combine(1)]


def test_deadline_combines_what_is_there_and_cancels_the_rest():
    play = Play(Synchronous(round_timeout_s=10.0, min_updates=2))
    assert play.begun[-1] == SetDeadline("round-1-attempt-1", 10.0)
    play.update("t1", "a")
    play.update("t3", "c")
    assert play.pass_time("round-1-attempt-1", 10.0) == [Cancel("t2", "b"), Combine(1)]


def test_update_after_the_deadline_is_late():
    play = Play(Synchronous(round_timeout_s=10.0))
    play.update("t1", "a")
    play.pass_time("round-1-attempt-1", 10.0)
    assert play.update("t2", "b") == [Refuse("t2", "b", Refusal.LATE)]


def test_too_few_updates_at_the_deadline_combine_as_soon_as_they_suffice():
    play = Play(Synchronous(round_timeout_s=10.0, min_updates=2))
    play.update("t1", "a")
    assert play.pass_time("round-1-attempt-1", 10.0) == []
    assert play.update("t2", "b") == [Accept("t2", "b", 0), Cancel("t3", "c"), Combine(1)]


def test_deadline_is_cleared_when_everybody_was_faster():
    play = Play(Synchronous(round_timeout_s=10.0), here="a")
    assert play.update("t1", "a") == [Accept("t1", "a", 0), ClearDeadline("round-1-attempt-1"), Combine(1)]
    assert play.pass_time("round-1-attempt-1", 10.0) == []


def test_deadline_of_an_abandoned_attempt_does_not_end_the_next_one():
    play = Play(Synchronous(round_timeout_s=10.0), here="ab")
    play.fail("t1", "a")
    again = play.fail("t2", "b")
    assert again[0] == ClearDeadline("round-1-attempt-1")
    assert again[-1] == SetDeadline("round-1-attempt-2", 10.0)
    play.update("t3", "a")
    assert play.pass_time("round-1-attempt-1", 10.0) == []


def test_over_selection_asks_more_and_takes_the_first():
    play = Play(Synchronous(over_selection=0.5), here="abcdef", selection=Uniform(count=2))
    cohort = play.begun[0].cohort
    assert len(cohort) == 3
    play.update("t3", cohort[2])
    assert play.update("t1", cohort[0]) == [Accept("t1", cohort[0], 0), Cancel("t2", cohort[1]), Combine(1)]


@pytest.mark.parametrize(("over_selection", "asked"), [(0.1, 11), (0.3, 13), (0.31, 14), (5.0, 40)])
def test_over_selection_asks_the_ceiling_and_never_more_than_are_here(over_selection, asked):
    here = [f"l{number}" for number in range(40)]
    play = Play(Synchronous(over_selection=over_selection), here=here, selection=Uniform(count=10))
    cohort = play.begun[0].cohort
    assert len(cohort) == len(set(cohort)) == asked


def test_cohort_smaller_than_min_updates_is_filled_up():
    play = Play(Synchronous(min_updates=3), here="abcde", selection=Uniform(count=1))
    cohort = play.begun[0].cohort
    assert len(cohort) == 3
    play.update("t1", cohort[0])
    play.update("t2", cohort[1])
    assert play.update("t3", cohort[2])[-1] == Combine(1)


def test_round_is_abandoned_and_begun_again_under_the_same_grant():
    play = Play(here="ab")
    play.fail("t1", "a")
    assert play.fail("t2", "b") == [
        AbandonRound(1, "0 of at least 1 updates came (failed: a (learner_failed), b (learner_failed))"),
        BeginRound(1, ("a", "b")),
        Train("t3", "a", 1, 0),
        Train("t4", "b", 1, 0),
    ]
    assert play.update("t1", "a") == [Refuse("t1", "a", Refusal.UNKNOWN_TASK)]


def test_accepted_updates_of_an_abandoned_round_do_not_count_for_the_next_attempt():
    play = Play(Synchronous(min_updates=2), here="ab")
    play.update("t1", "a")
    assert play.fail("t2", "b")[0] == AbandonRound(1, "1 of at least 2 updates came (failed: b (learner_failed))")
    assert play.update("t3", "a") == [Accept("t3", "a", 0)]
    assert play.update("t4", "b") == [Accept("t4", "b", 0), Combine(1)]


def test_federation_gives_up_after_too_many_failed_rounds_in_a_row():
    play = Play(Synchronous(max_failed_rounds=2), here="a")
    play.fail("t1", "a")
    abandoned, given_up = play.fail("t2", "a")
    assert abandoned.round == 1
    assert given_up == GiveUp(
        "round 1 was abandoned 2 times in a row, each time: 0 of at least 1 updates came (failed: a (learner_failed))"
    )
    assert play.tell(Proceed()) == []


def test_what_was_different_from_attempt_to_attempt_is_told_of_each():
    play = Play(Synchronous(max_failed_rounds=2), here="ab")
    play.fail("t2", "b")
    play.fail("t1", "a")
    play.fail("t3", "a")
    assert play.tell(Departed("b"))[-1] == GiveUp(
        "round 1 was abandoned 2 times in a row: "
        "attempt 1: 0 of at least 1 updates came (failed: a (learner_failed), b (learner_failed)); "
        "attempt 2: 0 of at least 1 updates came (failed: a (learner_failed); gone: b)"
    )


def test_commit_forgives_earlier_failed_rounds():
    play = Play(Synchronous(max_failed_rounds=2), here="a")
    play.fail("t1", "a")
    play.round(1, ["t2"], "a")
    play.tell(Proceed())
    assert play.fail("t3", "a")[1] == BeginRound(2, ("a",))


def test_round_that_everybody_left_waits_for_a_learner_and_does_not_count_as_failed():
    play = Play(Synchronous(max_failed_rounds=1), here="a")
    assert play.tell(Departed("a")) == [
        AbandonRound(1, "0 of at least 1 updates came (gone: a)"),
        Wait("round 1 needs 1 learners; 0 are here"),
    ]
    assert play.tell(Joined(Candidate("a"))) == [BeginRound(1, ("a",)), Train("t2", "a", 1, 0)]


def test_round_that_its_cohort_left_counts_as_failed_while_others_are_here():
    play = Play(Synchronous(max_failed_rounds=1), here="a")
    play.tell(Joined(Candidate("b")))
    commands = play.tell(Departed("a"))
    assert isinstance(commands[-1], GiveUp)


def test_long_reasons_name_a_few_learners_and_count_the_rest():
    play = Play(Synchronous(max_failed_rounds=1), here="abcdefg")
    for number, learner in enumerate("abcdefg", 1):
        commands = play.fail(f"t{number}", learner)
    assert commands[0].why.endswith("e (learner_failed) and 2 more)")


def test_failed_combination_abandons_the_round():
    play = Play(here="a")
    play.update("t1", "a")
    assert play.tell(CombineFailed(1)) == [
        AbandonRound(1, "its updates could not be combined"),
        BeginRound(1, ("a",)),
        Train("t2", "a", 1, 0),
    ]


def test_nothing_changes_a_round_that_is_being_combined():
    play = Play(Synchronous(round_timeout_s=5.0))
    play.update("t1", "a")
    play.pass_time("round-1-attempt-1", 5.0)
    for event in (Departed("a"), Joined(Candidate("d")), Proceed(), TaskFailed("t2", "b", Refusal.LAYOUT), Finish()):
        assert play.tell(event) == []
    assert play.commit() == [EndRound(1), Finished()]


def test_result_is_evaluated_by_the_cohort_members_that_are_still_here():
    play = Play(evaluate_every=1)
    play.update("t1", "a")
    play.update("t2", "b")
    play.tell(Departed("c"))
    play.tell(Joined(Candidate("d")))
    assert play.commit() == [Evaluate("t4", "a", 1, 1), Evaluate("t5", "b", 1, 1)]
    assert play.tell(EvaluationArrived("t4", "a")) == []
    assert play.tell(EvaluationArrived("t4", "a")) == []
    assert play.tell(EvaluationArrived("t5", "b")) == [EndRound(1)]


@pytest.mark.parametrize(
    "event",
    [Departed("a"), TaskFailed("t2", "a", Refusal.BAD_REPORT), EvaluationArrived("t2", "a")],
    ids=lambda e: type(e).__name__,
)
def test_round_ends_however_its_last_evaluation_ends(event):
    play = Play(here="a", evaluate_every=1, evaluate_timeout_s=4.0)
    play.now_s = 1.0
    assert play.round(1, ["t1"], "a") == [Evaluate("t2", "a", 1, 1), SetDeadline("evaluation-1", 5.0)]
    assert play.tell(event) == [ClearDeadline("evaluation-1"), EndRound(1)]


def test_evaluation_that_takes_too_long_is_cancelled():
    play = Play(here="ab", evaluate_every=1, evaluate_timeout_s=4.0)
    play.round(1, ["t1", "t2"], "ab")
    play.tell(EvaluationArrived("t3", "a"))
    assert play.pass_time("evaluation-1", 4.0) == [Cancel("t4", "b"), EndRound(1)]
    assert play.tell(EvaluationArrived("t4", "b")) == []


def test_evaluation_overlaps_the_next_round():
    play = Play(here="a", evaluate_every=1)
    play.round(1, ["t1"], "a")
    assert play.tell(Proceed()) == [BeginRound(2, ("a",)), Train("t3", "a", 2, 1)]
    assert play.update("t3", "a") == [Accept("t3", "a", 0), Combine(2)]
    assert play.commit(2) == [Evaluate("t4", "a", 2, 2)]
    assert play.tell(EvaluationArrived("t2", "a")) == [EndRound(1)]


def test_update_for_an_evaluation_task_is_refused():
    play = Play(here="a", evaluate_every=1)
    play.round(1, ["t1"], "a")
    assert play.update("t2", "a") == [Refuse("t2", "a", Refusal.UNKNOWN_TASK)]


def test_rounds_between_evaluations_end_with_their_commit():
    play = Play(here="a", evaluate_every=2)
    assert play.round(1, ["t1"], "a") == [EndRound(1)]
    play.tell(Proceed())
    assert play.round(2, ["t2"], "a") == [Evaluate("t3", "a", 2, 2)]


def test_round_that_is_known_to_be_the_last_is_evaluated_before_it_ends():
    play = Play(here="a", evaluate_every=5, granted=False)
    play.tell(Proceed(last=True))
    assert play.round(1, ["t1"], "a") == [Evaluate("t2", "a", 1, 1)]
    assert play.tell(Finish()) == []
    assert play.tell(EvaluationArrived("t2", "a")) == [EndRound(1), Finished()]


def test_finish_has_the_last_result_evaluated_even_after_its_round_ended():
    play = Play(here="a", evaluate_every=5)
    assert play.round(1, ["t1"], "a") == [EndRound(1)]
    assert play.tell(Finish()) == [Evaluate("t2", "a", 1, 1)]
    assert play.tell(EvaluationArrived("t2", "a")) == [Finished()]


def test_finish_waits_for_the_evaluation_that_is_out():
    play = Play(here="a", evaluate_every=1)
    play.round(1, ["t1"], "a")
    assert play.tell(Finish()) == []
    assert play.tell(EvaluationArrived("t2", "a")) == [EndRound(1), Finished()]


def test_finish_of_an_idle_federation_is_immediate_and_final():
    play = Play(here="a", granted=False)
    assert play.tell(Finish()) == [Finished()]
    for event in (Finish(), Proceed(), Joined(Candidate("b")), UpdateArrived("t1", "a")):
        assert play.tell(event) == []


def test_finish_combines_the_open_round_where_it_can():
    play = Play(evaluate_every=3)
    play.update("t1", "a")
    assert play.tell(Finish()) == [Cancel("t2", "b"), Cancel("t3", "c"), Combine(1)]
    assert play.commit()[0] == Evaluate("t4", "a", 1, 1)


@pytest.mark.parametrize(("finish", "answered"), [(Finish(), False), (Finish(combine_open=False), True)])
def test_finish_abandons_the_open_round_otherwise(finish, answered):
    play = Play(Synchronous(round_timeout_s=9.0), here="ab")
    if answered:
        play.update("t2", "b")
    open_tasks = [Cancel("t1", "a")] + ([] if answered else [Cancel("t2", "b")])
    cleared, abandoned = ClearDeadline("round-1-attempt-1"), AbandonRound(1, "the federation is finishing")
    assert play.tell(finish) == [cleared, *open_tasks, abandoned, Finished()]


def test_finish_while_waiting_for_learners_begins_nothing_any_more():
    play = Play(here="")
    assert play.tell(Finish()) == [Finished()]


def test_failed_combination_after_finish_begins_no_other_attempt():
    play = Play(here="a")
    play.update("t1", "a")
    play.tell(Finish())
    assert play.tell(CombineFailed(1)) == [AbandonRound(1, "its updates could not be combined"), Finished()]


def test_giving_up_leaves_no_evaluation_behind():
    play = Play(Synchronous(max_failed_rounds=1), here="a", evaluate_every=1, evaluate_timeout_s=9.0)
    play.round(1, ["t1"], "a")
    play.tell(Proceed())
    commands = play.fail("t3", "a")
    assert commands[1:4] == [Cancel("t2", "a"), ClearDeadline("evaluation-1"), EndRound(1)]
    assert isinstance(commands[4], GiveUp)


def test_only_so_many_late_tasks_are_remembered():
    here = [f"l{number:05}" for number in range(LATE_TASKS_MAX + 2)]
    play = Play(Synchronous(round_timeout_s=1.0), here=here)
    play.update("t1", "l00000")
    play.pass_time("round-1-attempt-1", 1.0)
    assert play.update("t2", "l00001") == [Refuse("t2", "l00001", Refusal.UNKNOWN_TASK)]
    assert play.update("t3", "l00002") == [Refuse("t3", "l00002", Refusal.LATE)]


@pytest.mark.parametrize(
    "options",
    [{"round_timeout_s": 0.0}, {"min_updates": 0}, {"over_selection": -0.1}, {"max_failed_rounds": 0}],
    ids=str,
)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Synchronous(**options)


def keeping(**options):
    return Synchronous(round_timeout_s=10.0, late_updates="keep", **options)


def cut_off(play, late="c"):
    """A first round that combines without the learner `late`, and a second one that is under way."""
    for task, learner in zip(("t1", "t2", "t3"), "abc", strict=True):
        if learner not in late:
            play.update(task, learner)
    combined = play.pass_time("round-1-attempt-1", 10.0)
    return combined, play.commit(), play.tell(Proceed())


def test_kept_task_stays_open_and_its_learner_is_not_asked_again():
    combined, _, begun = cut_off(Play(keeping()))
    assert combined == [Combine(1)]
    assert begun[0] == BeginRound(2, ("a", "b"))


def test_kept_update_counts_in_the_next_round_with_its_staleness():
    play = Play(keeping())
    cut_off(play)
    assert play.update("t3", "c") == [Accept("t3", "c", 1)]
    assert play.update("t4", "a") == [Accept("t4", "a", 0)]
    assert play.update("t5", "b")[-1] == Combine(2)


def test_kept_update_that_arrives_between_rounds_waits_and_its_learner_is_asked_again():
    play = Play(keeping())
    play.update("t1", "a")
    play.update("t2", "b")
    play.pass_time("round-1-attempt-1", 10.0)
    assert play.update("t3", "c") == []
    play.commit()
    begun = play.tell(Proceed())
    assert begun[:2] == [BeginRound(2, ("a", "b", "c")), Accept("t3", "c", 1)]
    assert Train("t6", "c", 2, 1) in begun


def test_kept_update_is_not_waited_for_and_kept_for_one_round_only():
    play = Play(keeping())
    cut_off(play)
    play.update("t4", "a")
    assert play.update("t5", "b") == [
        Accept("t5", "b", 0), ClearDeadline("round-2-attempt-2"), Cancel("t3", "c"), Combine(2),
    ]  # fmt: skip
    assert play.update("t3", "c") == [Refuse("t3", "c", Refusal.LATE)]


def test_late_learners_are_asked_where_nobody_else_is_here():
    play = Play(keeping())
    play.update("t1", "a")
    play.pass_time("round-1-attempt-1", 10.0)
    play.commit()
    play.tell(Departed("a"))
    assert play.tell(Proceed())[:3] == [Cancel("t2", "b"), Cancel("t3", "c"), BeginRound(2, ("b", "c"))]


@pytest.mark.parametrize("arrived", [False, True])
def test_finish_gives_up_what_was_kept(arrived):
    play = Play(keeping())
    play.update("t1", "a")
    play.update("t2", "b")
    play.pass_time("round-1-attempt-1", 10.0)
    if arrived:
        play.update("t3", "c")
    given_up = Refuse("t3", "c", Refusal.LATE) if arrived else Cancel("t3", "c")
    assert play.tell(Finish()) == [given_up]
    assert play.commit() == [EndRound(1), Finished()]


def test_departed_learners_waiting_update_is_refused():
    play = Play(keeping())
    play.update("t1", "a")
    play.update("t2", "b")
    play.pass_time("round-1-attempt-1", 10.0)
    play.update("t3", "c")
    assert play.tell(Departed("c")) == [Refuse("t3", "c", Refusal.UNKNOWN_TASK)]


def test_round_waits_while_the_selection_takes_nobody():
    class Nobody(Everyone):
        def select(self, candidates, round_, rng):
            return [candidate.learner for candidate in candidates if candidate.learner == "z"]

    play = Play(selection=Nobody())
    assert play.begun == [Wait("round 1 needs 1 learners; the selection policy takes 0 of the 3 learners that are free")]
    assert play.tell(Joined(Candidate("y"))) == []
    assert play.tell(Joined(Candidate("z"))) == [BeginRound(1, ("z",)), Train("t1", "z", 1, 0)]
