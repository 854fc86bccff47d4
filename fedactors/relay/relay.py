"""The two sides of a relay in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from fedactors import config as configuration
from fedactors.access.audit import Audit
from fedactors.actors.controller import Controller
from fedactors.actors.messages import EventsFrom
from fedactors.actors.relay_controller import RelayController
from fedactors.actors.relay_messages import Children, GetChildren, ToRelayController
from fedactors.actors.watchers import EVENTS_PER_ANSWER_MAX
from fedactors.config import Config
from fedactors.config.differential import local as local_privacy
from fedactors.errors import ActorStopped
from fedactors.learner import LearnerClient, Patience
from fedactors.learner.answers import Declared
from fedactors.learner.desk import Fetch
from fedactors.learner.spool import Spool
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.record import EventKind
from fedactors.relay.desk import RelayDesk
from fedactors.relay.terms import relayed
from fedactors.runtime import ActorRef
from fedactors.system import Federation, as_config
from fedactors.transport import Channel

log = get_logger("fedactors.relay")

PATIENCE = Patience()
ASK_AGAIN_S = 0.5


class Relay(Federation):
    """A federation of children, led by a parent, to which it is one learner.

        async with Relay(config, addresses=["grpc://127.0.0.1:4451"]) as relay:
            await relay.serve(channel_to_the_parent, "relay-0")

    Children join it as they would join the controller, also from this process by `add_learner`. It keeps nothing that must
    outlive it: its versions are the parent's, and a round that it does not finish is one that a learner did not finish.
    """

    controller: ClassVar[type[Controller]] = RelayController

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | Path,
        *,
        addresses: Sequence[str] | None = None,
        audit: Audit | None = None,
    ) -> None:
        """Build it; nothing runs yet.

        Args:
            config: the federation's; what its controller decides is taken from there, see `relayed`.
            addresses: where to listen for children; by default at the configured address if there is one.
            audit: where it is written who did what, besides the log; it stays the caller's.

        Raises:
            ConfigError: the configuration is wrong, cannot be kept to with a relay, or would have it listen where it should not.
        """
        whole = as_config(config)
        super().__init__(relayed(whole), addresses=addresses, audit=audit)
        self._scope = configuration.scope(whole)
        self._client: LearnerClient | None = None
        self._leaving = asyncio.Event()

    async def serve(
        self,
        parent: Channel,
        id: LearnerId,  # noqa: A002  # the word that users know
        *,
        patience: Patience = PATIENCE,
        spool: Spool | None = None,
    ) -> None:
        """Take part in the parent's federation until that is over, and tell the children so; or until `leave`.

        It joins once as many children are here as the configuration has as `learners.min`; at once where it has a session to go
        on with, which is lost if it comes back too late.

        Args:
            parent: the way to it; stays the caller's.
            id: this relay's identity there.
            patience: before it gives the parent up.
            spool: keeps the session for this relay's next process.

        Raises:
            AccessDenied, ConfigError, JoinRefused, Unreachable: as `LearnerClient.run`.
            FederationFailed: the actors failed too often.
        """
        children = cast("ActorRef[ToRelayController]", self._controller)  # a relay's takes more than others do
        ending = asyncio.create_task(self._leave_at_the_end(children), name=f"{id} is stopped")
        try:
            await self._take_part(children, parent, id, patience, spool)
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
        if not self._leaving.is_set():
            await self.close("the parent's federation is over")

    async def _take_part(
        self,
        children: ActorRef[ToRelayController],
        parent: Channel,
        id: LearnerId,  # noqa: A002  # as above
        patience: Patience,
        spool: Spool | None,
    ) -> None:
        declared = await self.unless_failed(self._declared(children, spool))
        if declared is None:
            return

        def desk(fetch: Fetch) -> RelayDesk:
            return RelayDesk(children, self._scope, local_privacy(self.config), fetch)

        forms = configuration.known_forms()
        self._client = LearnerClient(
            declared, id, parent, federation=self.config.name, patience=patience, spool=spool, forms=forms, desk=desk
        )
        if not self._leaving.is_set():
            await self.unless_failed(self._client.run())

    async def _leave_at_the_end(self, children: ActorRef[ToRelayController]) -> None:
        """An operator may stop this relay, which then has nothing to give to its parent any more."""
        number, kind = 0, None
        while kind is not EventKind.FINISHED:
            try:
                news = await children.ask(EventsFrom(number, at_least=EVENTS_PER_ANSWER_MAX))
                number, kind = news[-1].number + 1, news[-1].kind
            except ActorStopped:
                await asyncio.sleep(ASK_AGAIN_S)  # it is being restarted
        await self.leave()

    async def leave(self) -> None:
        """Say goodbye to the parent; `serve` then returns. The children are to come back, or to go elsewhere."""
        self._leaving.set()
        if self._client is not None:
            await self._client.leave()

    async def _declared(self, children: ActorRef[ToRelayController], spool: Spool | None) -> Declared | None:
        """What is said to the parent of the children, or was said in the session that is gone on with; None: as below."""
        if spool is not None and (before := spool.declared) is not None:
            return before
        if (here := await self._until_here(children)) is None:
            return None
        declared = Declared(here.num_train_examples, here.num_test_examples, here.tags)
        if spool is not None:
            spool.declare(declared)
        return declared

    async def _until_here(self, children: ActorRef[ToRelayController]) -> Children | None:
        """Who is here once they are enough; None if this relay is to leave before."""
        least = self.config.learners.min
        log.info("waiting_for_children", at_least=least)
        here, leaving = children.ask(GetChildren(least)), asyncio.create_task(self._leaving.wait())
        either: set[asyncio.Future[Any]] = {here, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return here.result() if here.done() else None
        finally:
            here.cancel()
            leaving.cancel()
