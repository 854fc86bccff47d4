"""The client against a scripted controller: what is fetched, answered, kept, dropped and said."""

import asyncio
import threading

import numpy as np
import pytest

from fedactors.errors import Unreachable
from fedactors.learner import LearnerClient, Patience
from fedactors.learner.agenda import TASKS_HELD_MAX
from fedactors.learner.line import TRANSFER_FAILURES_MAX
from fedactors.learner.worker import Worker, inline
from fedactors.protocol import Cancel, Evaluated, Goodbye, GoodbyeReason, JoinRefused, PushAnswer, Task, TaskFailure
from fedactors.task import EvaluateParams, EvaluationReport, TaskKind, TrainParams
from fedactors.testing.learners import ScriptedLearner, adds, echoes, fails_at, wrong_shape
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport

ZEROS = {"w": np.zeros(40, np.float32), "b": np.array(3, np.int64)}


def train(task, version=0):
    return Task(task, TaskKind.TRAIN, TrainParams(round=version + 1, version=version, seed=1))


def evaluate(task, version=0):
    return Task(task, TaskKind.EVALUATE, EvaluateParams(round=version + 1, version=version))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # the controller's lists have no events
            await asyncio.sleep(0.001)


async def heard(controller):
    async with asyncio.timeout(5):
        return await controller.said.get()


async def heard_after_rejoining(controller):
    await controller.joined.get()
    return await heard(controller)


async def ended(run):
    async with asyncio.timeout(5):
        return await run


class Held:
    """Work that waits until the test lets it go."""

    def __init__(self):
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, job):
        self.begun.set()
        await self.go.wait()
        return job()


async def test_a_learner_says_who_it_is_and_what_it_has(controller, running):
    async with running(ScriptedLearner(tags=("gpu",))):
        hello = controller.hellos[0]
    assert (hello.learner, hello.federation, hello.tags, hello.resume_token) == ("anna", "f", ("gpu",), b"")
    assert (hello.num_train_examples, hello.num_test_examples, hello.tasks_held) == (10, 5, ())
    assert hello.software.startswith("fedactors/")


async def test_a_learner_is_asked_for_its_weights(controller, running):
    async with running(ScriptedLearner(ZEROS)):
        await controller.session.send(Task("t0", TaskKind.INITIALISE))
        await until(lambda: controller.updates)
    task, weights, report = controller.updates[0]
    assert (task, report.num_examples) == ("t0", 0)
    assert {name: array.tolist() for name, array in weights.items()} == {"w": [0.0] * 40, "b": 3}


async def test_training_and_evaluation_of_one_version_share_one_download(controller, running):
    controller.publish(0, ZEROS)
    learner = ScriptedLearner(train=adds(1))
    async with running(learner):
        await controller.session.send(train("t1"))
        await controller.session.send(evaluate("e1"))
        assert await heard(controller) == Evaluated("e1", EvaluationReport(5, {"mean": 1.5}))
    assert controller.fetched == [0]
    task, weights, report = controller.updates[0]
    assert (task, report.num_examples, report.metrics) == ("t1", 10, {"loss": 1.0})
    assert {name: array.tolist() for name, array in weights.items()} == {"w": [1.0] * 40, "b": 4}


async def test_a_new_version_is_fetched_without_its_layout_and_set_weights_is_called_once(controller, running):
    controller.publish(0, ZEROS)
    controller.publish(1, {name: array + 1 for name, array in ZEROS.items()})
    learner = ScriptedLearner(train=adds(1))
    async with running(learner):
        await controller.session.send(train("t1", 0))
        await controller.session.send(train("t2", 1))
        await until(lambda: len(controller.updates) == 2)
    assert controller.fetched == [0, 1]
    assert controller.updates[1][1]["w"].tolist() == [2.0] * 40
    assert len(learner.was_set) == 1


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (fails_at(1, echoes), "train failed: RuntimeError: told to fail at training 1"),
        (wrong_shape, "train() returned weights that do not fit: tensor 'w' has shape [41]; the global model has w: float32[40]"),
    ],
)
async def test_a_failed_task_is_reported_in_one_line_and_the_next_is_served(controller, running, script, why):
    controller.publish(0, ZEROS)
    async with running(ScriptedLearner(train=script)):
        await controller.session.send(train("t1"))
        assert await heard(controller) == TaskFailure("t1", why)
        await controller.session.send(evaluate("e1"))
        assert isinstance(await heard(controller), Evaluated)


