"""The controller's side of the hosts: made as the cluster has room, lost with their nodes, and made anew.

learner ──placed──▶ host ──ready──▶ made there ──its turn──▶ at work
   ▲                  │ dies: whose task it is working on has failed; the others are placed anew
   └──────────────────┘
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version as installed_version
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayError

from fedactors.errors import ConfigError, FederationFailed, LearnerFailed
from fedactors.learner.answers import Declared
from fedactors.learner.base import LearnerContext
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.privacy.sealing import Key
from fedactors.ray.cluster import Cluster
from fedactors.ray.code import pickled
from fedactors.ray.errand import Errand, NotMade, Origin, Reply
from fedactors.ray.host import Host
from fedactors.ray.needs import Needs
from fedactors.ray.placement import HostId, Placement

log = get_logger("fedactors.ray")

READY_TIMEOUT_S = 60.0
"""For a host's process to begin, or for a node with room for one to come."""
POLL_S = 1.0
"""How often is looked whether the cluster still has room for a host that has not begun."""
IN_FLIGHT = 2
"""Errands of one host at once: one that it works on, and the next, so that it need not wait for it."""
MOVES_MAX = 3
"""Hosts that may die under a learner before it has begun; then it is taken to be what they die of."""
WHY_CHARS_MAX = 300


@dataclass(slots=True, eq=False)
class HostRef:
    """One host, as seen from here.

    Attributes:
        id: its number.
        actor: of Ray.
        free: room for errands.
        is_ready: its process has begun.
        made: learners that are there.
        why_lost: it is there no more; None: it is.
    """

    id: HostId
    actor: Any
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    made: dict[LearnerId, Declared] = field(default_factory=dict)
    why_lost: str | None = None


@dataclass(frozen=True, slots=True)
class _Lodger:
    origin: Origin
    entry: bytes


