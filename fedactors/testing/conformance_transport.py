"""What every transport owes its users, checked on a transport of yours.

async def test_my_transport_conforms():
    await check_transport(MyTransport(), Address.parse("mine://anywhere"))

For one test a promise, parametrise over `TRANSPORT_CHECKS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from fedactors.errors import AccessDenied, AddressError, EndOfStream, LocalProtocolError, StreamClosed, Unreachable
from fedactors.transport import Accept, Address, Channel, Listener, Stream, Transport

METHOD = "/check.Transport/Any"
OTHER_METHOD = "/check.Transport/Other"
SOON_S = 10.0
"""Whatever has to happen happens within this time, on a busy machine too."""
CROWD_S = 60.0
"""As SOON_S, where hundreds of streams begin at once, each with a handshake of its own if there is TLS."""
STALLED_S = 0.3
"""A send that takes longer waits for the peer."""
UNREAD_BYTES_MAX = 256 * 1024 * 1024
"""A bound: gRPC sizes its window by what it measures. Over TLS it took 7 to 19 MiB alone, up to 74 beside four busy processes."""

Check: TypeAlias = Callable[[Transport, Address], Awaitable[None]]


async def check_transport(transport: Transport, address: Address) -> None:
    """Run every check of `TRANSPORT_CHECKS`.

    Args:
        transport: to check.
        address: where it may listen; with a port of 0 where there are ports.

    Raises:
        AssertionError: it breaks a promise; the message says which.
    """
    for check in TRANSPORT_CHECKS:
        await check(transport, address)


@asynccontextmanager
async def connected(transport: Transport, address: Address, accept: Accept) -> AsyncIterator[tuple[Channel, Listener]]:
    """A listener and a channel to it; both are closed at the end."""
    listener = await transport.listen(address, accept)
    channel = transport.connect(listener.address)
    try:
        async with asyncio.timeout(3 * SOON_S):
            yield channel, listener
    finally:
        await channel.close()
        await listener.close(0.0)


async def echo(stream: Stream) -> None:
    """Send every frame back, to the end."""
    try:
        while True:
            await stream.send(await stream.receive())
    except EndOfStream:
        return


def hold_until(over: asyncio.Event) -> Accept:
    """Read nothing until then."""

    async def hold(_: Stream) -> None:
        await over.wait()

    return hold


async def ending(stream: Stream) -> StreamClosed:
    """Receive up to the end of the stream, and say how it ended."""
    try:
        while True:
            async with asyncio.timeout(SOON_S):
                await stream.receive()
    except StreamClosed as error:
        return error


async def frames_arrive_whole_and_in_order_both_ways(transport: Transport, address: Address) -> None:
    """Empty ones, too; sending and receiving at the same time."""
    frames = [bytes([number % 251]) * (number * number % 70_001) for number in range(300)]
    async with connected(transport, address, echo) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)

        async def send_all() -> None:
            for frame in frames:
                await stream.send(frame)
            await stream.finish()

        async with asyncio.TaskGroup() as group:
            group.create_task(send_all())
            for number, frame in enumerate(frames):
                assert await stream.receive() == frame, f"frame {number} came back changed or out of order"
        assert isinstance(await ending(stream), EndOfStream), "both sides finished, and the stream did not end in good order"


async def a_stream_says_its_method_and_its_peer(transport: Transport, address: Address) -> None:
    """On both sides."""
    seen: list[tuple[str, str]] = []

    async def note(stream: Stream) -> None:
        seen.append((stream.method, stream.peer))

    async with connected(transport, address, note) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        await ending(stream)
        assert (stream.method, bool(stream.peer)) == (METHOD, True), "the client's stream has another method, or no peer"
        assert [(method, bool(peer)) for method, peer in seen] == [(METHOD, True)], "the listener's stream differs"


async def an_unread_stream_holds_its_sender_up(transport: Transport, address: Address) -> None:
    """So that memory is bounded, on both sides."""
    over = asyncio.Event()
    async with connected(transport, address, hold_until(over)) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        frame, sent_bytes = bytes(1024 * 1024), 0
        try:
            while sent_bytes <= UNREAD_BYTES_MAX:
                async with asyncio.timeout(STALLED_S):
                    await stream.send(frame)
                sent_bytes += len(frame)
        except TimeoutError:
            return
        finally:
            over.set()
        raise AssertionError(f"{sent_bytes:,} bytes were taken from the sender, and nobody has received one")


async def each_side_finishes_its_own_half(transport: Transport, address: Address) -> None:
    """A client that has finished still receives."""

    async def count(stream: Stream) -> None:
        frames = 0
        try:
            while True:
                await stream.receive()
                frames += 1
        except EndOfStream:
            await stream.send(str(frames).encode())

    async with connected(transport, address, count) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        for _ in range(7):
            await stream.send(b"x")
        await stream.finish()
        await stream.finish()
        assert await stream.receive() == b"7", "not every frame came before the end of the stream"
        assert isinstance(await ending(stream), EndOfStream), "the accept returned, and the stream did not end in good order"
        await _refuses(stream.send(b"x"), LocalProtocolError, "a frame was sent after finish()")


async def a_cut_is_no_end_in_good_order(transport: Transport, address: Address) -> None:
    """The listener sees a client's cut, and the client sees a listener's."""
    seen: asyncio.Queue[StreamClosed] = asyncio.Queue()

    async def accept(stream: Stream) -> None:
        if await stream.receive() == b"cut":
            stream.cut("for a reason")
            stream.cut("again")
        seen.put_nowait(await ending(stream))

    async with connected(transport, address, accept) as (channel, _):
        for frame in (b"cut", b"wait"):
            stream = await channel.open(METHOD, timeout_s=SOON_S)
            await stream.send(frame)
            if frame == b"wait":
                await asyncio.sleep(0.05)
                stream.cut("for a reason")
                await _refuses(stream.send(b"x"), StreamClosed, "a frame was sent after cut()")
            for side, end in (("client", await ending(stream)), ("listener", await asyncio.wait_for(seen.get(), SOON_S))):
                assert not isinstance(end, EndOfStream), f"after {frame!r}, the {side} saw an end in good order"


async def an_accept_that_raises_cuts_its_stream_only(transport: Transport, address: Address) -> None:
    """The client sees a cut; the listener goes on."""

    async def accept(stream: Stream) -> None:
        if await stream.receive() == b"raise":
            raise StreamClosed("this is what was asked for")
        await echo(stream)

    async with connected(transport, address, accept) as (channel, _):
        good, bad = [await channel.open(METHOD, timeout_s=SOON_S) for _ in range(2)]
        await good.send(b"go on")
        await bad.send(b"raise")
        assert not isinstance(await ending(bad), EndOfStream), "the accept raised, and the client saw an end in good order"
        await good.send(b"hello")
        assert await good.receive() == b"hello", "the accept of one stream raised, and another one suffered"


async def a_denied_stream_says_so(transport: Transport, address: Address) -> None:
    """Whether it is denied at once or later: trying again changes nothing, and the client is told."""

    async def deny(stream: Stream) -> None:
        if await stream.receive() == b"at once":
            raise AccessDenied("you may not")
        await stream.send(b"x")
        stream.deny("you may not any more")

    def admit(stream: Stream) -> None:
        if stream.method == OTHER_METHOD:
            raise AccessDenied("you may not at all")

    listener = await transport.listen(address, deny, admit)
    channel = transport.connect(listener.address)
    try:
        await _refuses(channel.open(OTHER_METHOD, timeout_s=SOON_S), AccessDenied, "a stream was opened that was not admitted")
        await _denies_what_is_open(channel)
    finally:
        await channel.close()
        await listener.close(0.0)


async def _denies_what_is_open(channel: Channel) -> None:
    async with asyncio.timeout(SOON_S):
        for frame in (b"at once", b"later"):
            stream = await channel.open(METHOD, timeout_s=SOON_S)
            await stream.send(frame)
            end = await ending(stream)
            assert isinstance(end, AccessDenied), f"a denied stream ended with {type(end).__name__}"
            assert "you may not" in str(end), "the client was not told why it is denied"


async def a_cancelled_receive_loses_no_frame(transport: Transport, address: Address) -> None:
    """So that a timeout around it is allowed."""

    async def count(stream: Stream) -> None:
        for number in range(200):
            await stream.send(str(number).encode())
            if number % 3 == 0:
                await asyncio.sleep(0.001)

    async with connected(transport, address, count) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        received: list[int] = []
        while len(received) < 200:
            try:
                async with asyncio.timeout(0.0005):
                    received.append(int(await stream.receive()))
            except TimeoutError:
                continue
        assert received == list(range(200)), "a frame was lost, or came out of order, when receive() was cancelled"


async def frames_have_a_longest_length(transport: Transport, address: Address) -> None:
    """Which passes both ways; one byte more is refused, and the stream goes on."""
    async with connected(transport, address, echo) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        longest = bytes(transport.frame_bytes_max)
        await _refuses(stream.send(longest + b"x"), LocalProtocolError, "a frame that is too long was sent")
        await stream.send(longest)
        assert await stream.receive() == longest, "a frame of the greatest length came back changed"


async def many_streams_share_a_channel(transport: Transport, address: Address) -> None:
    """And do not disturb each other."""
    async with connected(transport, address, echo) as (channel, _):

        async def talk(number: int) -> None:
            stream = await channel.open(METHOD, timeout_s=CROWD_S)
            for word in range(3):
                await stream.send(f"{number} {word}".encode())
                await asyncio.sleep(0.01)
                assert await stream.receive() == f"{number} {word}".encode(), "a frame came out of another stream"
            await stream.finish()
            await ending(stream)

        async with asyncio.TaskGroup() as group:
            for number in range(250):
                group.create_task(talk(number))


async def a_stalled_stream_holds_up_no_other(transport: Transport, address: Address) -> None:
    """Nor its own channel."""
    over = asyncio.Event()

    async def accept(stream: Stream) -> None:
        await (echo if stream.method == METHOD else hold_until(over))(stream)

    async def flood(stream: Stream) -> None:
        while True:
            await stream.send(bytes(1024 * 1024))

    async with connected(transport, address, accept) as (channel, _):
        stalled = await channel.open(METHOD + "Stalled", timeout_s=SOON_S)
        flooding = asyncio.ensure_future(flood(stalled))
        await asyncio.sleep(STALLED_S)
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        await stream.send(b"hello")
        assert await asyncio.wait_for(stream.receive(), SOON_S) == b"hello", "a stalled stream held up another one"
        stalled.cut("seen enough")
        assert isinstance((await asyncio.gather(flooding, return_exceptions=True))[0], StreamClosed), (
            "a stalled send outlived a cut"
        )
        over.set()


async def a_listener_closes_with_grace(transport: Transport, address: Address) -> None:
    """What ends within the grace ends in good order; what does not is cut."""

    async def accept(stream: Stream) -> None:
        if await stream.receive() == b"brief":
            await asyncio.sleep(0.1)
            await stream.send(b"done")
        else:
            await ending(stream)

    async with connected(transport, address, accept) as (channel, listener):
        brief, long = [await channel.open(METHOD, timeout_s=SOON_S) for _ in range(2)]
        await brief.send(b"brief")
        await long.send(b"long")
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(listener.close(0.5))
        assert await brief.receive() == b"done", "a stream that ended within the grace was cut"
        assert isinstance(await ending(brief), EndOfStream), "a stream that ended within the grace was cut"
        assert not isinstance(await ending(long), EndOfStream), "a stream that was open after the grace ended in good order"
        await closing
        await listener.close(0.5)


async def a_listener_that_is_not_there_is_unreachable(transport: Transport, address: Address) -> None:
    """Within the time allowed; and reachable again when it is back."""
    listener = await transport.listen(address, echo)
    place = listener.address
    await listener.close(0.0)
    channel = transport.connect(place)
    await _refuses(channel.open(METHOD, timeout_s=0.2), Unreachable, "a stream was opened to a listener that is closed")
    opening = asyncio.ensure_future(channel.open(METHOD, timeout_s=SOON_S))
    await asyncio.sleep(0.05)
    listener = await transport.listen(place, echo)
    try:
        stream = await opening
        await stream.send(b"hello")
        assert await stream.receive() == b"hello", "a stream opened before there was a listener does not work"
    finally:
        await channel.close()
        await listener.close(0.0)


async def an_address_has_one_listener(transport: Transport, address: Address) -> None:
    """The second one is told; the first one goes on."""
    async with connected(transport, address, echo) as (channel, listener):
        await _refuses(transport.listen(listener.address, echo), AddressError, "two listeners share an address")
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        await stream.send(b"hello")
        assert await stream.receive() == b"hello", "a second listener was refused, and the first one suffered"


async def a_closed_channel_cuts_its_streams(transport: Transport, address: Address) -> None:
    """The listener sees it."""
    seen: asyncio.Queue[StreamClosed] = asyncio.Queue()

    async def accept(stream: Stream) -> None:
        await stream.receive()
        seen.put_nowait(await ending(stream))

    async with connected(transport, address, accept) as (channel, _):
        stream = await channel.open(METHOD, timeout_s=SOON_S)
        await stream.send(b"x")
        await asyncio.sleep(0.05)
        await channel.close()
        await channel.close()
        assert not isinstance(await ending(stream), EndOfStream), "the channel was closed, and its stream ended in good order"
        assert not isinstance(await asyncio.wait_for(seen.get(), SOON_S), EndOfStream), "the listener saw an end in good order"


async def _refuses(attempt: Awaitable[object], error: type[Exception], otherwise: str) -> None:
    try:
        await attempt
    except error:
        return
    raise AssertionError(otherwise)


TRANSPORT_CHECKS: tuple[Check, ...] = (
    frames_arrive_whole_and_in_order_both_ways,
    a_stream_says_its_method_and_its_peer,
    an_unread_stream_holds_its_sender_up,
    each_side_finishes_its_own_half,
    a_cut_is_no_end_in_good_order,
    an_accept_that_raises_cuts_its_stream_only,
    a_denied_stream_says_so,
    a_cancelled_receive_loses_no_frame,
    frames_have_a_longest_length,
    many_streams_share_a_channel,
    a_stalled_stream_holds_up_no_other,
    a_listener_closes_with_grace,
    a_listener_that_is_not_there_is_unreachable,
    an_address_has_one_listener,
    a_closed_channel_cuts_its_streams,
)
"""Every promise of the interface that can be seen from outside."""
