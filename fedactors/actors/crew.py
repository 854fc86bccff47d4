"""The actors below a controller, and the order in which they are started.

One that fails is restarted together with those behind it, so each comes behind those that it tells things: the model store,
masks, the aggregator, the scheduler, the gateway. There is an actor for masks only where updates are masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fedactors.actors.aggregator import Aggregator
from fedactors.actors.blueprint import Blueprint
from fedactors.actors.learner_proxy import Neighbours
from fedactors.actors.life import Life
from fedactors.actors.messages import ToAggregator, ToController, ToGateway, ToModelStore, ToScheduler
from fedactors.actors.model_store import ModelStore
from fedactors.actors.scheduler import Scheduler
from fedactors.actors.sharded_aggregator import ShardedAggregator
from fedactors.runtime import Actor, ActorRef


@dataclass(frozen=True, slots=True)
class Crew:
    """The actors that a controller tells things; it is their parent."""

    store: ActorRef[ToModelStore]
    aggregator: ActorRef[ToAggregator]
    scheduler: ActorRef[ToScheduler]
    gateway: ActorRef[ToGateway]


def engage(controller: Actor[ToController], plan: Blueprint, life: Life, aggregates: type[Aggregator]) -> Crew:
    """Start them as the controller's children.

    Args:
        controller: their parent, which they report to.
        plan: what they work by.
        life: what outlives them.
        aggregates: what combines a model that is not in shards.
    """
    is_sharded = plan.aggregation.shards > 1
    store = controller.spawn(partial(ModelStore, plan.storage, plan.chunk_bytes, is_lean=is_sharded), name="store")
    masks = None if plan.masks is None else controller.spawn(plan.masks, name="masks")
    kind = ShardedAggregator if is_sharded else aggregates
    aggregator = controller.spawn(
        partial(kind, plan.aggregation, store, controller.ref, plan.compute, life.journal, masks, plan.room), name="aggregator"
    )
    scheduler = controller.spawn(
        partial(Scheduler, plan.training, life.tasks, aggregator, controller.ref, life.journal, masks), name="scheduler"
    )
    neighbours = Neighbours(controller.ref, scheduler, aggregator, store, masks)
    return Crew(store, aggregator, scheduler, controller.spawn(partial(plan.gateway, neighbours), name="gateway"))
