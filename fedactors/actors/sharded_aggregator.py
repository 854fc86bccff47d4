"""The aggregator of a model in shards: updates wait outside of memory, and an actor for each shard combines them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from typing_extensions import override

from fedactors.actors.aggregator import AggregationPlan, Aggregator
from fedactors.actors.compute import Compute
from fedactors.actors.kept_shard_states import KeptShardStates
from fedactors.actors.messages import (
    CombineRound,
    DropRound,
    FoldUpdate,
    GetModel,
    Offer,
    ToController,
    ToMaskBroker,
    ToModelStore,
    Verdict,
)
from fedactors.actors.room import BOUNDLESS, Room
from fedactors.actors.shard_messages import CombineShard, GetShardState, ToShard
from fedactors.actors.spill import Held, Spill, Spills
from fedactors.actors.upload_slots import UploadSlots
from fedactors.aggregation import Contribution, FoldState, Ordered
from fedactors.aggregation.ordered import place
from fedactors.aggregation.sharded import NOWHERE, InMemory, Shard, Source, Waiting, cut
from fedactors.aggregation.state import STATELESS
from fedactors.errors import ModelError, Rejected
from fedactors.journal import Journal
from fedactors.model import Buffer, GlobalModel, Layout, Version
from fedactors.runtime import ActorRef, Restart, handle
from fedactors.task import Round


class ShardedAggregator(Aggregator):
    """Folds nothing before the commit: a round that dies midway leaves no trace.

    As many shards are in flight as there are threads to compute in; the others are not begun.

    Memory: the newest version, the one that is being made, a window of each upload, and of each shard that is being combined the
    accumulator and the stretch of one update, or of all of them where the rule keeps updates.
    """

    def __init__(
        self,
        plan: AggregationPlan,
        store: ActorRef[ToModelStore],
        controller: ActorRef[ToController],
        compute: Compute,
        journal: Journal,
        masks: ActorRef[ToMaskBroker] | None = None,
        room: Room = BOUNDLESS,
    ) -> None:
        super().__init__(replace(plan, buffers_kept=0), store, controller, compute, journal, masks, room)
        assert masks is None, "the sum of masked updates is one for the whole model"
        self._ordered = isinstance(plan.rule, Ordered)
        self._rule = plan.rule.rule if isinstance(plan.rule, Ordered) else plan.rule
        self._spills = Spills(plan.shards_dir, plan.shards, plan.uploads_max)
        self._slots = UploadSlots(plan.uploads_max, self._pool, room, self._spills)
        self._states = KeptShardStates(store, compute)
        self._shards: list[tuple[Shard, ActorRef[ToShard]]] = []
        self._waiting: list[Waiting] = []

    # -------------------------------------------------------------------------------------------------------------- the shards

    @override
    async def _restore(self, model: GlobalModel) -> None:
        shards = cut(model.layout, self._plan.shards)
        self._spawn(shards, await self._states.found(shards, model.version))

    @override
    def _begin(self, layout: Layout) -> None:
        shards = cut(layout, self._plan.shards)
        self._spawn(shards, [STATELESS] * len(shards))

    def _spawn(self, shards: Sequence[Shard], states: Sequence[FoldState]) -> None:
        """An actor for each shard. One that fails is not restarted by itself: whoever waits for its shard fails with it."""
        for shard, state in zip(shards, states, strict=True):
            actor = partial(self._plan.shard_maker, self._rule, shard, state, self._compute)
            self._shards.append((shard, self.spawn(actor, name=f"shard-{shard.number}", restart=Restart.TEMPORARY)))

    # ------------------------------------------------------------------------------------------------------------- the updates

    @handle
    @override
    async def fold(self, message: FoldUpdate) -> None:
        """Have an offered update wait for the commit."""
        offer, model = self._offers.pop(message.task), self._model
        assert model is not None, "updates are folded only once there is a model"
        if self._keeps_updates:
            await self._kept.keep(message, offer, model)
        self._waiting.append(self._waits(offer, message.staleness))
        if offer.borrowed:
            self._held.append(offer.buffer)
        if message.answer_to is not None:
            message.answer_to.tell(Verdict(message.task, None, ""))

    def _waits(self, offer: Offer, staleness: int) -> Waiting:
        base = InMemory(self._base(staleness)) if self._plan.rule.needs_base else None
        return Waiting(self._said(offer, staleness), _source(offer.buffer), base)

    def _said(self, offer: Offer, staleness: int) -> Contribution:
        discount = self._plan.discount.factor(staleness)
        factor = self._plan.weighting.factor(offer.report) * discount
        return Contribution(offer.learner, NOWHERE, factor, staleness, discount, offer.report)

    @override
    async def _recalled(self, buffer: Buffer) -> Held:
        spill = self._spills.take(buffer.nbytes)
        await self._compute.run(2 * buffer.nbytes, spill.fill, buffer)
        return spill

    @override
    def _give(self, held: Held) -> None:
        if isinstance(held, Spill):
            self._spills.give(held)
        else:
            super()._give(held)

    @handle
    @override
    def drop_round(self, _: DropRound) -> None:
        self._waiting.clear()
        self._kept.committed()
        self._release()

    @override
    def _release(self) -> None:
        self._spills.grow(len(self._held))
        super()._release()

    # -------------------------------------------------------------------------------------------------------------- the commit

    @override
    async def _combined(self, round_: Round, current: GlobalModel) -> Buffer:
        updates, self._waiting = self._waiting, []
        if self._ordered:
            updates.sort(key=lambda update: place(update.contribution))
        out, lanes = np.empty(current.buffer.nbytes, np.uint8), asyncio.Semaphore(self._compute.lanes)

        async def combined(shard: Shard, actor: ActorRef[ToShard]) -> None:
            async with lanes:
                await actor.ask(_part(shard, tuple(updates), current, out))

        asked = [combined(shard, actor) for shard, actor in self._shards]
        done = await asyncio.gather(*asked, return_exceptions=True)  # all of them: until then, `out` is being written to
        for failure in done:
            if isinstance(failure, Rejected):
                raise ModelError(str(failure)) from failure  # each shard says the same
            if isinstance(failure, BaseException):
                raise failure
        return out

    @override
    async def _keep_state(self, version: Version) -> None:
        for shard, actor in self._shards:
            await self._states.keep(shard, len(self._shards), await actor.ask(GetShardState()), version)

    @override
    async def _commit(self, model: GlobalModel, asked: CombineRound) -> Version:
        version = await super()._commit(model, asked)
        for older in self._bases.keys() - {version}:
            await self._let_go_of_base(older)
        return version

    async def _let_go_of_base(self, version: Version) -> None:
        """What learners still train from is where the model store has it: on a disk, it takes no memory until it is read."""
        try:
            self._bases[version] = (await self._store.ask(GetModel(version))).buffer
        except Rejected:
            return  # it made room there; it is still needed here


def _part(shard: Shard, updates: tuple[Waiting, ...], current: GlobalModel, out: Buffer) -> CombineShard:
    at = slice(shard.start, shard.stop)
    return CombineShard(updates, current.buffer[at], current.version, out[at])


def _source(held: Held) -> Source:
    return held if isinstance(held, Spill) else InMemory(held)
