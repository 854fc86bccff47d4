"""The controller's part in one masked round: who takes part, who delivered, who is asked for shares. Pure; it sees no tensor.

    stage        waits for                                         then
    ─────        ─────────                                         ────
    KEYS         PublicKeys of all of the cohort that are here     tells each its Roster: these are U1
    SHARES       Sealed of all of U1 that are here                 hands the shares on: these are U2
    TRAINING     `unmask`: the updates that count, U3              asks U3 for shares
    UNMASKING    enough Revealed for every secret that is needed   `unmasking` is there
    OVER         nothing

A stage that lasts too long (`overdue`) goes on with those who answered; the others are expelled, each with the reason. Where too
few are left the round has failed: nobody is asked for a share any more. U1 to U3 are those of the paper.

Source: Bonawitz et al., Practical Secure Aggregation for Privacy-Preserving Machine Learning, CCS 2017, Figure 4 without the
parts for active adversaries, doi:10.1145/3133956.3133982.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from fedactors.model import LearnerId
from fedactors.privacy.masking.keys import is_public
from fedactors.privacy.masking.messages import (
    SEALED_BYTES,
    FromMember,
    PublicKeys,
    Revealed,
    Roster,
    Sealed,
    ToMember,
    Unmask,
)
from fedactors.privacy.masking.ring import holders
from fedactors.privacy.masking.terms import PEERS_MAX, Terms
from fedactors.privacy.masking.unmasking import Shares, Unmasking

MESSAGE_BYTES_MAX = 60 * 1024
"""Of what one learner is told at a time; a control message may have 64 KiB."""
EXTRA_BYTES = 8
"""Of an entry in a message, beside its name and its value."""
NAMES_MAX = 5
"""Learners that a reason names; the rest is counted."""


class Stage(enum.StrEnum):
    """What the round waits for; the table stands at the top of this module."""

    KEYS = "keys"
    SHARES = "shares"
    TRAINING = "training"
    UNMASKING = "unmasking"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Say:
    """Tell a learner."""

    learner: LearnerId
    message: ToMember


@dataclass(frozen=True, slots=True)
class Expel:
    """A learner takes no part in this round: its update must not count."""

    learner: LearnerId
    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """The round comes to nothing."""

    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The masks of the sum are known."""

    unmasking: Unmasking


Command: TypeAlias = Say | Expel | Fail | Finish


