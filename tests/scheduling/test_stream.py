"""The asynchronous and the buffered protocol, one rule a test."""

import pytest

from fedactors.errors import ConfigError
from fedactors.scheduling.asynchronous import Asynchronous
from fedactors.scheduling.base import (
    AbandonRound,
    Accept,
    BeginRound,
    Cancel,
    Combine,
    CombineFailed,
    DeadlinePassed,
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
    Train,
    Wait,
)
from fedactors.scheduling.buffered import Buffered
from fedactors.selection.base import Candidate
from fedactors.selection.uniform import Uniform
from fedactors.task import Refusal
from tests.scheduling.play import Play


def commit(play, round_):
    """Commit, and grant the next round."""
    return play.commit(round_) + play.tell(Proceed())


def trained(commands):
    return [command.learner for command in commands if isinstance(command, Train)]


def test_everybody_trains_at_once():
    assert Play(Asynchronous()).begun == [
        BeginRound(1, ()), Train("t1", "a", 1, 0), Train("t2", "b", 1, 0), Train("t3", "c", 1, 0),
    ]  # fmt: skip


def test_each_update_is_combined_and_its_learner_trains_on_from_the_new_version():
    play = Play(Asynchronous())
    assert play.update("t2", "b") == [Accept("t2", "b", 0), Combine(1)]
    assert commit(play, 1) == [EndRound(1), BeginRound(2, ()), Train("t4", "b", 2, 1)]
    assert play.update("t4", "b") == [Accept("t4", "b", 0), Combine(2)]


def test_update_counts_with_its_staleness():
    play = Play(Asynchronous())
    play.update("t2", "b")
    commit(play, 1)
    assert play.update("t1", "a") == [Accept("t1", "a", 1), Combine(2)]
    commit(play, 2)
    assert play.update("t3", "c") == [Accept("t3", "c", 2), Combine(3)]


def test_update_that_arrives_while_a_version_is_made_waits_for_the_next():
    play = Play(Asynchronous())
    play.update("t1", "a")
    assert play.update("t2", "b") == []
    assert play.update("t2", "b") == []
    assert play.commit(1) == [EndRound(1)]
    assert play.tell(Proceed()) == [BeginRound(2, ()), Accept("t2", "b", 1), Combine(2)]


def test_never_more_commits_than_grants():
    play = Play(Asynchronous())
    play.update("t1", "a")
    play.commit(1)
    assert play.update("t2", "b") == []
    assert play.update("t3", "c") == []
    assert play.tell(Finish()) == [Refuse("t2", "b", Refusal.LATE), Refuse("t3", "c", Refusal.LATE), Finished()]


def test_pause_holds_updates_back_and_loses_none():
    play = Play(Asynchronous())
    play.update("t1", "a")
    play.commit(1)
    play.update("t3", "c")
    play.update("t2", "b")
    assert play.tell(Proceed()) == [BeginRound(2, ()), Accept("t3", "c", 1), Combine(2)]
    assert commit(play, 2) == [EndRound(2), BeginRound(3, ()), Accept("t2", "b", 2), Combine(3)]
    assert trained(commit(play, 3)) == ["a", "c", "b"]


def test_update_that_is_too_stale_is_refused_and_its_learner_begins_again():
    play = Play(Asynchronous(max_staleness=0))
    play.update("t1", "a")
    commit(play, 1)
    assert play.update("t2", "b") == [Refuse("t2", "b", Refusal.STALE), Train("t5", "b", 2, 1)]


def test_update_grows_too_stale_while_it_waits():
    play = Play(Asynchronous(max_staleness=1))
    for task, learner in (("t1", "a"), ("t2", "b"), ("t3", "c")):
        play.update(task, learner)
    commit(play, 1)
    assert commit(play, 2) == [
        EndRound(2), BeginRound(3, ()), Refuse("t3", "c", Refusal.STALE), Train("t4", "a", 3, 2), Train("t5", "b", 3, 2),
        Train("t6", "c", 3, 2),
    ]  # fmt: skip


