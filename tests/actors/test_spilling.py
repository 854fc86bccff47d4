"""Uploads that are received into files: window by window, cut and gone on with, refused as a whole."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedactors.actors.compute import Compute, Threads
from fedactors.actors.room import BOUNDLESS
from fedactors.actors.spill import Spill, Spills
from fedactors.actors.spilling import SpillingReceiver
from fedactors.actors.upload_slots import Loan, UploadSlots, Wish
from fedactors.errors import UpdateRefused
from fedactors.model import Layout
from fedactors.protocol import BufferPool
from fedactors.protocol.chunks import encode_chunk
from tests.actors.test_upload_slots import A, Asker

LAYOUT = Layout.from_specs([("a", "float32", (100,)), ("b", "float64", (13,)), ("n", "int8", (70,))])


def update() -> np.ndarray:
    rng = np.random.default_rng(1)
    return LAYOUT.pack(
        {name: rng.integers(1, 100, view.shape).astype(view.dtype) for name, view in LAYOUT.views(zeros()).items()}
    )


def zeros() -> np.ndarray:
    return np.zeros(LAYOUT.nbytes, np.uint8)


def receiver(spill: Spill, written_bytes: int = 0, compute: Compute | None = None) -> SpillingReceiver:
    return SpillingReceiver(LAYOUT, spill, written_bytes, compute or Compute(), refuse_not_finite=True)


async def feed(into: SpillingReceiver, buffer: np.ndarray, chunk_bytes: int, stop: int = LAYOUT.nbytes) -> None:
    """Chunks from where the receiver is, the last one up to a byte."""
    while into.received_bytes < stop:
        offset = into.received_bytes
        into.feed(encode_chunk(offset, buffer.data[offset : min(offset + chunk_bytes, stop)]))
        if into.is_full:
            await into.make_room()


def read(spill: Spill) -> np.ndarray:
    out = zeros()
    spill.read(0, out)
    return out


@given(chunk_bytes=st.integers(1, 900), shards=st.integers(1, 20), stop=st.integers(0, LAYOUT.nbytes))
@settings(max_examples=30)
def test_an_upload_that_was_cut_goes_on_from_what_is_written(tmp_path_factory, chunk_bytes, shards, stop):
    spills, buffer = Spills(tmp_path_factory.getbasetemp(), shards, 0), update()

    async def received() -> np.ndarray:
        spill = spills.take(LAYOUT.nbytes)
        first = receiver(spill)
        await feed(first, buffer, chunk_bytes, stop)
        assert first.written_bytes == stop // spill.window_bytes * spill.window_bytes
        second = receiver(spill, first.written_bytes)
        await feed(second, buffer, chunk_bytes)
        await second.settle()
        return read(spill)

    np.testing.assert_array_equal(asyncio.run(received()), buffer)


@pytest.mark.parametrize("name", ["a", "b"])
async def test_what_is_not_finite_is_told_when_everything_is_here(tmp_path, name):
    buffer, into = update(), receiver(Spills(tmp_path, 4, 0).take(LAYOUT.nbytes))
    LAYOUT.views(buffer)[name][-1] = np.inf
    await feed(into, buffer, 50)
    assert into.is_complete
    with pytest.raises(UpdateRefused, match=f"tensor '{name}' holds NaN or an infinity"):
        await into.settle()


async def test_what_lies_in_the_padding_is_nobodys_value(tmp_path):
    buffer, into = update(), receiver(Spills(tmp_path, 4, 0).take(LAYOUT.nbytes))
    buffer[400:448] = 0xFF
    await feed(into, buffer, 50)
    await into.settle()


async def test_an_attempt_that_ends_amid_a_write_keeps_its_file_from_others(tmp_path):
    """The thread writes on: what it writes is this upload's, and must come into no other one's."""
    spills, begun = Spills(tmp_path, 4, spills_max=2), asyncio.Event()
    spill = spills.take(LAYOUT.nbytes)
    loop, go = asyncio.get_running_loop(), asyncio.Event()

    class Held(Compute):
        async def run(self, nbytes, function, /, *args, **kwargs):
            begun.set()
            await go.wait()

    writing = loop.create_task(feed(receiver(spill, compute=Held()), update(), LAYOUT.nbytes))
    await begun.wait()
    writing.cancel()
    await asyncio.wait([writing])
    spills.give(spill)
    assert spills.take(LAYOUT.nbytes) is not spill


async def test_a_file_that_was_given_back_is_used_again(tmp_path):
    spills = Spills(tmp_path, 4, spills_max=1)
    spill, other = spills.take(LAYOUT.nbytes), spills.take(LAYOUT.nbytes)
    spills.give(spill)
    spills.give(other)
    assert spills.take(LAYOUT.nbytes) is spill
    assert spills.take(LAYOUT.nbytes) is not other
    spills.give(spill)
    assert spills.take(2 * LAYOUT.nbytes) is not spill


async def test_windows_are_written_in_a_thread(tmp_path):
    layout = Layout.from_specs([("w", "float32", (1_500_000,))])
    spill, buffer = Spills(tmp_path, 3, 0).take(layout.nbytes), np.full(layout.nbytes, 7, np.uint8)
    with ThreadPoolExecutor(1) as executor:
        into = SpillingReceiver(layout, spill, 0, Compute(Threads(executor, 1)), refuse_not_finite=True)
        for offset in range(0, layout.nbytes, 2**20):
            into.feed(encode_chunk(offset, buffer.data[offset : offset + 2**20]))
            if into.is_full:
                await into.make_room()
        await into.settle()
    np.testing.assert_array_equal(spill.mapped(), buffer)


def test_an_interrupted_upload_gets_its_file_again(tmp_path):
    slots = UploadSlots(1, BufferPool(), BOUNDLESS, Spills(tmp_path, 4, 1))
    slots.wish(Wish("anna", LAYOUT.nbytes, A, Asker()))
    _, loan = slots.next(0.0)
    assert isinstance(loan.buffer, Spill)
    assert slots.park(A, Loan(loan.buffer, 256), 0.0)
    slots.wish(Wish("anna", LAYOUT.nbytes, A, Asker()))
    _, again = slots.next(0.0)
    assert (again.buffer, again.received_bytes) == (loan.buffer, 256)
    assert slots.over(again.buffer, 0.0)


def test_what_has_to_be_in_memory_is_lent_there(tmp_path):
    slots = UploadSlots(1, BufferPool(), BOUNDLESS, Spills(tmp_path, 4, 1))
    slots.wish(Wish("anna", LAYOUT.nbytes, None, Asker(), in_memory=True))
    _, loan = slots.next(0.0)
    assert isinstance(loan.buffer, np.ndarray)


def test_a_place_that_cannot_be_written_to_is_told_to_whoever_wants_one(tmp_path):
    slots, asker = UploadSlots(1, BufferPool(), BOUNDLESS, Spills(tmp_path / "gone", 4, 1)), Asker()
    slots.wish(Wish("anna", LAYOUT.nbytes, None, asker))
    assert slots.next(0.0) is None
    assert "there is no place here for an update of 704 bytes" in str(asker.error)
