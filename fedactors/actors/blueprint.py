"""Everything that a federation is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedactors.actors.aggregator import AggregationPlan
from fedactors.actors.compute import Compute
from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.messages import ToGateway, ToMaskBroker
from fedactors.actors.room import BOUNDLESS, Room
from fedactors.actors.training_plan import TrainingPlan
from fedactors.protocol import CHUNK_BYTES
from fedactors.runtime import Actor
from fedactors.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Everything a federation is built from.

    Attributes:
        name: the federation's.
        storage: where models live.
        aggregation: how updates are combined.
        training: what is scheduled.
        gateway: makes the actor through which learners come, from those whom their proxies talk to.
        compute: where heavy arithmetic runs.
        chunk_bytes: of weights in one frame.
        return_s: how long a round waits for learners that were here before a restart, seconds.
        join_timeout_s: how long a federation with too few learners waits for more, and a resumed one for those it had, seconds.
        describes: the model store is told where each version came from, and how good it is.
        linger_s: how long a federation that is done stays up for a driver to fetch its results, seconds.
        masks: makes the actor by which learners agree on masks; None: updates are not masked.
        room: memory to receive models into.
    """

    name: str
    storage: Storage
    aggregation: AggregationPlan
    training: TrainingPlan
    gateway: Callable[[Neighbours], Actor[ToGateway]]
    compute: Compute
    chunk_bytes: int = CHUNK_BYTES
    return_s: float = 5.0
    join_timeout_s: float = 60.0
    describes: bool = True
    linger_s: float = 600.0
    masks: Callable[[], Actor[ToMaskBroker]] | None = None
    room: Room = BOUNDLESS