def test_fast_learners_wait_for_one_that_would_be_left_too_far_behind():
    play = Play(Asynchronous(max_staleness=1, when_stale="wait"))
    play.update("t1", "a")
    assert trained(commit(play, 1)) == ["a"]
    assert play.update("t4", "a") == [Accept("t4", "a", 0)]
    assert play.update("t2", "b") == [Accept("t2", "b", 1)]
    assert play.update("t3", "c") == [Accept("t3", "c", 1), Combine(2)]
    assert trained(commit(play, 2)) == ["a", "b", "c"]


def test_departure_of_the_one_that_is_waited_for_combines_at_once():
    play = Play(Asynchronous(max_staleness=0, when_stale="wait"), here="ab")
    play.update("t1", "a")
    assert play.tell(Departed("b")) == [Combine(1)]


def test_so_many_train_at_the_same_time_and_the_longest_idle_comes_next():
    play = Play(Asynchronous(concurrency=2), here="abcd")
    assert trained(play.begun) == ["a", "b"]
    play.update("t2", "b")
    assert trained(commit(play, 1)) == ["c"]
    play.update("t1", "a")
    assert trained(commit(play, 2)) == ["d"]
    play.update("t3", "c")
    assert trained(commit(play, 3)) == ["b"]


def test_selection_says_how_many_train_and_who_comes_next():
    play = Play(Asynchronous(), here="abcdef", selection=Uniform(count=2))
    first = trained(play.begun)
    assert len(first) == 2
    play.update("t1", first[0])
    following = trained(commit(play, 1))
    assert len(following) == 1
    assert following[0] != first[1]


def test_buffered_combines_every_k_updates_and_learners_train_on_meanwhile():
    play = Play(Buffered(updates=2))
    assert play.update("t1", "a") == [Accept("t1", "a", 0), Train("t4", "a", 1, 0)]
    assert play.update("t2", "b") == [Accept("t2", "b", 0), Combine(1)]
    assert commit(play, 1) == [EndRound(1), BeginRound(2, ()), Train("t5", "b", 2, 1)]
    assert play.update("t4", "a") == [Accept("t4", "a", 1), Train("t6", "a", 2, 1)]


def test_one_learner_fills_a_buffer_alone():
    play = Play(Buffered(updates=3), here="a")
    play.update("t1", "a")
    play.update("t2", "a")
    assert play.update("t3", "a") == [Accept("t3", "a", 0), Combine(1)]


def test_buffer_that_nobody_is_left_to_fill_is_combined():
    play = Play(Buffered(updates=5), here="ab")
    play.update("t1", "a")
    play.tell(Departed("b"))
    assert play.tell(Departed("a")) == [Combine(1)]


def test_round_that_everybody_left_waits_for_a_learner():
    play = Play(Asynchronous(), here="a")
    assert play.tell(Departed("a")) == [
        AbandonRound(1, "no learner is left that could give an update"),
        Wait("round 1 needs 1 learners; 0 are here"),
    ]
    assert play.tell(Joined(Candidate("b"))) == [BeginRound(1, ()), Train("t2", "b", 1, 0)]


def test_joiner_trains_at_once():
    assert Play(Asynchronous()).tell(Joined(Candidate("d"))) == [Train("t4", "d", 1, 0)]


def test_first_round_waits_for_min_learners():
    play = Play(Asynchronous(), here="a", min_learners=2)
    assert play.begun == [Wait("round 1 needs 2 learners; 1 are here")]
    assert play.tell(Joined(Candidate("b")))[0] == BeginRound(1, ())


def test_learner_that_always_fails_rests_until_it_joins_anew():
    play = Play(Asynchronous(max_failed_tasks=2), here="ab")
    assert trained(play.fail("t1", "a")) == ["a"]
    assert play.fail("t3", "a") == []
    play.tell(Departed("a"))
    assert trained(play.tell(Joined(Candidate("a")))) == ["a"]


