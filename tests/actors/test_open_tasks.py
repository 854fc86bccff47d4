"""One learner's tasks, from being given to the verdict."""

from __future__ import annotations

import asyncio

import pytest

from fedactors.actors.messages import Verdict
from fedactors.actors.open_tasks import DECIDED_MAX, OpenTask, OpenTasks
from fedactors.protocol import Task
from fedactors.task import Refusal, TaskKind

TAKEN = Verdict("t", None, "")
LATE = Verdict("t", Refusal.LATE, "the round went on")


def opened(tasks: OpenTasks, kind: TaskKind = TaskKind.TRAIN) -> OpenTask:
    tasks.open(Task("t", kind, None), None)
    open_task = tasks.get("t")
    assert open_task is not None
    return open_task


async def test_a_verdict_closes_its_task_answers_the_upload_and_is_remembered():
    tasks = OpenTasks()
    open_task = opened(tasks)
    assert list(tasks) == [open_task]
    assert tasks.decide(TAKEN) is open_task
    assert open_task.verdict.result() == TAKEN == tasks.verdict("t")
    assert tasks.get("t") is None
    assert not tasks.ids


@pytest.mark.parametrize("kind", [TaskKind.INITIALISE, TaskKind.EVALUATE])
async def test_only_what_was_decided_of_updates_is_remembered(kind: TaskKind):
    tasks = OpenTasks()
    opened(tasks, kind)
    tasks.decide(TAKEN)
    assert tasks.verdict("t") is None


async def test_a_verdict_on_a_task_that_is_not_open_is_remembered():
    tasks = OpenTasks()
    assert tasks.decide(LATE) is None
    assert tasks.verdict("t") == LATE


async def test_the_newest_verdicts_are_remembered_and_no_more():
    tasks = OpenTasks()
    for number in range(DECIDED_MAX + 1):
        tasks.decide(Verdict(str(number), None, ""))
    assert tasks.verdict("0") is None
    assert all(tasks.verdict(str(number)) is not None for number in range(1, DECIDED_MAX + 1))


async def test_a_task_closed_without_a_decision_refuses_weights_on_their_way_and_is_not_remembered():
    tasks = OpenTasks()
    open_task = opened(tasks)
    tasks.close(open_task, Refusal.UNKNOWN_TASK, "answered otherwise")
    assert open_task.verdict.result() == Verdict("t", Refusal.UNKNOWN_TASK, "answered otherwise")
    assert tasks.get("t") is None
    assert tasks.verdict("t") is None


async def test_the_first_verdict_holds():
    tasks = OpenTasks()
    open_task = opened(tasks)
    open_task.conclude(LATE)
    tasks.decide(TAKEN)
    assert open_task.verdict.result() == LATE


@pytest.mark.parametrize("how", ["given again", "decided"])
async def test_an_answer_to_a_task_of_a_former_life_waits_until_it_is_given_again_or_decided(how: str):
    tasks = OpenTasks(frozenset({"t"}))
    answers = [asyncio.ensure_future(tasks.given_again("t")) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(answer.done() for answer in answers)
    if how == "decided":
        tasks.decide(TAKEN)
    else:
        opened(tasks)
    await asyncio.gather(*answers)
    await tasks.given_again("t")


async def test_nobody_waits_for_a_task_that_no_former_life_gave():
    await OpenTasks(frozenset({"another"})).given_again("t")
