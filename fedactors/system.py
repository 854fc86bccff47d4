"""A federation, built from its configuration: the embedding API.

    async with Federation(config) as federation:
        for hospital in hospitals:
            await federation.add_learner(hospital)
        results = await federation.run()

It takes no signal, changes no global state and leaves nothing behind; several can live in one event loop.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from fedactors import config as configuration
from fedactors.access.audit import Audit
from fedactors.actors.blueprint import Blueprint
from fedactors.actors.compute import Compute
from fedactors.actors.controller import Controller
from fedactors.actors.gateway import Gateway, Place
from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.life import Life
from fedactors.actors.messages import GetAddresses, Publish
from fedactors.actors.resumption import resume
from fedactors.config import Config
from fedactors.config.planning import blueprint, session_terms, upload_policy
from fedactors.errors import ConfigError, ExtraMissing, FederationFailed, StoreError, TransportError
from fedactors.journal import FileJournal, Journal, NoJournal
from fedactors.learner import LearnerClient, LearnerContext, build_learner
from fedactors.log import get_logger
from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.privacy.sealing import Key
from fedactors.protocol import AdminClient, Verb
from fedactors.protocol.admin import NEWEST
from fedactors.record import Event, EventKind, FinalModel, History, Results
from fedactors.runtime import ActorSystem, Restart
from fedactors.runtime.trace import SystemStatistics
from fedactors.sharing import Sharing, own_share
from fedactors.storage import Home, Storage
from fedactors.transport import Address

if TYPE_CHECKING:
    from fedactors.ray.learners import RayLearners

log = get_logger("fedactors.system")

T = TypeVar("T")


class Federation:
    """One federation: its controller, and the learners that live in this process.

    Attributes:
        config: as it runs.
        addresses: where learners of other processes connect; set once it is entered.
        admin: the conversation that drivers and operators have with it; set once it is entered.
    """

    controller: ClassVar[type[Controller]] = Controller
    """What leads it; a relay is led by its parent."""

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | Path,
        *,
        addresses: Sequence[str] | None = None,
        journal: Journal | None = None,
        audit: Audit | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        """Build it; nothing runs yet.

        Args:
            config: a configuration, its tables as a mapping, or the path of its file.
            addresses: where to listen for learners of other processes; by default at the configured address if there is one.
            journal: where it is written what must outlive this process; one that was kept by another process before is gone on
                with. Without one, nothing is.
            audit: where it is written who did what, besides the log; it stays the caller's.
            sharing: threads and memory that it has in common with others of this process; without one it has its own.

        Raises:
            ConfigError: the configuration is wrong, or would have it listen where it should not.
        """
        self.config = as_config(config)
        if self.config.dp.noise_seed is not None:
            log.warning("noise_is_known", key="dp.noise_seed", why="whoever knows it takes the noise away; it is for tests alone")
        configured = [] if self.config.controller.address is None else [self.config.controller.address]
        self._listen_at = configured if addresses is None else list(addresses)
        for place in self._listen_at:
            for _, problem in configuration.problems_at(self.config, place, listens=True):
                raise ConfigError(problem)
        self._journal = NoJournal() if journal is None else journal
        self._audit = Audit() if audit is None else audit
        self._sharing = sharing
        self._inside = Address("memory", f"{self.config.name}-{secrets.token_hex(4)}")
        self._exits = AsyncExitStack()
        self._learners: dict[LearnerId, asyncio.Task[None]] = {}
        self._ray: RayLearners | None = None
        self.addresses: tuple[Address, ...] = ()
        self.admin: AdminClient

    async def __aenter__(self) -> Self:
        """Start the controller and listen.

        Raises:
            AddressError: an address cannot be listened at.
            ConfigError: the list of tokens is needed, and cannot be read.
            StoreError: the model store cannot be opened, or holds versions of a former run.
            Unreachable: there is no Ray where [ray] says.
        """
        async with AsyncExitStack() as exits:
            if self.config.runtime.engine == "ray":
                self._ray = await exits.enter_async_context(_on_ray(self.config))
            share = exits.enter_context(own_share() if self._sharing is None else self._sharing.share())
            compute = Compute(share.threads)
            plan = blueprint(self.config, self._gateway(compute), compute, share.room)
            if self._ray is not None:
                plan = _combined_on_ray(plan)
            exits.push_async_callback(plan.storage.close)
            life = await self._life(plan.storage)
            self._system = await exits.enter_async_context(ActorSystem(name=self.config.name, seed=self.config.seed))
            controller = partial(self.controller, plan, life)
            self._controller = self._system.spawn(controller, name="controller", restart=Restart.TRANSIENT)
            self._system.on_failure = self._actor_failed
            listening = await self._controller.ask(GetAddresses())
            self.addresses = tuple(address for address in listening if address != self._inside)
            self._channel = configuration.build_transport("memory").connect(self._inside)
            exits.push_async_callback(self._channel.close)
            exits.push_async_callback(self._end_learners)
            self.admin = AdminClient(self._channel)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the learners of this process, then the actors; learners of other processes are told goodbye."""
        await self._exits.aclose()

    async def _life(self, storage: Storage) -> Life:
        """The federation's life, from its beginning or from where another process left it; the store is open then."""
        conditions, journal = configuration.stop_conditions(self.config), self._journal
        if isinstance(journal, FileJournal) and journal.story.lives > 1:
            await storage.open(Home(self.config.name, self.config.base_dir))
            return await resume(conditions, storage, journal, time.time())
        await open_storage(storage, self.config)
        return Life(conditions, journal)

    def _gateway(self, compute: Compute) -> Callable[[Neighbours], Gateway]:
        config = self.config
        addresses = (self._inside, *map(Address.parse, self._listen_at))
        transports = {one.scheme: configuration.listening_transport(config, one.scheme) for one in addresses}
        return partial(
            Gateway,
            places=[Place(transports[address.scheme], address) for address in addresses],
            terms=session_terms(config),
            policy=upload_policy(config),
            compute=compute,
            journal=self._journal,
            guard=configuration.build_guard(config, self._audit),
        )

    def _actor_failed(self, path: str, error: BaseException, decision: object) -> None:
        log.warning("actor_failed", actor=path, error=repr(error), decision=str(decision))
        self._controller.tell(Publish(EventKind.ACTOR_FAILED, {"actor": path, "why": repr(error)}))

    # ---------------------------------------------------------------------------------------------------------------- learners

    def add_learner(
        self,
        learner: Any,
        *,
        id: LearnerId | None = None,  # noqa: A002  # the word that users know
        key: Key | None = None,
    ) -> LearnerId:
        """Have a learner take part in this process, its code in a thread of its own; or on Ray, where the configuration says so.

        Args:
            learner: an object with a learner's four methods, or an entry: a class or function that makes one of a context.
            id: its identity; by default "learner-0", "learner-1", ...
            key: where the federation seals its models: what opens and closes them, which is in this process then.

        Returns:
            Its identity.

        Raises:
            ConfigError: it is to work on Ray, and cannot be pickled.
            LearnerFailed: the entry did not make a learner; on Ray, `run` and `events` raise that.
        """
        index = len(self._learners)
        name = f"learner-{index}" if id is None else id
        config = self.config
        context = LearnerContext(name, index, max(config.learners.count, index + 1), config.seed, config.learners.options)
        self._learners[name] = asyncio.create_task(self._taking_part(learner, context, key), name=name)
        return name

    def _taking_part(self, learner: Any, context: LearnerContext, key: Key | None) -> Coroutine[Any, Any, None]:
        if self._ray is not None:
            return self._ray.taking_part(learner, context, self._channel, key)
        made, forms = build_learner(learner, context), configuration.known_forms()
        return LearnerClient(made, context.id, self._channel, federation=self.config.name, forms=forms, key=key).run()

    async def _end_learners(self) -> None:
        for task in self._learners.values():
            task.cancel()
        for name, outcome in zip(
            self._learners, await asyncio.gather(*self._learners.values(), return_exceptions=True), strict=True
        ):
            if isinstance(outcome, Exception):
                log.warning("learner_ended", learner=name, error=str(outcome))

    # -------------------------------------------------------------------------------------------------------------------- runs

    async def run(self) -> Results:
        """Train until a stop condition is met.

        Returns:
            What happened; the final model is `await federation.model()`.

        Raises:
            FederationFailed: it could not go on; the message says why.
        """
        history = History()
        await self.admin.order(Verb.START)
        async for event in self.events():
            history.take(event)
        if history.failed:
            raise FederationFailed(history.stop_reason)
        model = await self.model()
        final = FinalModel(model.version, history.metrics, None, model.sha256)
        return history.results(self.config.name, self.config.seed, final)

    async def events(self, from_number: int = 0) -> AsyncIterator[Event]:
        """What happens, from an event's number on, until the federation is done.

        Raises:
            FederationFailed: the actors failed too often.
        """
        watch = self.admin.follow(from_number)
        while True:
            try:
                news = await self.unless_failed(anext(watch, None))
            except TransportError as error:
                raise FederationFailed(f"the controller is gone: {error}") from error
            if news is None:
                return
            for event in news:
                yield event

    async def model(self, version: Version | None = None) -> GlobalModel:
        """A version of the global model; the newest by default.

        Raises:
            NoSuchModel: it never was, or was evicted.
        """
        model = GlobalModel(*await self.admin.download(NEWEST if version is None else version))
        return configuration.scope(self.config).visible(model)

    def statistics(self) -> SystemStatistics:
        """What the actors have done so far: messages, mailboxes, times, failures. For monitoring."""
        return self._system.statistics()

    async def closed(self) -> None:
        """Wait until the controller has gone down: an operator closed it, or it was done and nobody came for the results."""
        await self.unless_failed(self._controller.join())

    async def stop(self, why: str = "stopped by the application") -> None:
        """Combine what the open round has, evaluate, and end; `run` and `events` then return."""
        await self.admin.order(Verb.STOP, why)

    async def close(self, why: str = "closed by the application") -> None:
        """As `stop`, and go down when that is done: nobody will come for the results."""
        await self.stop(why)
        async for _ in self.events():
            pass
        await self.admin.order(Verb.CLOSE, why)

    async def unless_failed(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, unless the actors fail for good before it is there.

        Raises:
            FederationFailed: they did; the work is cancelled.
            LearnerFailed: a learner could not be made on Ray.
        """

        async def failure() -> Exception:
            return FederationFailed(f"the controller failed too often: {await self._system.wait_failed()!r}")

        return await unless(failure(), work if self._ray is None else unless(self._ray.failure(), work))


def as_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """A configuration, from its tables as a mapping or from its file.

    Raises:
        ConfigError: it is wrong.
    """
    if isinstance(config, Config):
        return config
    return configuration.from_mapping(config) if isinstance(config, Mapping) else configuration.read(Path(config))


def _on_ray(config: Config) -> AbstractAsyncContextManager[RayLearners]:
    try:
        from fedactors.ray.learners import on_ray
    except ModuleNotFoundError as error:
        raise ExtraMissing("runtime.engine = 'ray'", "ray", "ray") from error
    return on_ray(config)


def _combined_on_ray(plan: Blueprint) -> Blueprint:
    from fedactors.ray.shards import RayShard

    return replace(plan, aggregation=replace(plan.aggregation, shard_maker=RayShard))


async def unless(failure: Coroutine[Any, Any, Exception], work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, unless `failure` returns first: then what it returned is raised. Neither outlives the call."""
    working, failing = asyncio.ensure_future(work), asyncio.ensure_future(failure)
    try:
        await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise failing.result()
        return working.result()
    finally:
        working.cancel()
        failing.cancel()
        await asyncio.gather(working, failing, return_exceptions=True)


async def open_storage(storage: Storage, config: Config, *, threaded: bool = True) -> None:
    """Open a federation's model store for a new run.

    Raises:
        StoreError: it cannot be opened, or holds versions of a former run, which this one must not mix with its own.
    """
    await storage.open(Home(config.name, config.base_dir, threaded))
    versions = await storage.versions()
    if versions:
        await storage.close()
        held = f"versions {versions[0]} to {versions[-1]}" if len(versions) > 1 else f"version {versions[0]}"
        raise StoreError(f"the model store {config.store.url} holds {held} of a former run; name an empty one, or remove that")
