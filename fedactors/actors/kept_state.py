"""What an aggregation rule keeps from round to round, kept with each version, so that it outlives the aggregator."""

from __future__ import annotations

import json
from collections.abc import Container

import numpy as np

from fedactors.actors.compute import Compute
from fedactors.actors.messages import ForgetRuleStates, GetRuleStates, PutModel, ToModelStore
from fedactors.aggregation import Fold, FoldState, Rule
from fedactors.aggregation.state import STATELESS
from fedactors.errors import ModelError
from fedactors.log import get_logger
from fedactors.model import Array, Buffer, GlobalModel, Layout, LearnerId, Version, Weights
from fedactors.runtime import ActorRef
from fedactors.storage.entries import RuleState

log = get_logger("fedactors.aggregator")

LEARNERS = "learners"
"""The name of the array that holds their ids, as JSON."""


class KeptState:
    """A rule's state in the model store, whichever that is: neither a failed aggregator nor a resumed run goes on without it.

    A commit costs a copy of the state's arrays, a put of it, and a put of each update that is new in it; a memory store takes
    all of them as they are. Of a rule that keeps nothing, nothing is put.
    """

    def __init__(self, store: ActorRef[ToModelStore], compute: Compute) -> None:
        self._store = store
        self._compute = compute
        self._there: dict[LearnerId | None, Buffer] = {}
        self._last = STATELESS

    async def keep(self, state: FoldState, version: Version) -> None:
        """Keep the state as it is with this version, which is about to be kept."""
        self._last = state
        if arrays := _arrays(state):
            layout = Layout.of(arrays)
            buffer = await self._compute.run(2 * layout.nbytes, layout.pack, arrays)
            await self._put(RuleState(None, version, layout, buffer))
        for learner, update in state.updates.items():
            if self._there.get(learner) is not update:
                await self._put(RuleState(learner, version, _layout_of(update), update))

    async def _put(self, state: RuleState) -> None:
        state.buffer.flags.writeable = False
        await self._store.ask(PutModel(state))
        self._there[state.learner] = state.buffer

    def committed(self) -> None:
        """The version is kept: nobody will ask for what is not in the state any more that was kept with it."""
        kept = {*self._last.updates, *([None] if _arrays(self._last) else [])}
        if gone := tuple(learner for learner in self._there if learner not in kept):
            self._store.tell(ForgetRuleStates(gone))
        for learner in gone:
            del self._there[learner]

    async def restored(self, rule: Rule, model: GlobalModel, here: Container[LearnerId]) -> Fold:
        """The rule at work from this version on, the newest; learners that are not here have left meanwhile."""
        state = await self._found(model.version)
        fold = rule.fold(model.layout)
        if model.version == 0:
            return fold  # nothing was combined yet
        try:
            fold.restore(state)
        except ModelError as error:
            log.warning("rule_begins_anew", version=model.version, why=str(error))
            return rule.fold(model.layout)
        for learner in state.learners:
            if learner not in here:
                fold.forget(learner)
        return fold

    async def _found(self, version: Version) -> FoldState:
        states = await self._store.ask(GetRuleStates(version))
        self._there = {state.learner: state.buffer for state in states}
        arrays: dict[str, Array] = {}
        for state in states:
            if state.learner is None and state.version == version:
                arrays = state.layout.views(state.buffer)
        learners = arrays.pop(LEARNERS, None)
        updates = {learner: buffer for learner, buffer in self._there.items() if learner is not None}
        return FoldState(arrays, () if learners is None else tuple(json.loads(learners.tobytes())), updates)


def _arrays(state: FoldState) -> Weights:
    """What is kept but for updates, as one model."""
    assert LEARNERS not in state.arrays, f"no rule may name an array {LEARNERS!r}"
    if not state.learners:
        return state.arrays
    return {**state.arrays, LEARNERS: np.frombuffer(json.dumps(state.learners).encode(), np.uint8)}


def _layout_of(update: Buffer) -> Layout:
    """An update as bytes: the rule that kept it knows its layout."""
    return Layout.from_specs([("update", "uint8", update.shape)])
