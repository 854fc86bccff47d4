"""A relay's aggregator: versions come from its parent, and what it combines goes there."""

from __future__ import annotations

from typing import Any, cast

from typing_extensions import override

from fedactors.actors.aggregator import Aggregator
from fedactors.actors.messages import CombineRound, DropRound, Offer
from fedactors.actors.relay_messages import Adopt, Summed
from fedactors.aggregation import Contribution
from fedactors.aggregation.stand_in import Weighed, stand_in
from fedactors.model import GlobalModel, Version
from fedactors.runtime import ActorRef, handle


class RelayAggregator(Aggregator):
    """Makes no version: the mean of a round, and the report that stands for its updates, are handed over."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._weighed: list[Weighed] = []

    @handle
    def adopt(self, message: Adopt) -> None:
        """The parent's version, which the model store has by now, takes the place of whatever there was."""
        if self._fold is None or self._model is None or self._model.layout.digest != message.model.layout.digest:
            self._fold = self._plan.rule.fold(message.model.layout)
        self._begin_anew()
        self._bases.clear()
        self._move_on(message.model)

    def _begin_anew(self) -> None:
        self._weighed.clear()
        self._folding().abandon()
        self._release()

    @handle
    @override
    def drop_round(self, _: DropRound) -> None:
        self._begin_anew()

    @override
    def _contribution(self, offer: Offer, staleness: int) -> Contribution:
        contribution = super()._contribution(offer, staleness)
        self._weighed.append(Weighed(contribution.factor, contribution.report))
        return contribution

    @override
    async def _commit(self, model: GlobalModel, asked: CombineRound) -> Version:
        """The version that the round began from stays the newest here: the parent will say what comes next."""
        parts, self._weighed = self._weighed, []
        summed = Summed(asked.round, model.buffer, stand_in(parts, self._plan.weighting))
        cast("ActorRef[Summed]", self._controller).tell(summed)  # a relay's controller takes more than others do
        return model.version - 1
