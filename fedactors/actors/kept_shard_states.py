"""What a rule keeps of each shard from round to round, kept with each version, one shard at a time."""

from __future__ import annotations

from collections.abc import Sequence

from fedactors.actors.compute import Compute
from fedactors.actors.messages import GetRuleStates, PutModel, ToModelStore
from fedactors.aggregation import FoldState
from fedactors.aggregation.sharded import Shard
from fedactors.aggregation.state import STATELESS
from fedactors.model import Layout, Version
from fedactors.runtime import ActorRef
from fedactors.storage.entries import RuleState


class KeptShardStates:
    """As `KeptState`, of a model in shards: a put of each shard's arrays, so that no more than a copy of one is in memory."""

    def __init__(self, store: ActorRef[ToModelStore], compute: Compute) -> None:
        self._store = store
        self._compute = compute

    async def keep(self, shard: Shard, shards: int, state: FoldState, version: Version) -> None:
        """Keep the state of one of so many shards with this version, which is about to be kept."""
        assert not state.learners, "a rule that is elementwise keeps nothing of learners"
        assert not state.updates, "a rule that is elementwise keeps no updates"
        if state.arrays:
            layout = Layout.of(state.arrays)
            buffer = await self._compute.run(2 * layout.nbytes, layout.pack, state.arrays)
            buffer.flags.writeable = False
            await self._store.ask(PutModel(RuleState(_owner(shard, shards), version, layout, buffer)))

    async def found(self, shards: Sequence[Shard], version: Version) -> list[FoldState]:
        """What was kept of each shard with this version, the newest."""
        states = await self._store.ask(GetRuleStates(version))
        kept = {state.learner: state.layout.views(state.buffer) for state in states if state.version == version}
        names = [_owner(shard, len(shards)) for shard in shards]
        return [FoldState(kept[name]) if name in kept else STATELESS for name in names]


def _owner(shard: Shard, shards: int) -> str:
    """Under whom a shard's state is kept: whoever counts other shards finds none of these."""
    return f"shard {shard.number} of {shards}"
