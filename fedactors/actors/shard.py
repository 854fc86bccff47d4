"""The actor that combines one shard of the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fedactors.actors.compute import Compute
from fedactors.actors.shard_messages import CombineShard, GetShardState, ToShard
from fedactors.aggregation import FoldState, Rule
from fedactors.aggregation.sharded import Shard, ShardFold
from fedactors.errors import ModelError, Rejected
from fedactors.runtime import Actor, handle


class ShardActor(Actor[ToShard]):
    """Owns a rule at work on a shard. Child of the aggregator, which fails with it: its state is with the last version."""

    def __init__(self, rule: Rule, shard: Shard, state: FoldState, compute: Compute) -> None:
        """Go on where a fold of this rule on this shard went on that gave this state."""
        self._fold = ShardFold(rule, shard, state)
        self._compute = compute

    @handle
    async def combine(self, message: CombineShard) -> None:
        """Write the shard of the next version."""
        nbytes = (2 + len(message.updates)) * self._fold.shard.nbytes
        combine = self._fold.combine
        try:
            await self._compute.run(nbytes, combine, message.updates, message.current, message.version, message.out)
        except ModelError as error:
            raise Rejected(str(error)) from error

    @handle
    def state(self, _: GetShardState) -> FoldState:
        """What the rule keeps."""
        return self._fold.state()


ShardMaker: TypeAlias = Callable[[Rule, Shard, FoldState, Compute], Actor[ToShard]]
"""Makes the actor of a shard: `ShardActor`, or one that has the shard combined elsewhere."""