@pytest.mark.parametrize("task", [train("t1"), evaluate("t1")])
async def test_an_answer_that_cannot_travel_becomes_a_failure(controller, running, task):
    controller.publish(0, ZEROS)
    too_much = {"\N{GRINNING FACE}" * 120 + str(number): 0.0 for number in range(200)}
    learner = ScriptedLearner(train=lambda weights, _: (weights, too_much))
    learner.evaluate = lambda *_: too_much
    async with running(learner):
        await controller.session.send(task)
        failure = await heard(controller)
    assert failure.task == "t1"
    assert failure.why.startswith("its answer cannot be delivered: ")
    assert "at most 65,536 are allowed" in failure.why


async def test_a_flood_of_tasks_is_refused_beyond_the_limit(controller, running):
    controller.publish(0, ZEROS)
    work = Held()
    async with running(ScriptedLearner(), work=work):
        for number in range(TASKS_HELD_MAX + 1):
            await controller.session.send(evaluate(f"e{number}"))
        failure = await heard(controller)
        assert failure == TaskFailure(f"e{TASKS_HELD_MAX}", f"the learner holds {TASKS_HELD_MAX} tasks already")
        work.go.set()
        answered = [(await heard(controller)).task for _ in range(TASKS_HELD_MAX)]
    assert answered == [f"e{number}" for number in range(TASKS_HELD_MAX)]


async def test_a_version_that_the_controller_no_longer_has_fails_the_task_alone(controller, running):
    controller.publish(0, ZEROS)
    async with running(ScriptedLearner()):
        await controller.session.send(train("t1", version=7))
        failure = await heard(controller)
        assert failure == TaskFailure("t1", "no version 7")
        await controller.session.send(evaluate("e1"))
        assert isinstance(await heard(controller), Evaluated)
    assert controller.fetched == [7, 0]


async def test_a_lost_session_is_resumed_with_the_tasks_that_are_held(controller, running):
    controller.publish(0, ZEROS)
    work = Held()
    async with running(ScriptedLearner(train=adds(1)), work=work):
        await controller.session.send(train("t1"))
        await controller.session.send(evaluate("e1"))
        await work.begun.wait()
        await controller.lose()
        await controller.joined.get()
        assert controller.hellos[1].resume_token == b"token 0"
        assert controller.hellos[1].tasks_held == ("t1", "e1")
        work.go.set()
        assert await heard(controller) == Evaluated("e1", EvaluationReport(5, {"mean": 1.5}))
    assert controller.pushed == ["t1"]


async def test_a_download_that_is_cut_again_and_again_is_not_given_up_while_it_comes_on(controller, running):
    content = np.arange(4000, dtype=np.float32)
    controller.publish(0, {"w": content})
    controller.fetches_that_are_cut = 2 * TRANSFER_FAILURES_MAX
    async with running(ScriptedLearner()):
        await controller.session.send(evaluate("e1"))
        assert await heard(controller) == Evaluated("e1", EvaluationReport(5, {"mean": float(content.mean())}))
    assert controller.fetched == [0] * (2 * TRANSFER_FAILURES_MAX + 1)


async def test_a_download_that_hangs_is_begun_again_once_the_session_is_back(controller, running):
    controller.publish(0, ZEROS)
    controller.fetches_that_hang = 1
    async with running(ScriptedLearner()):
        await controller.session.send(evaluate("e1"))
        await until(lambda: controller.fetched)
        await controller.lose()
        assert isinstance(await heard_after_rejoining(controller), Evaluated)
    assert controller.fetched == [0, 0]


