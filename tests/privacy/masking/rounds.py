"""A masked round in one place: members and the controller's machine, with queues between them that a test empties as it likes."""

from __future__ import annotations

from collections import defaultdict, deque
from random import Random

import numpy as np

from fedactors.errors import RemoteProtocolError
from fedactors.model import Array, LearnerId
from fedactors.privacy.masking.masks import apply
from fedactors.privacy.masking.member import Member, State
from fedactors.privacy.masking.messages import (
    FromMember,
    Revealed,
    ToMember,
    read_from_member,
    read_to_member,
    written,
)
from fedactors.privacy.masking.round import Command, Expel, Fail, Finish, MaskedRound, Say
from fedactors.privacy.masking.terms import Terms
from fedactors.privacy.masking.unmasking import Unmasking

WORDS = 50


class OneRound:
    """The dialogue of one round.

    Attributes:
        up, down: what is under way, by learner.
        expelled: who, and why.
        failure: why the round came to nothing.
        unmasking: what the round gave.
        plain: the words of each learner, that nobody else sees.
        folded: whose masked words are in the sum.
        told: everything that the controller was told of secrets.
        broken: what members refused to answer.
    """

    def __init__(self, terms: Terms, learners: int, seed: int = 0) -> None:
        random = Random(seed)
        self.terms = terms
        names = [f"learner-{index:02}" for index in range(learners)]
        self.members = {name: Member(name, terms, random.randbytes) for name in names}
        self.machine = MaskedRound(terms, names, random)
        self.up: dict[LearnerId, deque[FromMember]] = defaultdict(deque)
        self.down: dict[LearnerId, deque[ToMember]] = defaultdict(deque)
        self.gone: set[LearnerId] = set()
        self.expelled: dict[LearnerId, str] = {}
        self.failure: str | None = None
        self.unmasking: Unmasking | None = None
        numbers = np.random.default_rng(seed)
        self.plain = {name: numbers.integers(0, 2**terms.bits, WORDS, f"uint{terms.bits}", endpoint=False) for name in names}
        self.total: Array = np.zeros(WORDS, f"uint{terms.bits}")
        self.folded: list[LearnerId] = []
        self.told: list[Revealed] = []
        self.broken: list[str] = []
        self.carry_out(self.machine.begin())
        for name, member in self.members.items():
            self.up[name].append(member.said)

    def carry_out(self, commands: list[Command]) -> None:
        """Do what the machine commands."""
        for command in commands:
            match command:
                case Say(learner, message):
                    self.down[learner].append(message)
                case Expel(learner, why):
                    self.expelled[learner] = why
                case Fail(why):
                    assert self.failure is None, "a round fails once"
                    self.failure = why
                case Finish(unmasking):
                    assert self.unmasking is None, "a round is finished once"
                    self.unmasking = unmasking

    def deliver_up(self, learner: LearnerId) -> None:
        """One message of a learner arrives; it has travelled as a map."""
        message = self.up[learner].popleft()
        if isinstance(message, Revealed):
            self.told.append(message)
        self.carry_out(self.machine.heard(learner, read_from_member(*written(message))))

    def deliver_down(self, learner: LearnerId) -> None:
        """One message for a learner arrives."""
        message = read_to_member(*written(self.down[learner].popleft()))
        try:
            answer = self.members[learner].handle(message)
        except RemoteProtocolError as error:
            self.broken.append(str(error))
        else:
            if answer is not None:
                self.up[learner].append(answer)

    def train(self, learner: LearnerId) -> None:
        """A learner delivers its masked words."""
        words = self.plain[learner].copy()
        apply(words, self.members[learner].masks())
        self.total += words
        self.folded.append(learner)

    def lose(self, learner: LearnerId) -> None:
        """A learner is gone, and what was under way to and from it."""
        self.gone.add(learner)
        self.up.pop(learner, None)
        self.down.pop(learner, None)
        self.carry_out(self.machine.gone(learner))

    def settle(self) -> None:
        """Deliver everything that is under way."""
        while self.up_waiting or self.down_waiting:
            for learner in self.up_waiting:
                self.deliver_up(learner)
            for learner in self.down_waiting:
                self.deliver_down(learner)

    def finish(self) -> None:
        """Everybody who can delivers; then the sum is unmasked."""
        for learner in self.trainable:
            self.train(learner)
        self.unmask()
        self.settle()

    def unmask(self) -> None:
        """Ask for what it takes to read the sum."""
        self.carry_out(self.machine.unmask(self.folded))

    @property
    def up_waiting(self) -> list[LearnerId]:
        """Who has said something that is still under way."""
        return [learner for learner, queue in self.up.items() if queue]

    @property
    def down_waiting(self) -> list[LearnerId]:
        """Who has not heard yet what it was told; who is gone hears nothing."""
        return [learner for learner, queue in self.down.items() if queue and learner not in self.gone]

    @property
    def trainable(self) -> list[LearnerId]:
        """Who could deliver an update now."""
        out = self.gone | self.expelled.keys()
        return [name for name, member in self.members.items() if member.state is State.READY and name not in out]

    def unmasked(self) -> Array:
        """The sum without masks."""
        assert self.unmasking is not None, self.failure
        total = self.total.copy()
        self.unmasking.open(total)
        return total

    def expected(self) -> Array:
        """The plain sum of the words that were added."""
        return sum((self.plain[name] for name in self.folded), np.zeros_like(self.total))

    def check_secrets(self) -> None:
        """Nobody's seed and key were both revealed, by anybody, to anybody."""
        seeds = {owner for revealed in self.told for owner in revealed.seeds}
        keys = {owner for revealed in self.told for owner in revealed.keys}
        assert not seeds & keys, f"both secrets of {sorted(seeds & keys)} were revealed"
        assert not keys & set(self.folded), "the private key of one whose update counts was revealed"
