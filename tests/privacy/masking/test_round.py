"""A masked round as a whole: exact for whoever delivers, down to the threshold, and nothing below it."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedactors.errors import ModelError, RemoteProtocolError
from fedactors.privacy.masking.messages import PublicKeys, Revealed, Roster, Sealed, Unmask, written
from fedactors.privacy.masking.ring import holders
from fedactors.privacy.masking.round import Fail, MaskedRound, Stage
from fedactors.privacy.masking.shamir import join
from fedactors.privacy.masking.terms import Terms
from fedactors.protocol import Masking
from fedactors.protocol.session_wire import CONTROL_BYTES_MAX, encode
from tests.privacy.masking.rounds import OneRound

TERMS = Terms()


def begun(learners: int = 6, terms: Terms = TERMS) -> OneRound:
    """A round whose members are ready to mask."""
    one = OneRound(terms, learners)
    one.settle()
    assert one.machine.stage is Stage.TRAINING
    return one


@pytest.mark.parametrize("terms", [Terms(), Terms(bits=64), Terms(neighbours=4), Terms(threshold=1.0)])
def test_with_everybody_the_sum_is_the_plain_sum(terms: Terms) -> None:
    one = begun(9, terms)
    one.finish()
    assert np.array_equal(one.unmasked(), one.expected())
    assert not np.array_equal(one.total, one.expected())


@pytest.mark.parametrize("neighbours", [0, 4])
def test_who_is_lost_before_giving_keys_is_left_out(neighbours: int) -> None:
    one = OneRound(Terms(neighbours=neighbours), 9)
    one.lose("learner-03")
    one.settle()
    one.finish()
    assert len(one.folded) == 8
    assert np.array_equal(one.unmasked(), one.expected())


@pytest.mark.parametrize("neighbours", [0, 6])
def test_who_is_lost_before_sharing_secrets_is_left_out(neighbours: int) -> None:
    one = OneRound(Terms(neighbours=neighbours), 9)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    assert one.machine.stage is Stage.SHARES
    one.lose("learner-03")
    one.settle()
    one.finish()
    assert len(one.folded) == 8
    assert np.array_equal(one.unmasked(), one.expected())


@pytest.mark.parametrize("neighbours", [0, 6])
def test_the_masks_of_who_is_lost_before_delivering_are_taken_away(neighbours: int) -> None:
    one = begun(9, Terms(neighbours=neighbours))
    one.lose("learner-03")
    one.lose("learner-07")
    one.finish()
    assert len(one.folded) == 7
    assert np.array_equal(one.unmasked(), one.expected())
    one.check_secrets()


@pytest.mark.parametrize("neighbours", [0, 6])
def test_an_update_counts_although_its_learner_is_lost_afterwards(neighbours: int) -> None:
    one = begun(9, Terms(neighbours=neighbours))
    for learner in one.trainable:
        one.train(learner)
    one.lose("learner-03")
    one.unmask()
    one.lose("learner-05")
    one.settle()
    assert len(one.folded) == 9
    assert np.array_equal(one.unmasked(), one.expected())
    one.check_secrets()


def test_who_trains_too_long_is_no_trouble() -> None:
    """Its update does not count, and its masks go; it is still here, and is not asked."""
    one = begun()
    for learner in one.trainable[:-1]:
        one.train(learner)
    one.unmask()
    one.settle()
    assert np.array_equal(one.unmasked(), one.expected())
    assert one.unmasking is not None
    assert "learner-05" not in one.unmasking.survivors


def test_who_is_late_with_keys_is_expelled() -> None:
    one = OneRound(TERMS, 6)
    for learner in one.up_waiting[:-1]:
        one.deliver_up(learner)
    one.carry_out(one.machine.overdue())
    assert one.expelled == {"learner-05": "masking: it gave no keys in time"}
    one.settle()
    one.finish()
    assert len(one.folded) == 5
    assert np.array_equal(one.unmasked(), one.expected())


def test_who_is_late_with_shares_is_expelled() -> None:
    one = OneRound(TERMS, 6)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    one.down["learner-00"].clear()
    one.settle()
    one.carry_out(one.machine.overdue())
    assert one.expelled == {"learner-00": "masking: it gave no shares in time"}
    one.settle()
    one.finish()
    assert np.array_equal(one.unmasked(), one.expected())


def test_who_is_late_with_unmasking_is_not_waited_for() -> None:
    one = begun(7)
    for learner in one.trainable:
        one.train(learner)
    one.unmask()
    one.down["learner-06"].clear()
    one.down["learner-05"].clear()
    one.settle()
    assert np.array_equal(one.unmasked(), one.expected()), "five of seven are enough, and nobody waited"


def test_below_the_threshold_before_the_updates_nothing_was_asked() -> None:
    one = begun(6)
    for learner in one.trainable[:3]:
        one.train(learner)
    one.unmask()
    one.settle()
    assert one.failure == (
        "masking: 3 of 6 learners delivered and are still here (learner-00, learner-01, learner-02), and 4 are needed"
    )
    assert one.told == []
    assert one.unmasking is None
    assert not one.down_waiting


@pytest.mark.parametrize("answered", range(4))
def test_below_the_threshold_what_was_revealed_says_nothing(answered: int) -> None:
    """Three of four shares: with any of them the secret could be anything (see test_shamir), and the true one is not found."""
    one = begun(6)
    seeds = {name: member._seed for name, member in one.members.items()}  # what must not come out
    for learner in one.trainable:
        one.train(learner)
    one.unmask()
    survivors = list(one.down_waiting)
    for learner in survivors[:answered]:
        one.deliver_down(learner)
        one.deliver_up(learner)
    for learner in survivors[answered:]:
        one.lose(learner)
    assert one.failure is not None
    assert "4 are needed" in one.failure
    assert one.unmasking is None
    for owner, seed in seeds.items():
        known = {place + 1: told.seeds[owner] for place, told in enumerate(one.told)}
        assert len(known) == answered
        if known:
            assert not found(known, seed)


def found(shares: dict[int, bytes], secret: bytes) -> bool:
    """Whether these shares give the secret."""
    try:
        return join(shares) == secret
    except ModelError:
        return False


def test_a_round_that_is_too_small_fails_at_once() -> None:
    one = OneRound(TERMS, 2)
    assert one.failure == "masking: a round of 2 learners; masking needs 3 or more"


def test_a_full_graph_of_too_many_fails_at_once() -> None:
    one = OneRound(TERMS, 300)
    assert one.failure is not None
    assert "each of 300 learners would share masks with all others, and at most 256 may" in one.failure
    assert "secure.options.neighbours" in one.failure


def test_ids_that_fill_a_message_fail_at_once() -> None:
    (failed,) = MaskedRound(TERMS, [f"{'字' * 60}{index:03}" for index in range(256)], Random(0)).begin()
    assert failed == Fail(
        "masking: the shares of 256 learners with ids of up to 183 bytes do not fit into a message: give them shorter ids, "
        "or secure.options.neighbours"
    )
    assert MaskedRound(TERMS, [f"{index:0128}" for index in range(256)], Random(0)).begin() == []


def test_the_largest_messages_fit_into_a_frame() -> None:
    names = [f"{index:0130}" for index in range(256)]
    for message in (Sealed(dict.fromkeys(names, bytes(94))), Roster(256, dict.fromkeys(names, PublicKeys(bytes(32), bytes(32))))):
        assert len(encode(Masking("task", *written(message)))) <= CONTROL_BYTES_MAX


@pytest.mark.parametrize("stage", [Stage.KEYS, Stage.SHARES])
def test_too_few_that_are_here_end_the_round_without_a_wait(stage: Stage) -> None:
    one = OneRound(TERMS, 6)
    if stage is Stage.SHARES:
        for learner in one.up_waiting:
            one.deliver_up(learner)
    assert one.machine.stage is stage
    for learner in ("learner-00", "learner-01", "learner-02"):
        one.lose(learner)
    assert one.failure == "masking: 3 of 6 learners are still here (learner-03, learner-04, learner-05), and 4 are needed"
    one.settle()
    assert not any(isinstance(message, Sealed | Unmask) for queue in one.down.values() for message in queue)


@pytest.mark.parametrize(("stage", "did"), [(Stage.KEYS, "gave keys"), (Stage.SHARES, "shared their secrets")])
def test_too_few_that_answer_in_time_end_the_round(stage: Stage, did: str) -> None:
    one = OneRound(TERMS, 6)
    if stage is Stage.SHARES:
        for learner in one.up_waiting:
            one.deliver_up(learner)
        for learner in one.down_waiting[:3]:
            one.deliver_down(learner)
    for learner in one.up_waiting[:3]:
        one.deliver_up(learner)
    one.carry_out(one.machine.overdue())
    assert one.failure == f"masking: 3 of 6 learners {did} (learner-00, learner-01, learner-02), and 4 are needed"


def test_an_update_of_a_stranger_to_the_round_spoils_no_sum() -> None:
    one = begun()
    one.folded.append("mallory")
    one.unmask()
    assert one.failure == "masking: the update of mallory was added, which takes no part in the round"


# ------------------------------------------------------------------------------------------------------------------- members


def test_a_survivor_never_reveals_both_secrets_of_a_peer() -> None:
    """A controller that lies about who dropped out after it was answered is not answered again."""
    one = begun()
    member = one.members["learner-00"]
    member.masks()
    everyone = frozenset(one.members)
    truth = member.handle(Unmask(everyone))
    assert isinstance(truth, Revealed)
    assert truth.seeds.keys() == everyone
    assert truth.keys == {}
    assert member.handle(Unmask(everyone)) == truth, "after a lost connection it is asked again, and says the same"
    with pytest.raises(RemoteProtocolError, match="Unmask was told twice, and differently"):
        member.handle(Unmask(everyone - {"learner-01"}))


def test_what_one_survivor_reveals_has_nobody_twice() -> None:
    one = begun()
    member = one.members["learner-00"]
    member.masks()
    revealed = member.handle(Unmask(frozenset(one.members) - {"learner-04"}))
    assert isinstance(revealed, Revealed)
    assert not revealed.seeds.keys() & revealed.keys.keys()
    assert revealed.keys.keys() == {"learner-04"}


def test_a_member_that_has_not_delivered_reveals_nothing() -> None:
    one = begun()
    with pytest.raises(RemoteProtocolError, match="Unmask came while learner-00 was at ready"):
        one.members["learner-00"].handle(Unmask(frozenset(one.members)))


@pytest.mark.parametrize(
    ("survivors", "why"),
    [
        (3, "3 of 6 learners delivered, and 4 are needed"),
        (-1, "survivors lack learner-00"),
    ],
)
def test_a_member_does_not_reveal_for_too_few_survivors(survivors: int, why: str) -> None:
    one = begun()
    member = one.members["learner-00"]
    member.masks()
    names = sorted(one.members)
    with pytest.raises(RemoteProtocolError, match=why):
        member.handle(Unmask(frozenset(names[:survivors] if survivors > 0 else names[1:])))


def test_a_member_does_not_mask_with_too_few() -> None:
    one = OneRound(TERMS, 6)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    one.members["learner-00"].handle(one.down["learner-00"].popleft())
    with pytest.raises(RemoteProtocolError, match="1 of 6 learners shared their secrets, and 4 are needed"):
        one.members["learner-00"].handle(Sealed({}))


def test_a_roster_that_does_not_fit_is_not_answered() -> None:
    one = OneRound(TERMS, 6)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    roster = one.down["learner-00"].popleft()
    assert isinstance(roster, Roster)
    keys = dict(roster.keys)
    cases = {
        "other keys of learner-00 than it advertised": Roster(6, {**keys, "learner-00": keys["learner-01"]}),
        "a key twice": Roster(6, {**keys, "learner-02": keys["learner-01"]}),
        "names 3 of 6 learners, and 4 or more are needed": Roster(6, dict(list(keys.items())[:3])),
        "names 6 of 4 learners": Roster(4, keys),
    }
    for why, wrong in cases.items():
        with pytest.raises(RemoteProtocolError, match=why):
            one.members["learner-00"].handle(wrong)


def test_changed_shares_are_found_out() -> None:
    one = OneRound(TERMS, 4)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    for learner in one.down_waiting:
        one.deliver_down(learner)
    sealed = one.up["learner-01"][0]
    assert isinstance(sealed, Sealed)
    one.up["learner-01"][0] = Sealed({**sealed.shares, "learner-00": bytes(len(sealed.shares["learner-00"]))})
    one.settle()
    assert one.broken == ["the share that learner-01 sealed for learner-00 cannot be read: it was changed"]


def test_the_controller_reads_no_share_that_it_carries() -> None:
    one = begun()
    carried = [share for sealed in one.machine._sealed.values() for share in sealed.shares.values()]
    secrets = [part for member in one.members.values() for held in member._held.values() for part in held]
    assert len(carried) == 30
    assert not any(secret in share for share in carried for secret in secrets)


def test_shares_of_a_key_that_do_not_fit_it_are_an_error() -> None:
    one = begun()
    one.lose("learner-05")
    one.finish()
    assert one.unmasking is not None
    shares = one.unmasking.shares["learner-05"]
    assert isinstance(shares, dict)
    shares[1] = bytes(len(shares[1]))
    with pytest.raises(ModelError, match=r"belong to no secret|learner-05's key do not fit its public key"):
        one.unmasked()


# ------------------------------------------------------------------------------------------------------------ controller


def test_what_is_said_twice_or_by_strangers_changes_nothing() -> None:
    one = OneRound(TERMS, 4)
    again = one.members["learner-00"].said
    one.deliver_up("learner-00")
    assert one.machine.heard("learner-00", again) == []
    assert one.machine.heard("mallory", again) == []
    assert one.machine.heard("learner-01", Revealed({}, {})) == []
    one.settle()
    one.finish()
    assert np.array_equal(one.unmasked(), one.expected())


def test_a_learner_that_was_away_hears_what_it_has_missed() -> None:
    one = OneRound(TERMS, 5)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    one.down["learner-02"].clear()
    one.settle()
    assert one.machine.stage is Stage.SHARES
    one.up["learner-02"].append(one.members["learner-02"].said)
    one.settle()
    assert one.machine.stage is Stage.TRAINING
    for learner in one.trainable:
        one.train(learner)
    one.unmask()
    for learner in ("learner-02", "learner-03"):
        one.down[learner].clear()
        one.up[learner].append(one.members[learner].said)
    one.settle()
    assert np.array_equal(one.unmasked(), one.expected())


def test_a_learner_that_reveals_what_it_was_not_asked_is_expelled() -> None:
    one = begun(7)
    for learner in one.trainable:
        one.train(learner)
    one.unmask()
    one.carry_out(one.machine.heard("learner-00", Revealed({}, {})))
    assert one.expelled == {"learner-00": "masking: it revealed other shares than it was asked for"}
    one.settle()
    assert np.array_equal(one.unmasked(), one.expected())


@pytest.mark.parametrize("how", ["low order", "copied", "one for both"])
def test_keys_that_others_would_not_take_are_expelled_with_their_learner(how: str) -> None:
    one = OneRound(TERMS, 5)
    mine, theirs = one.up["learner-04"][0], one.up["learner-00"][0]
    assert isinstance(mine, PublicKeys)
    assert isinstance(theirs, PublicKeys)
    wrong = {
        "low order": PublicKeys(bytes(32), mine.mask),
        "copied": PublicKeys(mine.seal, theirs.mask),
        "one for both": PublicKeys(mine.seal, mine.seal),
    }
    one.up["learner-04"][0] = wrong[how]
    one.settle()
    one.finish()
    assert one.expelled == {"learner-04": "masking: it gave public keys that nobody can use, or that another learner has"}
    assert len(one.folded) == 4
    assert np.array_equal(one.unmasked(), one.expected())


def test_shares_for_others_than_the_neighbours_are_not_carried() -> None:
    one = OneRound(TERMS, 5)
    for learner in one.up_waiting:
        one.deliver_up(learner)
    one.carry_out(one.machine.heard("learner-00", Sealed({"mallory": bytes(94)})))
    assert one.expelled == {"learner-00": "masking: it sealed its shares for others than its neighbours"}


@given(st.integers(3, 60), st.integers(2, 12).map(lambda half: 2 * half), st.integers())
def test_neighbours_are_mutual_and_as_many_as_asked_for(learners: int, neighbours: int, seed: int) -> None:
    names = [f"l{index}" for index in range(learners)]
    drawn = holders(names, neighbours, Random(seed))
    assert {len(holding) for holding in drawn.values()} == {min(neighbours + 1, learners)}
    assert all(name in drawn[peer] for name, holding in drawn.items() for peer in holding)
    assert all(name in holding for name, holding in drawn.items())


# -------------------------------------------------------------------------------------------------------- whatever happens


class AnyRound(RuleBasedStateMachine):
    """Messages in any order, losses and lateness at any stage, and an end: exact, or nothing."""

    @initialize(
        learners=st.integers(3, 9),
        bits=st.sampled_from([32, 64]),
        neighbours=st.sampled_from([0, 4, 6]),
        threshold=st.sampled_from([0.5, 2 / 3]),
        seed=st.integers(0, 2**32),
    )
    def begin(self, learners: int, bits: int, neighbours: int, threshold: float, seed: int) -> None:
        terms = Terms(bits=bits, neighbours=neighbours, threshold=threshold)
        self.one = OneRound(terms, learners, seed)
        self.asked = False

    @rule(which=st.integers(0, 100))
    def speak(self, which: int) -> None:
        if waiting := self.one.up_waiting:
            self.one.deliver_up(waiting[which % len(waiting)])

    @rule(which=st.integers(0, 100))
    def hear(self, which: int) -> None:
        if waiting := self.one.down_waiting:
            self.one.deliver_down(waiting[which % len(waiting)])

    @rule()
    def hear_everything(self) -> None:
        self.one.settle()

    @rule(which=st.integers(0, 100))
    def say_again(self, which: int) -> None:
        """A connection is lost and found again; what was under way to the learner is gone."""
        here = sorted(self.one.members.keys() - self.one.gone)
        if here:
            learner = here[which % len(here)]
            self.one.down[learner].clear()
            self.one.up[learner].append(self.one.members[learner].said)

    @rule(which=st.integers(0, 100))
    def lose(self, which: int) -> None:
        here = sorted(self.one.members.keys() - self.one.gone)
        if here:
            self.one.lose(here[which % len(here)])

    @rule()
    def time_passes(self) -> None:
        self.one.carry_out(self.one.machine.overdue())

    @precondition(lambda self: not self.asked)
    @rule(which=st.integers(0, 100))
    def deliver(self, which: int) -> None:
        if trainable := self.one.trainable:
            self.one.train(trainable[which % len(trainable)])

    @precondition(lambda self: not self.asked and self.one.failure is None and self.one.folded)
    @rule(everyone=st.booleans())
    def unmask(self, everyone: bool) -> None:
        if everyone:
            for learner in self.one.trainable:
                self.one.train(learner)
        self.asked = True
        self.one.unmask()

    @invariant()
    def no_secret_is_out(self) -> None:
        if hasattr(self, "one"):
            self.one.check_secrets()
            assert self.one.failure is None or self.one.unmasking is None

    def teardown(self) -> None:
        if not hasattr(self, "one"):
            return
        one = self.one
        if not self.asked and one.failure is None:
            one.settle()
            for _ in range(2):
                one.carry_out(one.machine.overdue())
                one.settle()
            if one.failure is None:
                one.finish()
        one.settle()
        one.carry_out(one.machine.overdue())
        assert (one.failure is None) != (one.unmasking is None), "a round has an end, and one only"
        assert one.broken == [], "honest members and an honest controller do not quarrel"
        one.check_secrets()
        if one.unmasking is not None:
            assert one.unmasking.survivors == frozenset(one.folded)
            assert np.array_equal(one.unmasked(), one.expected())


TestAnyRound = AnyRound.TestCase
TestAnyRound.settings = settings(stateful_step_count=40)