def test_federation_gives_up_when_every_learner_always_fails():
    play = Play(Asynchronous(max_failed_tasks=1), here="ab")
    assert play.fail("t1", "a") == []
    abandoned, given_up = play.fail("t2", "b")
    assert abandoned == AbandonRound(1, "no learner is left that could give an update")
    assert given_up == GiveUp("round 1 cannot go on: the tasks of all 2 learners have failed 1 times in a row")


def test_task_that_takes_too_long_is_cancelled_and_counts_as_failed():
    play = Play(Asynchronous(task_timeout_s=5.0, max_failed_tasks=1), here="ab")
    assert SetDeadline("task-t1", 5.0) in play.begun
    assert play.pass_time("task-t1", 5.0) == [Cancel("t1", "a")]
    assert play.update("t1", "a") == [Refuse("t1", "a", Refusal.LATE)]


def test_deadline_of_an_update_that_waits_does_not_cancel_it():
    play = Play(Asynchronous(task_timeout_s=5.0), here="ab")
    play.update("t1", "a")
    play.update("t2", "b")
    assert play.tell(DeadlinePassed("task-t2")) == []
    assert Accept("t2", "b", 1) in commit(play, 1)


def test_failed_combinations_in_a_row_end_the_federation():
    play = Play(Asynchronous(max_failed_rounds=2), here="ab")
    play.update("t1", "a")
    assert play.tell(CombineFailed(1))[:2] == [AbandonRound(1, "its updates could not be combined"), BeginRound(1, ())]
    play.update("t2", "b")
    assert play.tell(CombineFailed(1))[-1] == GiveUp("round 1 could not be combined, 2 times in a row")


def test_version_is_evaluated_by_whose_update_made_it():
    play = Play(Asynchronous(), evaluate_every=2)
    play.update("t1", "a")
    assert commit(play, 1)[0] == EndRound(1)
    play.update("t2", "b")
    assert play.commit(2) == [Evaluate("t5", "b", 2, 2)]
    assert play.tell(EvaluationArrived("t5", "b")) == [EndRound(2)]


def test_version_is_evaluated_by_a_sample_by_option():
    play = Play(Asynchronous(evaluators=2), evaluate_every=1)
    play.update("t1", "a")
    evaluated = [command.learner for command in play.commit(1)]
    assert len(set(evaluated)) == 2


def test_last_version_is_evaluated_by_everybody():
    play = Play(Asynchronous(), evaluate_every=5, granted=False)
    play.tell(Proceed(last=True))
    play.update("t1", "a")
    assert [(command.learner, command.version) for command in play.commit(1)] == [("a", 1), ("b", 1), ("c", 1)]


@pytest.mark.parametrize(("finish", "combines"), [(Finish(), True), (Finish(combine_open=False), False)])
def test_finish_combines_a_buffer_that_is_not_full_where_it_may(finish, combines):
    play = Play(Buffered(updates=9), here="ab")
    play.update("t1", "a")
    ends = [Combine(1)] if combines else [AbandonRound(1, "the federation is finishing"), Finished()]
    assert play.tell(finish) == [Cancel("t2", "b"), Cancel("t3", "a"), *ends]


def test_rejoined_learner_answers_its_old_task_in_vain():
    play = Play(Asynchronous())
    play.tell(Departed("c"))
    assert trained(play.tell(Joined(Candidate("c")))) == ["c"]
    assert play.update("t3", "c") == [Refuse("t3", "c", Refusal.UNKNOWN_TASK)]


@pytest.mark.parametrize(
    "options",
    [{"max_staleness": -1}, {"concurrency": 0}, {"task_timeout_s": 0.0}, {"evaluators": 0}, {"max_failed_tasks": 0},
     {"max_failed_rounds": 0}, {"when_stale": "hope"}, {"updates": 0}],
    ids=str,
)  # fmt: skip
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Buffered(**options)