async def test_a_task_that_is_cancelled_during_its_download_never_begins(controller, running):
    controller.publish(0, ZEROS)
    controller.fetches_that_hang = 1
    learner = ScriptedLearner()
    async with running(learner):
        await controller.session.send(train("t1"))
        await until(lambda: controller.fetched)
        await controller.session.send(Cancel("t1"))
        await controller.session.send(evaluate("e1"))
        await asyncio.sleep(0.01)
        await controller.lose()
        assert isinstance(await heard_after_rejoining(controller), Evaluated)
    assert learner.trained == []


async def test_a_cast_is_logged_once(controller, running, caplog):
    controller.publish(0, ZEROS)
    learner = ScriptedLearner(train=lambda weights, _: ({**weights, "w": weights["w"].astype(np.float64)}, {}))
    async with running(learner):
        await controller.session.send(train("t1"))
        await controller.session.send(train("t2"))
        await until(lambda: len(controller.updates) == 2)
    (cast,) = [record for record in caplog.records if record.msg["event"] == "weights_cast"]
    assert cast.levelname == "WARNING"
    said = {key: cast.msg[key] for key in ("learner", "tensor", "tensors", "to")}
    assert said == {"learner": "anna", "tensor": "w", "tensors": 1, "to": "float32"}


async def test_what_was_held_is_void_for_a_controller_that_does_not_know_the_learner(controller, running):
    controller.publish(0, ZEROS)
    work = Held()
    learner = ScriptedLearner(train=adds(1))
    async with running(learner, work=work):
        await controller.session.send(train("t1"))
        await controller.session.send(train("t2"))
        await work.begun.wait()
        controller.knows_tokens = False
        await controller.lose()
        await controller.joined.get()
        work.go.set()
        await controller.session.send(evaluate("e1"))
        assert isinstance(await heard(controller), Evaluated)
    assert controller.pushed == []
    assert len(learner.trained) == 1


async def test_an_update_whose_answer_was_lost_is_pushed_again(controller, running):
    controller.publish(0, ZEROS)
    controller.push_faults = ["cut"]
    learner = ScriptedLearner(train=adds(1))
    async with running(learner):
        await controller.session.send(train("t1"))
        await until(lambda: controller.updates)
    assert controller.pushed == ["t1", "t1"]
    assert len(learner.trained) == 1


async def test_a_refused_update_is_not_pushed_again(controller, running):
    controller.publish(0, ZEROS)
    controller.push_faults = [PushAnswer(False, "late", "round 1 is over")]
    async with running(ScriptedLearner(train=adds(1))):
        await controller.session.send(train("t1"))
        await controller.session.send(evaluate("e1"))
        await heard(controller)
    assert controller.pushed == ["t1"]


async def test_an_evaluation_that_the_controller_did_not_receive_is_answered_from_memory(controller, running):
    controller.publish(0, ZEROS)
    learner = ScriptedLearner()
    async with running(learner):
        await controller.session.send(evaluate("e1"))
        first = await heard(controller)
        await controller.lose()
        await controller.joined.get()
        await controller.session.send(evaluate("e1"))
        assert await heard(controller) == first
    assert len(learner.evaluated) == 1


async def test_a_cancelled_task_is_dropped_before_it_begins_and_unanswered_once_it_has(controller, running):
    controller.publish(0, ZEROS)
    work = Held()
    learner = ScriptedLearner(train=adds(1))
    async with running(learner, work=work):
        for task in ("t1", "t2"):
            await controller.session.send(train(task))
        await work.begun.wait()
        for task in ("t1", "t2"):
            await controller.session.send(Cancel(task))
        await controller.session.send(evaluate("e1"))
        await asyncio.sleep(0.01)
        work.go.set()
        assert isinstance(await heard(controller), Evaluated)
    assert len(learner.trained) == 1
    assert controller.pushed == []


async def test_run_returns_when_the_federation_is_finished(controller, running):
    async with running(ScriptedLearner()) as (_, run):
        await controller.finish(GoodbyeReason.FINISHED)
        await ended(run)
    assert len(controller.hellos) == 1


