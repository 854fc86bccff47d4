"""What hostile peers send, the one line that each is answered, and the federation, which goes on."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter

import pytest
import pytest_asyncio

from fedactors.actors.doorway import JOINS_MAX, WEIGHT_STREAMS_MAX
from fedactors.errors import StreamClosed
from fedactors.protocol import FETCH, PUSH, SESSION, SHIP, WATCH, Goodbye, GoodbyeReason
from fedactors.protocol.blob_wire import encode_opening
from fedactors.protocol.session_wire import encode
from fedactors.task import TaskKind
from tests.hostile.answers import ENDS, GOES_ON, UNCOUNTED, evaluated
from tests.hostile.connections import CONNECTIONS, THE_END
from tests.hostile.http2 import PREFACE, RST_STREAM, SETTINGS, call, data, frame, message, wire
from tests.hostile.openings import OPENINGS
from tests.hostile.operators import OPERATORS
from tests.hostile.scene import LEARNERS_MAX, SETTLES_S, hello, scene
from tests.hostile.weights import CHUNKS, LAYOUTS, REPORTS, STRANGERS, TRANSFERS, fetching, written

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target():
    """One federation for all; at its end nothing may be left of anybody: tasks, buffers, proxies, streams, descriptors."""
    async with scene() as one:
        yield one


@pytest.fixture(params=["memory", "grpc"])
def over(request, target):
    return getattr(target, request.param)


def names(cases):
    return [case[0] for case in cases]


def answered(said, expected):
    assert re.search(expected, said, re.DOTALL), said


@pytest.mark.parametrize(("name", "frames", "expected"), OPENINGS, ids=names(OPENINGS))
async def test_a_session_does_not_begin_with(target, over, name, frames, expected):
    answered(await target.says(SESSION, *frames, over=over), expected)


@pytest.mark.parametrize(("name", "method", "frames", "expected"), STRANGERS, ids=names(STRANGERS))
async def test_a_stranger_is_turned_away_with(target, name, method, frames, expected):
    answered(await target.says(method, *frames), expected)


@pytest.mark.parametrize(("name", "report", "expected"), REPORTS, ids=names(REPORTS))
async def test_a_report_does_not_count_that_has(target, name, report, expected):
    async with target.taking_part() as mallory:
        task = await mallory.task()
        answered(await target.says(PUSH, written(mallory, task.id, report), finish=True), expected)


@pytest.mark.parametrize(("name", "layout", "expected"), LAYOUTS, ids=names(LAYOUTS))
async def test_weights_are_refused_before_memory_is_taken_that_have(target, name, layout, expected):
    async with target.taking_part() as mallory:
        opening = mallory.opening(
            (await mallory.task()).id, layout, specs=tuple(layout.specs), total_bytes=min(layout.nbytes, 2**63)
        )
        answered(await target.says(PUSH, encode_opening(opening), finish=True), expected)


@pytest.mark.parametrize(("name", "frames", "finish", "expected"), CHUNKS, ids=names(CHUNKS))
async def test_an_upload_comes_to_nothing_that_has(target, name, frames, finish, expected):
    async with target.taking_part() as mallory:
        opening = encode_opening(mallory.opening((await mallory.task()).id))
        answered(await target.says(PUSH, opening, *frames, finish=finish), expected)


@pytest.mark.parametrize(("name", "does", "expected"), TRANSFERS, ids=names(TRANSFERS))
async def test_nothing_comes_of(target, name, does, expected):
    answered(await does(target), expected)


@pytest.mark.parametrize(("name", "method", "frames", "expected"), OPERATORS, ids=names(OPERATORS))
async def test_an_operator_is_refused(target, name, method, frames, expected):
    answered(await target.says(method, *frames, finish=bool(frames)), expected)


@pytest.mark.parametrize(("name", "frames", "expected"), ENDS, ids=names(ENDS))
async def test_a_session_ends_by(target, name, frames, expected):
    async with target.taking_part() as mallory:
        answered(await mallory.says(*frames((await mallory.task()).id)), expected)


@pytest.mark.parametrize(("name", "frames", "expected"), GOES_ON, ids=names(GOES_ON))
async def test_a_session_goes_on_after(target, name, frames, expected):
    async with target.taking_part() as mallory:
        for frame in frames((await mallory.task()).id):
            await mallory.session.stream.send(frame)
        await mallory.task()
        assert not expected or re.search(expected, await target.refused(mallory.name))


@pytest.mark.parametrize(("name", "body", "expected"), UNCOUNTED, ids=names(UNCOUNTED))
async def test_an_evaluation_does_not_count_that_has(target, name, body, expected):
    async with target.taking_part() as mallory:
        await mallory.session.stream.send(evaluated((await mallory.task(TaskKind.EVALUATE)).id, body))
        assert re.search(expected, await target.refused(mallory.name, "bad_report"))


# ------------------------------------------------------------------------------------------------------------------------- bytes


@pytest.mark.parametrize(("name", "pieces", "ends_by"), CONNECTIONS, ids=names(CONNECTIONS))
async def test_a_connection_comes_to_nothing_by(target, name, pieces, ends_by):
    async with wire(target.port) as connection, asyncio.timeout(SETTLES_S):
        await connection.send(*pieces)
        said = await connection.until(ends_by.encode())
    assert ends_by == THE_END or ends_by in said


async def test_a_hello_byte_by_byte_is_not_waited_for(target):
    async with wire(target.port) as connection, asyncio.timeout(SETTLES_S):
        await connection.send(PREFACE, frame(SETTINGS), call(SESSION), data(message(b"", announced=100)))
        heard = asyncio.ensure_future(connection.until(b"within 0.3 s"))
        while not heard.done():
            await connection.send(data(b"x"))
            await asyncio.sleep(0.05)
        assert "within 0.3 s" in await heard


async def test_connections_that_say_nothing_and_leave_are_nothing(target):
    for pieces in ((), (PREFACE,), (PREFACE[:9],), (b"\x16\x03\x01\x02\x00\x01",), (os.urandom(4096),)):
        async with wire(target.port) as connection:
            await connection.send(*pieces)
    await target.goes_on()


async def test_a_thousand_calls_that_are_taken_back_at_once_hold_up_nobody(target):
    """As in CVE-2023-44487."""
    async with wire(target.port) as connection:
        await connection.send(PREFACE, frame(SETTINGS))
        for stream in range(1, 2000, 2):
            await connection.send(call(SESSION, stream=stream), frame(RST_STREAM, bytes(4), stream=stream))
        await target.goes_on()


# ------------------------------------------------------------------------------------------------------------------------ floods


async def test_of_a_thousand_who_join_no_more_are_let_in_than_may_be_here(target):
    async def joins(number: int) -> str:
        said = await target.says(SESSION, hello(learner=f"m{number}-{os.urandom(8).hex()}"), encode(Goodbye(GoodbyeReason.LEFT)))
        return "refused" if f"limits.learners_max = {LEARNERS_MAX} learners are here already" in said else "let in"

    async with asyncio.timeout(6 * SETTLES_S):
        said = Counter(await asyncio.gather(*map(joins, range(1000))))
    assert said["refused"] > 500
    await target.goes_on()


async def test_who_joins_again_and_again_is_told_to_come_back_later(target):
    said = [await target.says(SESSION, hello(learner="again"), encode(Goodbye(GoodbyeReason.LEFT))) for _ in range(JOINS_MAX + 5)]
    assert "again has joined 20 times within 10 s: come back later" in said[-1]
    assert said[-1].startswith("goodbye (draining)")
    await target.goes_on()


async def test_a_storm_of_resumed_sessions_ends_too(target):
    async with target.taking_part() as mallory:
        frame = hello(learner=mallory.name, resume_token=mallory.token)
        said = [await target.says(SESSION, frame, encode(Goodbye(GoodbyeReason.LEFT))) for _ in range(JOINS_MAX + 1)]
    assert "come back later" in said[-1]
    await target.goes_on()


async def test_of_a_thousand_silent_streams_those_that_have_waited_longest_make_room(target):
    said = await asyncio.gather(*(target.says(method) for method in (SESSION, FETCH, PUSH, WATCH, SHIP) for _ in range(200)))
    assert sum("streams wait for their first message, and this one has waited longest" in one for one in said) > 500
    await target.goes_on()


async def test_a_thousand_fetches_at_once_are_sixteen_at_a_time(target):
    async with target.taking_part() as mallory:
        frame = fetching(token=mallory.token, version=2**62)
        said = await asyncio.gather(*(target.says(FETCH, frame, finish=True) for _ in range(1000)))
        streams = [await target.memory.open(FETCH, timeout_s=5) for _ in range(WEIGHT_STREAMS_MAX)]
        for stream in streams:
            await stream.send(frame)
            await stream.receive()
        answered(await target.says(FETCH, frame), "a learner may hold 16 streams for weights")
    assert all("no model of version" in one or "a learner may hold 16 streams" in one for one in said)
    for stream in streams:
        with pytest.raises(StreamClosed):
            await stream.receive()


async def test_versions_that_are_asked_for_and_never_read_hold_up_nobody(target):
    async with target.taking_part() as mallory:
        stream, frame = await target.memory.open(FETCH, timeout_s=5), fetching(token=mallory.token, version=2**62)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asking(stream, frame)
        await target.goes_on()
        stream.cut("enough")


async def asking(stream, frame):
    while True:
        await stream.send(frame)


async def test_watchers_who_never_read_hold_up_nobody(target):
    streams = [await target.memory.open(WATCH, timeout_s=5) for _ in range(50)]
    for stream in streams:
        await stream.send(b"")
    await target.goes_on()
    for stream in streams:
        stream.cut("enough")


async def test_an_upload_that_stands_still_gives_its_place_back(target, monkeypatch):
    monkeypatch.setattr("fedactors.protocol.blobs.UPLOAD_PATIENCE_S", 0.2)
    async with target.taking_part() as mallory:
        said = await target.says(PUSH, encode_opening(mallory.opening((await mallory.task()).id)))
    answered(said, r"granted from 0 \| an upload stands still at byte 0")


async def test_the_federation_goes_on(target):
    await target.goes_on()
