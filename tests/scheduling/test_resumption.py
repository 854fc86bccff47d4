"""A machine that goes on where another one was."""

import pytest

from fedactors import plugins
from fedactors.scheduling.base import EndRound, Evaluate, EvaluationArrived, Proceed, Train, Unended
from fedactors.task import EvaluationReport, TaskKind
from tests.scheduling.play import Play

EVERY = pytest.mark.parametrize("name", plugins.names("fedactors.scheduling"))


def resumed(name, **terms):
    protocol = plugins.build("fedactors.scheduling", name, {})
    return Play(protocol, first_round=4, version=3, granted=False, **terms)


@EVERY
def test_what_was_committed_and_not_evaluated_is_evaluated(name):
    play = resumed(name, evaluate_every=1)
    asked = [command for command in play.tell(Unended(3, 3, ("a", "c", "gone"))) if isinstance(command, Evaluate)]
    assert {(command.learner, command.round, command.version) for command in asked} == {("a", 3, 3), ("c", 3, 3)}
    assert EndRound(3) not in play.tell(EvaluationArrived(asked[0].task, asked[0].learner, EvaluationReport(1)))
    assert EndRound(3) in play.tell(EvaluationArrived(asked[1].task, asked[1].learner, EvaluationReport(1)))


@EVERY
@pytest.mark.parametrize(("last", "evaluated"), [(False, False), (True, True)])
def test_a_round_that_need_not_be_evaluated_ends_at_once_unless_it_is_the_last(name, last, evaluated):
    play = resumed(name, evaluate_every=2)
    commands = play.tell(Unended(3, 3, ("a",), last=last))
    assert any(isinstance(command, Evaluate) for command in commands) == evaluated
    assert (EndRound(3) in commands) != evaluated


@EVERY
def test_a_task_that_is_given_again_keeps_its_id(name):
    train, evaluate = TaskKind.TRAIN, TaskKind.EVALUATE
    given = {(train, "a", 4, 3): "old-a", (train, "b", 3, 2): "older-b", (evaluate, "c", 4, 3): "old-c"}
    play = resumed(name, given=given)
    tasks = {command.learner: command.task for command in play.tell(Proceed()) if isinstance(command, Train)}
    assert tasks == {"a": "old-a", "b": "t1", "c": "t2"}
