"""What is asked of the actor of a shard.

Aggregator ──CombineShard, GetShardState──▶ ShardActor, one for each shard of the model
"""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.aggregation import FoldState
from fedactors.aggregation.sharded import Waiting
from fedactors.model import Buffer, Version
from fedactors.runtime import Request


@dataclass(frozen=True, slots=True)
class CombineShard(Request[None]):
    """Make a shard of the next version. Rejected, with the reason, where the updates cannot be combined.

    Attributes:
        updates: of the round, in the order that they are combined in.
        current: uint8[shard.nbytes], of the newest version.
        version: of `current`.
        out: uint8[shard.nbytes], to be written; the shard's alone until it has answered.
    """

    updates: tuple[Waiting, ...]
    current: Buffer
    version: Version
    out: Buffer


@dataclass(frozen=True, slots=True)
class GetShardState(Request[FoldState]):
    """What the rule keeps of this shard from round to round."""


ToShard = CombineShard | GetShardState
