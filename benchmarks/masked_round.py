"""One masked round for benchmarks/secure.py: members and the controller's machine, in one process, with nothing between them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from fedactors.aggregation import Contribution
from fedactors.aggregation.masked import MaskedMean
from fedactors.model import Buffer, GlobalModel, Weights
from fedactors.privacy.masking.form import MaskedForm
from fedactors.privacy.masking.masks import apply
from fedactors.privacy.masking.member import Member
from fedactors.privacy.masking.round import Finish, MaskedRound, Say

FACTOR = 100


class Round:
    """Members that have agreed on their masks, and the fold that their updates go to."""

    def __init__(self, weights: Weights, learners: int) -> None:
        self.base, self.form = GlobalModel.initial({name: np.zeros_like(w) for name, w in weights.items()}), MaskedForm()
        names = [f"learner-{index}" for index in range(learners)]
        self.members = {name: Member(name, self.form) for name in names}
        self._machine = MaskedRound(self.form, names, Random(0))
        self._fold = MaskedMean(self.form).fold(self.base.layout)
        self._added: list[str] = []
        self._carry_out([command for name in names for command in self._machine.heard(name, self.members[name].said)])

    def sealed(self, name: str, weights: Weights) -> Buffer:
        """A member's update, as it travels."""
        member, layout = self.members[name], self.base.layout
        words, clipped = member.fixed_point.words(layout, layout.pack(weights), self.base.buffer, FACTOR)
        assert not clipped
        apply(words, member.masks())
        return self.form.layout(layout).pack({"words": words})

    def add(self, name: str, update: Buffer) -> None:
        """One more."""
        self._fold.add(Contribution(name, update, FACTOR))
        self._added.append(name)

    def commit(self) -> GlobalModel:
        """The next version, with the survivors' shares."""
        self._carry_out(self._machine.unmask(self._added))
        return GlobalModel(1, self.base.layout, self._fold.commit(self.base))

    def _carry_out(self, commands: Sequence[object]) -> None:
        for command in commands:
            if isinstance(command, Finish):
                self._fold.unmask_by(command.unmasking)
            elif isinstance(command, Say):
                answer = self.members[command.learner].handle(command.message)
                if answer is not None:
                    self._carry_out(self._machine.heard(command.learner, answer))
