"""What a learner leaves out of its updates, and what it gets back when one does not count."""

import asyncio

import numpy as np
import pytest

from fedactors.compression.top_k import TopK
from fedactors.errors import ModelError
from fedactors.form import IDENTITY, Form, Forms, FormSpec
from fedactors.learner import LearnerClient
from fedactors.learner.packing import Packing
from fedactors.learner.worker import inline
from fedactors.model import GlobalModel
from fedactors.protocol import Cancel, GoodbyeReason, PushAnswer
from fedactors.testing.learners import ScriptedLearner
from fedactors.transport import Address
from fedactors.transport.memory import MemoryTransport
from tests.learner.conftest import AtOnce
from tests.learner.test_client import train, until

MODEL = GlobalModel.initial({"w": np.zeros(10, np.float32)})
STEP = np.arange(1, 11, dtype=np.float32)


def sent(packing, task, step=STEP):
    """What counts of one more training that moves by a step."""
    packed = packing.pack(task, MODEL.layout.pack({"w": step}), MODEL, 7)
    out = np.zeros(MODEL.layout.nbytes, np.uint8)
    packed.form.unpack(packed.buffer, MODEL.buffer, MODEL.layout, out)
    return MODEL.layout.views(out)["w"].copy()


def test_everything_travels_in_the_end():
    packing, nothing = Packing(TopK(0.2)), np.zeros(10, np.float32)
    first = sent(packing, "t1")
    assert np.flatnonzero(first).tolist() == [8, 9]
    total = first + sum(sent(packing, f"then {n}", nothing) for n in range(4))
    assert np.array_equal(total, STEP)


def test_without_error_feedback_what_is_left_out_is_lost():
    packing = Packing(TopK(0.2, error_feedback=False))
    sent(packing, "t1")
    assert not sent(packing, "t2", np.zeros(10, np.float32)).any()


def test_an_update_that_was_refused_gives_back_what_it_had_sent_once():
    packing, nothing = Packing(TopK(0.2)), np.zeros(10, np.float32)
    first = sent(packing, "t1")
    second = sent(packing, "t2", nothing)
    assert np.flatnonzero(second).tolist() == [6, 7]
    packing.settle("t1", accepted=False)
    packing.settle("t1", accepted=False)
    packing.settle("t2", accepted=True)
    packing.settle("t2", accepted=False)
    packing.settle("never was", accepted=False)
    assert np.array_equal(sent(packing, "t3", nothing), first)
    assert np.array_equal(sum(sent(packing, f"then {n}", nothing) for n in range(9)), STEP - first - second)


def test_a_diverged_update_leaves_nothing_behind_that_is_not_finite():
    packing = Packing(TopK(0.2))
    wild = STEP.copy()
    wild[3:5] = [np.nan, np.inf]
    assert not np.isfinite(sent(packing, "t1", wild)).all()
    packing.settle("t1", accepted=False)
    assert np.isfinite(sent(packing, "t2")).all()


class Unable(Form):
    """Cannot carry anything."""

    def layout(self, model):
        return model

    def pack(self, update, base, model, seed):
        raise ModelError("it is too long")

    def unpack(self, packed, base, model, out):
        raise AssertionError


class Insisting(Unable):
    """And nothing else may."""

    optional = False


def test_what_a_form_cannot_carry_travels_as_it_is_where_it_may():
    update = MODEL.layout.pack({"w": STEP})
    packed = Packing(Unable()).pack("t1", update, MODEL, 7)
    assert (packed.buffer is update, packed.layout, packed.form) == (True, MODEL.layout, IDENTITY)
    assert packed.why_not == "it is too long"
    with pytest.raises(ModelError, match="it is too long"):
        Packing(Insisting()).pack("t1", update, MODEL, 7)


def test_an_update_as_it_is_is_not_even_copied():
    update = MODEL.layout.pack({"w": STEP})
    assert Packing().pack("t1", update, MODEL, 7).buffer is update


# ------------------------------------------------------------------------------------------------------- over the wire

FORMS = Forms(("top_k",), lambda _, options: TopK(**options))
WISHED = FormSpec("top_k", {"fraction": 0.2, "error_feedback": True})


class Connected:
    """A learner that moves by STEP at first, and then not at all, at a controller that says what a test tells it to."""

    def __init__(self, controller):
        self.controller = controller
        controller.models[0] = MODEL
        controller.welcome_with, controller.packed_layout = {"form": WISHED}, TopK(0.2).layout(MODEL.layout)
        steps = iter([STEP])
        learner = ScriptedLearner({"w": STEP}, train=lambda weights, _: ({"w": weights["w"] + next(steps, 0 * STEP)}, {}))
        channel = MemoryTransport().connect(Address("memory", "controller"))
        self.client = LearnerClient(learner, "anna", channel, work=inline, forms=FORMS, rng=AtOnce())
        self.run = asyncio.create_task(self.client.run())

    async def places(self, task):
        """Where the update of one more task differs from nothing, once its answer was heard."""
        session = self.controller.session
        await session.send(train(task))
        await until(lambda: any(name == task for name, _, _ in self.controller.updates))
        views = next(views for name, views, _ in self.controller.updates if name == task)
        await until(lambda: task not in self.client._agenda.held)
        return views["float32 top k places"][views["float32 top k differences"] != 0].tolist()

    async def end(self):
        await self.controller.finish(GoodbyeReason.FINISHED)
        await self.run


@pytest.fixture
async def connected(controller):
    made = Connected(controller)
    await controller.joined.get()
    yield made
    await made.end()


async def test_a_learner_says_what_it_knows_and_packs_as_it_is_wished(connected):
    assert connected.controller.hellos[0].forms == ("top_k",)
    assert await connected.places("t1") == [8, 9]
    assert await connected.places("t2") == [6, 7]


async def test_a_refusal_over_the_wire_gives_back_too(connected):
    connected.controller.push_faults = [PushAnswer(False, "late", "the round was over")]
    assert await connected.places("t1") == [8, 9]
    assert await connected.places("t2") == [8, 9]
    assert await connected.places("t3") == [6, 7]


async def test_a_task_that_is_cancelled_while_it_waits_for_delivery_gives_back_too(connected):
    connected.controller.answers_when.clear()
    session = connected.controller.session
    await session.send(train("t1"))
    await connected.controller.received.wait()
    await session.send(train("t2"))
    await until(lambda: "t2" in connected.client._agenda.held and connected.client._agenda.at_work is None)
    await session.send(Cancel("t2"))
    await until(lambda: "t2" not in connected.client._agenda.held)
    connected.controller.answers_when.set()
    assert await connected.places("t3") == [6, 7], "what t2 would have sent"


async def test_a_session_that_does_not_go_on_begins_with_nothing_held_back(connected):
    assert await connected.places("t1") == [8, 9]
    connected.controller.knows_tokens = False
    await connected.controller.lose()
    await connected.controller.joined.get()
    assert await connected.places("t2") == []
