"""What operators say to a process that serves many federations: both sides of each conversation of the Federations service.

client                 process, by stream.method
standings()            LIST_FEDERATIONS  read_list(stream), answer_list(stream, standings)
add(name, toml)        ADD_FEDERATION    read_add(stream), answer(stream, done, why)
stop(name, why, now)   STOP_FEDERATION   read_stop(stream), answer(stream, done, why)
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from fedactors.errors import FederationFailed, RemoteProtocolError
from fedactors.log import one_line
from fedactors.protocol._pb import federations_pb2 as pb
from fedactors.protocol.asking import ask
from fedactors.protocol.messages import ADD_FEDERATION, LIST_FEDERATIONS, STOP_FEDERATION
from fedactors.protocol.weight_streams import OPEN_TIMEOUT_S
from fedactors.protocol.wire import parsed
from fedactors.transport import Channel, Stream


class Condition(enum.StrEnum):
    """How a federation of many stands."""

    WAITING = "waiting"
    """For its first learners; it begins when learners.min are here."""
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    """It could not begin, or not go on. It is not tried again until somebody says so."""
    INTERRUPTED = "interrupted"
    """The process ends: the same command goes on with it."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is at work here."""
        return self not in (Condition.WAITING, Condition.RUNNING)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one federation stands.

    Attributes:
        name: by which it is told from the others.
        condition: how it stands.
        addresses: where it listens, while it does.
        rounds: that are committed.
        rounds_total: how many there shall be; None: that is open.
        learners: that are here.
        why: it ended, or could not be served.
        run: the directory of its run, as the process calls it.
    """

    name: str
    condition: Condition
    addresses: tuple[str, ...] = ()
    rounds: int = 0
    rounds_total: int | None = None
    learners: int = 0
    why: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """One federation is to end: after its open round, or now."""

    name: str
    now: bool
    why: str


class FederationsClient:
    """An operator's side. Each call is a stream of its own, and raises what `AdminClient`'s do."""

    def __init__(self, channel: Channel, *, open_timeout_s: float = OPEN_TIMEOUT_S) -> None:
        self._channel = channel
        self._open_timeout_s = open_timeout_s

    async def standings(self) -> list[Standing]:
        """Every federation that is served there, was, or could not be."""
        found = await ask(self._channel, LIST_FEDERATIONS, pb.ListRequest(), pb.Standings, self._open_timeout_s)
        return [_standing(one) for one in found.federations]

    async def add(self, name: str, toml: str) -> None:
        """Serve one more.

        Raises:
            FederationFailed: the process does not; the message is its reason.
        """
        request = pb.AddRequest(name=name, toml=toml)
        self._check(await ask(self._channel, ADD_FEDERATION, request, pb.FederationsAnswer, self._open_timeout_s), "add", name)

    async def stop(self, name: str, why: str, *, now: bool = False) -> None:
        """End one after its open round, or now.

        Raises:
            FederationFailed: the process does not; the message is its reason.
        """
        request = pb.StopRequest(name=name, now=now, why=why)
        self._check(await ask(self._channel, STOP_FEDERATION, request, pb.FederationsAnswer, self._open_timeout_s), "stop", name)

    def _check(self, answer: pb.FederationsAnswer, verb: str, name: str) -> None:
        if not answer.done:
            raise FederationFailed(f"refused to {verb} {name}: {answer.why or 'without a reason'}")


def _standing(one: pb.Standing) -> Standing:
    try:
        condition = Condition(one.state)
    except ValueError:
        raise RemoteProtocolError(f"{one.name!r:.80} is {one.state!r:.80}, which this version does not know") from None
    total = one.rounds_total or None
    return Standing(one.name, condition, tuple(one.addresses), one.rounds, total, one.learners, one.why, one.run)


# ------------------------------------------------------------------------------------------------------------------ the process


async def read_list(stream: Stream) -> None:
    """Read the request for the list."""
    parsed(pb.ListRequest, await stream.receive())


async def answer_list(stream: Stream, standings: Iterable[Standing]) -> None:
    """Tell how all stand."""
    told = pb.Standings()
    for one in standings:
        told.federations.add(
            name=one.name,
            state=one.condition,
            addresses=one.addresses,
            rounds=one.rounds,
            rounds_total=one.rounds_total or 0,
            learners=one.learners,
            why=one_line(one.why),
            run=one.run,
        )
    await stream.send(told.SerializeToString())


async def read_add(stream: Stream) -> tuple[str, str]:
    """The name of a federation that is to be served, and its configuration."""
    request = parsed(pb.AddRequest, await stream.receive())
    return request.name, request.toml


async def read_stop(stream: Stream) -> StopRequest:
    """Which is to end."""
    request = parsed(pb.StopRequest, await stream.receive())
    return StopRequest(request.name, request.now, one_line(request.why))


async def answer(stream: Stream, done: bool, why: str = "") -> None:
    """Whether it is done, or why not."""
    await stream.send(pb.FederationsAnswer(done=done, why=one_line(why)).SerializeToString())