async def test_a_learner_that_comes_when_the_federation_is_finished_ends_well(controller, running):
    async with running(ScriptedLearner()) as (_, run):
        controller.refusals = [Goodbye(GoodbyeReason.FINISHED)]
        await controller.lose()
        await ended(run)


async def test_a_displaced_learner_ends_with_the_reason(controller, running):
    async with running(ScriptedLearner()) as (_, run):
        await controller.finish(GoodbyeReason.DISPLACED, "anna joined from elsewhere")
        with pytest.raises(JoinRefused) as caught:
            await ended(run)
    assert str(caught.value) == "the controller refused (displaced): anna joined from elsewhere"


async def test_a_refused_learner_ends_with_the_reason(controller, running):
    async with running(ScriptedLearner()) as (_, run):
        controller.refusals = [Goodbye(GoodbyeReason.REFUSED, "10 learners are here; limits.learners_max is 10")]
        await controller.lose()
        with pytest.raises(JoinRefused, match=r"limits\.learners_max is 10$"):
            await ended(run)


async def test_a_draining_controller_is_waited_for(controller, running):
    async with running(ScriptedLearner()):
        controller.refusals = [Goodbye(GoodbyeReason.DRAINING)] * 2
        await controller.finish(GoodbyeReason.DRAINING)
        await controller.joined.get()
    assert len(controller.hellos) == 4


async def test_leave_says_goodbye_and_run_returns(controller, running):
    async with running(ScriptedLearner()) as (client, run):
        await client.leave()
        await ended(run)
        assert await heard(controller) == Goodbye(GoodbyeReason.LEFT)


async def test_leave_before_run_makes_run_return_at_once(controller):
    client = LearnerClient(ScriptedLearner(), "anna", MemoryTransport().connect(Address("memory", "nowhere")))
    await client.leave()
    await client.run()
    assert controller.hellos == []


async def test_cancelling_run_says_goodbye_too(controller, running):
    async with running(ScriptedLearner()) as (_, run):
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ended(run)
        assert await heard(controller) == Goodbye(GoodbyeReason.LEFT)


async def test_leave_drops_work_in_progress(controller, running):
    controller.publish(0, ZEROS)
    work = Held()
    async with running(ScriptedLearner(), work=work) as (client, run):
        await controller.session.send(train("t1"))
        await work.begun.wait()
        await client.leave()
        await ended(run)
    assert controller.pushed == []


async def test_an_unreachable_controller_is_given_up_after_the_patience():
    channel = MemoryTransport().connect(Address("memory", "nowhere"))
    client = LearnerClient(ScriptedLearner(), "anna", channel, patience=Patience(0.05, 0.05), work=inline)
    with pytest.raises(Unreachable, match=r"^nobody listens at memory://nowhere; .*; gave up after 0.05 s$"):
        await ended(asyncio.ensure_future(client.run()))


async def test_who_does_not_get_there_yet_is_told_once_why(caplog, monkeypatch):
    monkeypatch.setattr("fedactors.learner.client.JOIN_TIMEOUT_S", 0.02)
    channel = MemoryTransport().connect(Address("memory", "nowhere"))
    client = LearnerClient(ScriptedLearner(), "anna", channel, patience=Patience(0.5, 0.05), work=inline)
    with pytest.raises(Unreachable):
        await ended(asyncio.ensure_future(client.run()))
    (told,) = [record.msg for record in caplog.records if record.msg["event"] == "not_connected_yet"]
    assert told["why"].startswith("nobody listens at memory://nowhere")


async def test_heartbeats_and_messages_go_on_while_user_code_computes(controller, running):
    controller.publish(0, ZEROS)
    release, threads = threading.Event(), []

    def computes(weights, _):
        threads.append(threading.current_thread().name)
        assert release.wait(5)
        return weights, {}

    async with running(ScriptedLearner(train=computes), work=Worker("learner anna")):
        await controller.session.send(train("t1"))
        await until(lambda: threads)
        heard_before = controller.session.last_heard_s
        await until(lambda: controller.session.last_heard_s > heard_before)
        release.set()
        await until(lambda: controller.updates)
    assert threads == ["learner anna"]
