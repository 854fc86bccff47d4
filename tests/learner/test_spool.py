"""Updates that outlive the process that computed them."""

import asyncio

import numpy as np
import pytest

from fedactors.errors import LearnerFailed
from fedactors.learner import LearnerClient
from fedactors.learner.desk import Update
from fedactors.learner.spool import Spool
from fedactors.learner.worker import inline
from fedactors.model import Layout
from fedactors.task import TrainReport
from fedactors.testing.learners import ScriptedLearner, adds
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport
from tests.learner.test_client import ZEROS, train, until

LAYOUT = Layout.from_specs([("w", "float32", (7, 3)), ("h", "bfloat16", ()), ("n", "int64", (2,))])


def update(task, seed=0, layout_known=True):
    buffer = np.random.default_rng(seed).integers(0, 256, LAYOUT.nbytes, np.uint8)
    return Update(task, LAYOUT, buffer, TrainReport(12, 3, 0.5, 1.0, 2.0, {"loss": 0.25}), layout_known)


def told(one):
    return (one.task, one.layout, one.buffer.tobytes(), one.report, one.layout_known)


def test_what_is_kept_is_found_by_another_process_in_its_order(tmp_path):
    kept = [update("run-1", 1), update("run/2 ä", 2, layout_known=False), update("run-0", 3)]
    spool = Spool(tmp_path / "spool")
    spool.begin(b"token", resumed=False)
    for one in kept:
        spool.keep(one)
    again = Spool(tmp_path / "spool")
    assert again.token == b"token"
    assert [told(one) for one in again.updates()] == [told(one) for one in kept]
    again.drop("run-1")
    again.drop("never was")
    assert [one.task for one in again.updates()] == ["run/2 ä", "run-0"]


def test_a_session_that_is_not_resumed_voids_what_was_kept(tmp_path):
    spool = Spool(tmp_path)
    spool.begin(b"one", resumed=False)
    spool.keep(update("a"))
    spool.begin(b"two", resumed=True)
    assert [one.task for one in spool.updates()] == ["a"]
    spool.begin(b"three", resumed=False)
    assert (spool.updates(), spool.token) == ([], b"three")


def test_an_unfinished_file_is_no_update(tmp_path):
    spool = Spool(tmp_path)
    spool.keep(update("a"))
    (tmp_path / "b.update.part").write_bytes(b"half")
    assert [one.task for one in spool.updates()] == ["a"]


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\xff" * 40])
def test_a_file_that_is_none_is_named(tmp_path, damage):
    (tmp_path / "a.update").write_bytes(damage)
    with pytest.raises(LearnerFailed, match=r"a\.update cannot be read .* remove it, and the learner trains again"):
        Spool(tmp_path).updates()


def test_a_place_that_cannot_be_used_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LearnerFailed, match=r"cannot be used: .*; make room, or name another"):
        Spool(tmp_path / "file" / "spool")


async def test_an_update_that_was_not_delivered_is_delivered_by_the_learners_next_process(controller, tmp_path):
    controller.publish(0, ZEROS)
    controller.answers_when.clear()
    channel = MemoryTransport().connect(Address("memory", "controller"))

    def process(learner):
        client = LearnerClient(learner, "anna", channel, federation="f", work=inline, spool=Spool(tmp_path))
        return asyncio.create_task(client.run())

    first = ScriptedLearner(ZEROS, train=adds(2))
    run = process(first)
    session = await controller.joined.get()
    await session.send(train("t1"))
    await until(lambda: controller.pushed == ["t1"])
    controller.session.cut("the process is killed")
    run.cancel()
    await asyncio.wait([run])
    controller.answers_when.set()
    second = ScriptedLearner(ZEROS, train=adds(1000))
    run = process(second)
    await until(lambda: [task for task, _, _ in controller.updates][-1:] == ["t1"])
    assert controller.hellos[-1].tasks_held == ("t1",)
    assert np.array_equal(controller.updates[-1][1]["w"], ZEROS["w"] + 2)
    assert not second.trained
    await until(lambda: not Spool(tmp_path).updates())
    run.cancel()
    await asyncio.wait([run])
    await channel.close()