class Hosts:
    """All hosts of one federation."""

    def __init__(self, cluster: Cluster, needs: Needs) -> None:
        self._cluster = cluster
        self._needs = needs
        self._placement = Placement()
        self._refs: dict[HostId, HostRef] = {}
        self._lodgers: dict[LearnerId, _Lodger] = {}
        self._entries: dict[bytes, Any] = {}
        self._pickled: tuple[Any, bytes] | None = None
        self._room: int | None = None
        self._started = 0
        self._placing = asyncio.Lock()
        self._beginnings: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    # ------------------------------------------------------------------------------------------------------------ from outside

    def add(self, entry: Any, context: LearnerContext, key: Key | None) -> None:
        """There is a learner; it is made on a host when it is asked for.

        Raises:
            ConfigError: its entry cannot be pickled.
        """
        if self._pickled is None or self._pickled[0] is not entry:
            self._pickled = entry, pickled(entry)
        code = self._pickled[1]
        digest = hashlib.sha256(code).digest()
        self._lodgers[context.id] = _Lodger(Origin(context, digest, key), code)

    async def declared(self, learner: LearnerId) -> Declared:
        """What a learner says of itself; it is on a host then.

        Raises:
            FederationFailed: no host could be made.
            LearnerFailed: the learner could not be made there.
        """
        return (await self._lodged(learner)).made[learner]

    @asynccontextmanager
    async def turn(self, learner: LearnerId) -> AsyncIterator[HostRef]:
        """A learner's turn on its host. Should the host die before, it is another host's turn.

        Raises:
            FederationFailed, LearnerFailed: as `declared`.
        """
        while True:
            host = await self._lodged(learner)
            async with host.free:
                if host.why_lost is None:
                    yield host
                    return

    async def run(self, host: HostRef, errand: Errand, learner: LearnerId, version: Any | None) -> Reply:
        """Have a learner work a task off on its host.

        Args:
            host: whose turn it is.
            errand: the task.
            learner: whose task.
            version: the reference of the global model's; None: the task has none.

        Raises:
            LearnerFailed: the host died, or its process could not be asked.
        """
        try:
            reply: Reply = await host.actor.run.remote(learner, errand, version)
            return reply
        except RayError as error:
            if isinstance(error, ActorDiedError):
                self._lose(host, _why(error))
                raise LearnerFailed(f"the host of {learner} died: {_why(error)}") from error
            raise LearnerFailed(f"the host of {learner} did not answer: {_why(error)}") from error

    async def failure(self) -> Exception:
        """Wait for what ends the run: no host is left and none can be made, or a learner cannot be made in the first place."""
        return await asyncio.shield(self._failure)

    def fail(self, error: Exception) -> None:
        """End the run with this."""
        if not self._failure.done():
            self._failure.set_result(error)

    async def close(self) -> None:
        """End all hosts."""
        for task in self._beginnings:
            task.cancel()
        await asyncio.gather(*self._beginnings, return_exceptions=True)
        for host in list(self._refs.values()):
            await self._end(host)
        self._entries.clear()

    # ----------------------------------------------------------------------------------------------------------------- lodging

    async def _lodged(self, learner: LearnerId) -> HostRef:
        """The learner's host, with the learner made there."""
        why = ""
        for _ in range(MOVES_MAX):
            host = await self._placed(learner)
            await host.is_ready.wait()
            if host.why_lost is None and learner not in host.made:
                await self._make(host, learner)
            if host.why_lost is None:
                return host
            why = host.why_lost
        raise LearnerFailed(f"{learner} could not be made: {MOVES_MAX} hosts died before it could begin, the last one: {why}")

    async def _make(self, host: HostRef, learner: LearnerId) -> None:
        lodger = self._lodgers[learner]
        digest = lodger.origin.entry_digest
        if digest not in self._entries:
            self._entries[digest] = await self._cluster.call(partial(ray.put, lodger.entry))
        try:
            made = await host.actor.make.remote(lodger.origin, self._entries[digest])
        except ActorDiedError as error:
            self._lose(host, _why(error))
            return
        except RayError as error:
            raise LearnerFailed(f"{learner} could not be made on a Ray host: {_why(error)}") from error
        if isinstance(made, NotMade):
            raise LearnerFailed(made.why)
        host.made[learner] = made

    async def _placed(self, learner: LearnerId) -> HostRef:
        async with self._placing:
            if (place := self._placement.host_of(learner)) is None:
                await self._see_to_hosts()
                place = self._placement.place(learner)
            return self._refs[place]

    async def _see_to_hosts(self) -> None:
        """Have a host more if that is of use and there is room; have one in any case, or fail."""
        for _ in range(int(READY_TIMEOUT_S / POLL_S)):
            if self._room is None:
                self._room = self._needs.room(await self._cluster.nodes())
            if self._placement.wants_host(len(self._lodgers), self._room):
                await self._begin_host()
            if self._placement.hosts:
                return
            await asyncio.sleep(POLL_S)
            self._room = None
        nodes = await self._cluster.nodes()
        said = self._needs.lacking(nodes) or "no host could be made"
        raise self._failed(f"no Ray host is left, and none could be made in {READY_TIMEOUT_S:g} s: {said}")

    def _failed(self, why: str) -> FederationFailed:
        error = FederationFailed(why)
        self.fail(error)
        return error

    # ------------------------------------------------------------------------------------------------------------------- hosts

    async def _begin_host(self) -> None:
        id_ = self._started
        self._started += 1
        options = {**self._needs.options(), "max_restarts": 0, "max_task_retries": 0}
        begin = ray.remote(Host).options(**options).remote
        host = HostRef(id_, await self._cluster.call(partial(begin, sys.path)))
        self._refs[id_] = host
        self._placement.add(id_)
        task = asyncio.create_task(self._until_ready(host), name=f"ray host {id_} begins")
        self._beginnings.add(task)
        task.add_done_callback(self._beginnings.discard)

    async def _until_ready(self, host: HostRef) -> None:
        """Wait for a host's process; give it up if there is no room for it."""
        answer = asyncio.ensure_future(asyncio.wrap_future(host.actor.begin.remote().future()))
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not (await asyncio.wait([answer], timeout=POLL_S))[0]:
                    if len(self._placement.hosts) > self._needs.room(await self._cluster.nodes()):
                        return await self._give_up(host, "its node went down before it had begun")
            self._check(answer.result())
            host.is_ready.set()
        except TimeoutError:
            await self._give_up(host, f"Ray had no room for it in {READY_TIMEOUT_S:g} s; does somebody else take the cluster?")
        except RayError as error:
            self._lose(host, _why(error))
        finally:
            answer.cancel()

    def _check(self, there: str) -> None:
        if there != (here := installed_version("fedactors")):
            said = f"a node of the Ray cluster has fedactors {there}, and this process has {here}"
            self.fail(ConfigError(f"{said}: install the same on all nodes"))

    async def _give_up(self, host: HostRef, why: str) -> None:
        await self._end(host)
        self._lose(host, why)
        self._room = len(self._placement.hosts)
        if not self._placement.hosts:
            self._failed(f"no Ray host could begin: {why}")

    def _lose(self, host: HostRef, why: str) -> None:
        """A host is gone: whoever was there is placed anew; what the learners kept there is gone with it."""
        if host.why_lost is not None:
            return
        host.why_lost = why
        host.is_ready.set()
        del self._refs[host.id]
        homeless = self._placement.lose(host.id)
        self._room = None
        log.warning("host_lost", host=host.id, learners=len(homeless), why=why, state="of these learners is lost")

    async def _end(self, host: HostRef) -> None:
        with suppress(RayError, ValueError):  # it may be gone by itself
            await self._cluster.call(partial(ray.kill, host.actor))


def _why(error: Exception) -> str:
    """Ray's story of an error in one line, without its tables and its guesses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith(("\t", "  "))]
    story, _, _ = " ".join(lines).partition(" Some common causes")
    return story[:WHY_CHARS_MAX] or type(error).__name__