class MaskedRound:
    """One round.

    Attributes:
        stage: what it waits for.
    """

    def __init__(self, terms: Terms, cohort: Collection[LearnerId], random: Random) -> None:
        """Begin.

        Args:
            terms: those of the federation.
            cohort: who is given a task.
            random: draws who shares masks with whom.
        """
        self.stage = Stage.KEYS
        self._terms = terms
        self._random = random
        self._cohort = frozenset(cohort)
        self._needed = terms.needed(len(self._cohort))
        self._here = set(self._cohort)
        self._keys: dict[LearnerId, PublicKeys] = {}  # U1, once the stage is over
        self._holders: dict[LearnerId, frozenset[LearnerId]] = {}
        self._sealed: dict[LearnerId, Sealed] = {}  # U2, once the stage is over
        self._survivors: frozenset[LearnerId] = frozenset()  # U3
        self._revealed: dict[LearnerId, Revealed] = {}

    # -------------------------------------------------------------------------------------------------------- what happens

    def begin(self) -> list[Command]:
        """Fail at once where the round cannot come to anything."""
        learners, holders_ = len(self._cohort), self._terms.holders(len(self._cohort))
        if learners < self._needed:
            return self._fail(f"a round of {learners} learners; masking needs {self._needed} or more")
        if holders_ > PEERS_MAX:
            said = f"each of {learners} learners would share masks with all others, and at most {PEERS_MAX} may"
            return self._fail(f"{said}: give secure.options.neighbours")
        longest = max(len(learner.encode()) for learner in self._cohort)
        if holders_ * (SEALED_BYTES + longest + EXTRA_BYTES) > MESSAGE_BYTES_MAX:
            said = f"the shares of {holders_} learners with ids of up to {longest} bytes do not fit into a message"
            return self._fail(f"{said}: give them shorter ids, or secure.options.neighbours")
        return []

    def heard(self, learner: LearnerId, message: FromMember) -> list[Command]:
        """A learner said something. What comes again, or too late, or from a stranger changes nothing."""
        if learner not in self._here:
            return []
        match message:
            case PublicKeys():
                return self._advertised(learner, message)
            case Sealed():
                return self._shared(learner, message)
            case Revealed():
                return self._answered(learner, message)

    def gone(self, learner: LearnerId) -> list[Command]:
        """A learner has departed, or gave up its task."""
        if learner not in self._here:
            return []
        self._here.discard(learner)
        return self._go_on()

    def expel(self, learner: LearnerId, why: str) -> list[Command]:
        """A learner said what nobody can understand."""
        return self._expelled(learner, why) if learner in self._here else []

    def overdue(self) -> list[Command]:
        """What is waited for did not come in time."""
        match self.stage:
            case Stage.KEYS:
                return self._begin_shares(self._expel(self._here - self._keys.keys(), "gave no keys in time"))
            case Stage.SHARES:
                return self._begin_training(self._expel(self._here - self._sealed.keys(), "gave no shares in time"))
            case Stage.UNMASKING:
                self._here &= self._revealed.keys()
                return self._go_on()
            case Stage.TRAINING | Stage.OVER:
                return []

    def unmask(self, survivors: Iterable[LearnerId]) -> list[Command]:
        """The updates of these learners are added up; no other ones are."""
        self._survivors = frozenset(survivors)
        if self.stage is not Stage.TRAINING:
            return self._fail(f"updates are to be unmasked while the round is at {self.stage}")
        if stranger := min(self._survivors - self._sealed.keys(), default=""):
            return self._fail(f"the update of {stranger} was added, which takes no part in the round")
        self.stage = Stage.UNMASKING
        if (failed := self._go_on()) or self.stage is not Stage.UNMASKING:
            return failed
        return [Say(learner, self._unmask(learner)) for learner in sorted(self._survivors & self._here)]

    def say_again(self, learner: LearnerId) -> list[Command]:
        """What a learner that was away may have missed."""
        if self.stage in {Stage.KEYS, Stage.OVER} or learner not in self._here & self._keys.keys():
            return []
        said: list[Command] = [Say(learner, self._roster(learner))]
        if self.stage in {Stage.TRAINING, Stage.UNMASKING}:
            said.append(Say(learner, self._shares_for(learner)))
        if self.stage is Stage.UNMASKING and learner in self._survivors - self._revealed.keys():
            said.append(Say(learner, self._unmask(learner)))
        return said

    # ------------------------------------------------------------------------------------------------------------- stages

    def _advertised(self, learner: LearnerId, keys: PublicKeys) -> list[Command]:
        if self.stage is not Stage.KEYS:
            return self.say_again(learner)
        if learner in self._keys:
            return []
        if not self._are_fit(keys):
            return self._expelled(learner, "gave public keys that nobody can use, or that another learner has")
        self._keys[learner] = keys
        return self._go_on()

    def _are_fit(self, keys: PublicKeys) -> bool:
        """Whether the others would take these keys; one learner's must not keep all of them from going on."""
        taken = {key for others in self._keys.values() for key in (others.seal, others.mask)}
        return keys.seal != keys.mask and not taken & {keys.seal, keys.mask} and is_public(keys.seal) and is_public(keys.mask)

    def _shared(self, learner: LearnerId, sealed: Sealed) -> list[Command]:
        if self.stage is not Stage.SHARES:
            return self.say_again(learner)
        if sealed.shares.keys() != self._holders[learner] - {learner}:
            return self._expelled(learner, "sealed its shares for others than its neighbours")
        self._sealed.setdefault(learner, sealed)
        return self._go_on()

    def _answered(self, learner: LearnerId, revealed: Revealed) -> list[Command]:
        if self.stage is not Stage.UNMASKING or learner not in self._survivors or learner in self._revealed:
            return []
        asked = self._holders[learner] & self._sealed.keys()
        if revealed.seeds.keys() != asked & self._survivors or revealed.keys.keys() != asked - self._survivors:
            return self._expelled(learner, "revealed other shares than it was asked for")
        self._revealed[learner] = revealed
        return self._go_on()

    def _expelled(self, learner: LearnerId, why: str) -> list[Command]:
        return [*self._expel([learner], why), *self._go_on()]

    def _go_on(self) -> list[Command]:
        """Go on with the stage once nobody is waited for, or too few are left to wait for."""
        match self.stage:
            case Stage.KEYS | Stage.SHARES if len(self._here) < self._needed:
                return self._fail(self._shortage(self._here, "are still here"))
            case Stage.KEYS if self._here <= self._keys.keys():
                return self._begin_shares([])
            case Stage.SHARES if self._here <= self._sealed.keys():
                return self._begin_training([])
            case Stage.UNMASKING:
                return self._unmask_or_fail()
            case _:
                return []

    def _begin_shares(self, before: list[Command]) -> list[Command]:
        self._keys = {learner: keys for learner, keys in self._keys.items() if learner in self._here}
        self._here &= self._keys.keys()
        if len(self._keys) < self._needed:
            return [*before, *self._fail(self._shortage(self._keys, "gave keys"))]
        self.stage = Stage.SHARES
        self._holders = holders(self._keys, self._terms.neighbours, self._random)
        return [*before, *(Say(learner, self._roster(learner)) for learner in sorted(self._keys))]

    def _begin_training(self, before: list[Command]) -> list[Command]:
        self._sealed = {learner: sealed for learner, sealed in self._sealed.items() if learner in self._here}
        before += self._expel_lonely()
        self._here &= self._sealed.keys()
        if len(self._sealed) < self._needed:
            return [*before, *self._fail(self._shortage(self._sealed, "shared their secrets"))]
        self.stage = Stage.TRAINING
        return [*before, *(Say(learner, self._shares_for(learner)) for learner in sorted(self._sealed))]

    def _expel_lonely(self) -> list[Command]:
        """Leave out who has too few neighbours left, until nobody has, or the round has failed anyway."""
        expelled: list[Command] = []
        while len(self._sealed) >= self._needed and (lonely := self._lonely()):
            expelled += self._expel(lonely, "was left with too few neighbours")
            for learner in lonely:
                del self._sealed[learner]
        return expelled

    def _lonely(self) -> list[LearnerId]:
        together = self._sealed.keys()
        return [learner for learner in together if len(self._holders[learner] & together) < self._needed]

    def _unmask_or_fail(self) -> list[Command]:
        """Enough shares for every secret that is needed, too few for one of them, or neither yet."""
        owners = self._secrets()
        helpful = self._survivors & self._here
        for owner in owners:
            if len(self._holders[owner] & helpful) < self._needed:
                left = [learner for learner in sorted(self._survivors) if learner in helpful]
                return self._fail(self._shortage(left, "delivered and are still here"))
        if all(len(self._holders[owner] & self._revealed.keys()) >= self._needed for owner in owners):
            self.stage = Stage.OVER
            return [Finish(self._unmasking(owners))]
        return []

    def _secrets(self) -> list[LearnerId]:
        """Whose secret is needed: of survivors, and of neighbours of survivors."""
        return sorted(owner for owner in self._sealed if self._holders[owner] & self._survivors)

    # ------------------------------------------------------------------------------------------------------ what is told

    def _roster(self, learner: LearnerId) -> Roster:
        return Roster(len(self._cohort), {peer: self._keys[peer] for peer in sorted(self._holders[learner])})

    def _shares_for(self, learner: LearnerId) -> Sealed:
        peers = self._holders[learner] & self._sealed.keys() - {learner}
        return Sealed({peer: self._sealed[peer].shares[learner] for peer in sorted(peers)})

    def _unmask(self, learner: LearnerId) -> Unmask:
        return Unmask(self._holders[learner] & self._survivors)

    def _unmasking(self, owners: list[LearnerId]) -> Unmasking:
        return Unmasking(
            self._terms.fixed_point(len(self._cohort)),
            self._survivors,
            {owner: self._keys[owner].mask for owner in owners},
            {owner: frozenset(self._holders[owner] & self._sealed.keys()) for owner in owners},
            {owner: self._shares_of(owner) for owner in owners},
        )

    def _shares_of(self, owner: LearnerId) -> Shares:
        """By the points that the owner gave to its holders: their places in the order of their ids."""
        points = {holder: point for point, holder in enumerate(sorted(self._holders[owner]), 1)}
        by = sorted(self._holders[owner] & self._revealed.keys())[: self._needed]
        kinds = ((self._revealed[holder].seeds if owner in self._survivors else self._revealed[holder].keys) for holder in by)
        return {points[holder]: shares[owner] for holder, shares in zip(by, kinds, strict=True)}

    # -------------------------------------------------------------------------------------------------------------- ends

    def _expel(self, learners: Iterable[LearnerId], why: str) -> list[Command]:
        expelled = sorted(learners)
        self._here.difference_update(expelled)
        return [Expel(learner, f"masking: it {why}") for learner in expelled]

    def _fail(self, why: str) -> list[Command]:
        self.stage = Stage.OVER
        return [Fail(f"masking: {why}")]

    def _shortage(self, learners: Iterable[LearnerId], did: str) -> str:
        names = sorted(learners)
        more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
        listed = f" ({', '.join(names[:NAMES_MAX])}{more})" if names else ""
        return f"{len(names)} of {len(self._cohort)} learners {did}{listed}, and {self._needed} are needed"
