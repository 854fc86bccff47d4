"""Where a federation stands, as drivers and operators are told: its status. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedactors.actors.blueprint import Blueprint
from fedactors.actors.life import Life
from fedactors.model import LearnerId
from fedactors.transport import Address


def standing(plan: Blueprint, life: Life, learners: Iterable[LearnerId], addresses: Iterable[Address]) -> dict[str, Any]:
    """What is told of a federation, ready for the wire.

    Args:
        plan: what it is built from.
        life: how far it is.
        learners: who is here.
        addresses: where its gateway listens.
    """
    return {
        "name": plan.name,
        "seed": plan.training.seed,
        "phase": str(life.phase),
        "paused": life.paused,
        "round": life.next_round,
        "rounds_total": life.conditions.rounds,
        "evaluate_every": plan.training.evaluate_every,
        "version": life.version,
        "num_parameters": 0 if life.layout is None else plan.aggregation.scope.num_parameters(life.layout),
        "learners": sorted(learners),
        "min_learners": plan.training.min_learners,
        "addresses": [str(address) for address in addresses],
        "first_event": life.forgotten,
        "next_event": life.next_number,
        "stop_reason": life.stop_reason,
        "failed": life.failed,
    }
