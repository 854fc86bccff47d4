"""Shards of the model on Ray: an actor of the cluster holds a rule at work on its shard, and what the rule keeps of it.

    Aggregator ── CombineShard ──▶ RayShard ══ ray.put: the stretches of the version and of the updates ══▶ RemoteShard
               ◀── it is written ──          ◀════════════════ the stretch of the next version ═════════════

Updates wait in the controller's files until their round is combined; of a shard in flight, the stretches are in Ray's object
store, which puts on disk by itself what it has no room for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import ray
from typing_extensions import override

from fedactors.actors.compute import Compute
from fedactors.actors.shard_messages import CombineShard, GetShardState, ToShard
from fedactors.aggregation import Contribution, FoldState, Rule
from fedactors.aggregation.sharded import InMemory, Shard, ShardFold, Waiting, read
from fedactors.errors import ModelError, Rejected
from fedactors.model import Array, Buffer, Version
from fedactors.ray.cluster import Cluster
from fedactors.runtime import Actor, handle


class RayShard(Actor[ToShard]):
    """Stands for a shard on the cluster. One that dies there fails here, and the aggregator begins anew from the last version."""

    def __init__(self, rule: Rule, shard: Shard, state: FoldState, compute: Compute) -> None:
        self._shard = shard
        self._make = partial(_made, rule, shard, dict(state.arrays))
        self._cluster = Cluster()  # the federation holds the connection
        self._compute = compute
        self._remote: Any = None

    @override
    async def started(self) -> None:
        self._remote = await self._cluster.call(self._make)

    @override
    async def stopped(self, reason: BaseException | None) -> None:
        if self._remote is not None:
            await self._cluster.call(partial(ray.kill, self._remote))

    @handle
    async def combine(self, message: CombineShard) -> None:
        """Write the shard of the next version."""
        current = await self._put(message.current)
        weights = [await self._stretch(update) for update in message.updates]
        bases = [current if update.base is None else await self._base(update, message, current) for update in message.updates]
        said = [update.contribution for update in message.updates]
        made = await self._remote.combine.remote(said, message.version, current, *weights, *bases)
        if isinstance(made, str):
            raise Rejected(made)
        await self._compute.run(made.nbytes, np.copyto, message.out, made)

    async def _stretch(self, update: Waiting) -> Any:
        buffer = await self._compute.run(self._shard.nbytes, read, update.weights, self._shard, _new)
        return await self._put(buffer)

    async def _base(self, update: Waiting, message: CombineShard, current: Any) -> Any:
        """The reference of what training started from: mostly that of the newest version, which is there already."""
        assert update.base is not None, "asked for where there is one"
        buffer = read(update.base, self._shard, _new)
        return current if _is_same(buffer, message.current) else await self._put(buffer)

    async def _put(self, buffer: Buffer) -> Any:
        return await self._cluster.call(partial(ray.put, buffer))

    @handle
    async def state(self, _: GetShardState) -> FoldState:
        """What the rule keeps."""
        return FoldState(await self._remote.state.remote())


class RemoteShard:
    """On the cluster: the rule at work."""

    def __init__(self, rule: Rule, shard: Shard, arrays: dict[str, Array]) -> None:
        alone = replace(shard, start=0, stop=shard.nbytes)  # nothing else of any buffer is here
        self._fold = ShardFold(rule, alone, FoldState(arrays))
        self._needs_base = rule.needs_base

    def combine(self, said: Sequence[Contribution], version: Version, current: Buffer, *stretches: Buffer) -> Buffer | str:
        """The shard of the next version; why there is none, where the updates cannot be combined.

        Args:
            said: all of each update but its weights.
            version: of `current`.
            current: uint8[shard.nbytes].
            stretches: of each update, then of what each was trained from.
        """
        weights, bases = stretches[: len(said)], stretches[len(said) :]
        updates = [
            Waiting(one, InMemory(weight), InMemory(base) if self._needs_base else None)
            for one, weight, base in zip(said, weights, bases, strict=True)
        ]
        out = np.empty(current.nbytes, np.uint8)
        try:
            self._fold.combine(updates, current, version, out)
        except ModelError as error:
            return str(error)
        return out

    def state(self) -> dict[str, Array]:
        """What the rule keeps."""
        return dict(self._fold.state().arrays)


def _made(rule: Rule, shard: Shard, arrays: dict[str, Array]) -> Any:
    """An actor of Ray; it takes no CPU from learners, and shards are spread over the nodes."""
    return ray.remote(RemoteShard).options(num_cpus=0, scheduling_strategy="SPREAD").remote(rule, shard, arrays)


def _is_same(one: Buffer, other: Buffer) -> bool:
    return one.ctypes.data == other.ctypes.data


def _new(nbytes: int) -> Buffer:
    return np.empty(nbytes, np.uint8)
