"""What fedrec, fedasync, fedbuff, fedstride and fednova promise beyond a round that agrees with the paper (test_oracles)."""

from dataclasses import replace

import numpy as np
import pytest

from fedactors.aggregation import Contribution, Ordered
from fedactors.aggregation.clipped import Clipped
from fedactors.aggregation.fedasync import FedAsync
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedavgm import FedAvgM
from fedactors.aggregation.fedbuff import FedBuff
from fedactors.aggregation.fednova import FedNova
from fedactors.aggregation.fedrec import FedRec
from fedactors.aggregation.fedstride import FedStride
from fedactors.aggregation.server import ServerStep
from fedactors.errors import ConfigError, ModelError
from fedactors.model import GlobalModel, Layout
from fedactors.task import TrainReport
from tests.aggregation.layouts import EVERY_DTYPE, agrees, committed, contributions, drawn, exact
from tests.aggregation.oracles import Oracle

ONE = Layout.from_specs([("w", "float32", (3,))])


@pytest.mark.parametrize("stride", [-1, 0, 1, 3, 8, 100])
def test_fedstride_is_fedavg_bit_by_bit(stride):
    rng = np.random.default_rng(1)
    current = drawn(EVERY_DTYPE, rng)
    sent = contributions(EVERY_DTYPE, rng, 20, current)
    expected = committed(FedAvg(), EVERY_DTYPE, sent, current)
    assert committed(FedStride(stride), EVERY_DTYPE, sent, current).tobytes() == expected.tobytes()


def test_fedasync_with_alpha_1_is_the_latest_update():
    rng = np.random.default_rng(2)
    current = drawn(EVERY_DTYPE, rng)
    sent = [replace(update, discount=1.0) for update in contributions(EVERY_DTYPE, rng, 4, current)]
    agrees(EVERY_DTYPE, committed(FedAsync(1.0), EVERY_DTYPE, sent, current), exact(EVERY_DTYPE, sent[-1].buffer))


def test_fedbuff_with_equal_shares_is_the_mean_of_the_discounted_differences():
    rng = np.random.default_rng(3)
    current, base = drawn(ONE, rng), drawn(ONE, rng)
    sent = [replace(update, factor=update.discount) for update in contributions(ONE, rng, 6, base)]
    mean = sum(u.discount * (exact(ONE, u.buffer)["w"] - exact(ONE, base)["w"]) for u in sent) / 6
    agrees(ONE, committed(FedBuff(), ONE, sent, current), {"w": exact(ONE, current)["w"] + mean})


def test_a_learner_that_did_twice_the_steps_in_one_direction_counts_once():
    start = ONE.pack({"w": np.zeros(3, np.float32)})
    sent = [
        Contribution(
            name, ONE.pack({"w": np.full(3, float(steps), np.float32)}), 1.0, report=TrainReport(1, num_batches=steps), base=start
        )
        for name, steps in (("a", 1), ("b", 2))
    ]
    np.testing.assert_allclose(exact(ONE, committed(FedNova(), ONE, sent, start))["w"], 1.5, rtol=1e-6)


@pytest.mark.parametrize(
    "rule", [FedNova(), Ordered(FedNova()), Clipped(FedNova(), 1.0), ServerStep(FedAvgM(), FedNova())], ids=repr
)
def test_fednova_refuses_a_report_without_batches_whatever_is_around_it(rule):
    rule.check(TrainReport(5, num_batches=1))
    with pytest.raises(ModelError, match="fednova divides an update by its local steps, and the learner reports none: have its"):
        rule.check(TrainReport(5))


# ------------------------------------------------------------------------------------------------------------------------ fedrec


def test_fedrec_stays_within_1e_6_after_10_000_commits():
    rng = np.random.default_rng(5)
    layout = Layout.from_specs([("w", "float32", (20,)), ("h", "float16", (5,)), ("n", "int64", (3,))])
    current, oracle, fold = drawn(layout, rng), Oracle(FedRec(), layout), FedRec().fold(layout)
    updates = contributions(layout, rng, 60, current)
    weights = [exact(layout, update.buffer) for update in updates]
    for number in range(10_000):
        update = replace(updates[number % 60], learner=f"l{number % 37}", factor=float(10.0 ** rng.uniform(-3, 6)))
        found = committed(fold, layout, [update], current)
        oracle.latest[update.learner] = (update.factor, weights[number % 60])
    agrees(layout, found, oracle.expected([], current), size=1e-3)


def test_a_learner_that_leaves_is_subtracted_at_the_next_commit():
    rng = np.random.default_rng(6)
    current, oracle, fold = drawn(EVERY_DTYPE, rng), Oracle(FedRec(), EVERY_DTYPE), FedRec().fold(EVERY_DTYPE)
    sent = contributions(EVERY_DTYPE, rng, 8, current)
    oracle.expected(sent, current)
    committed(fold, EVERY_DTYPE, sent, current)
    fold.forget("l003")
    oracle.forget("l003")
    agrees(EVERY_DTYPE, committed(fold, EVERY_DTYPE, [], current), oracle.expected([], current))
    agrees(EVERY_DTYPE, committed(fold, EVERY_DTYPE, sent[3:4], current), oracle.expected(sent[3:4], current))


def test_when_all_have_left_there_is_nothing_to_combine():
    rng = np.random.default_rng(7)
    current, fold = drawn(ONE, rng), FedRec().fold(ONE)
    committed(fold, ONE, contributions(ONE, rng, 1, current), current)
    fold.forget("l000")
    with pytest.raises(ModelError, match="sum to zero: nobody"):
        fold.commit(GlobalModel(0, ONE, current.copy()))


def test_an_abandoned_round_leaves_the_latest_updates_as_they_were():
    rng = np.random.default_rng(8)
    current, oracle, fold = drawn(ONE, rng), Oracle(FedRec(), ONE), FedRec().fold(ONE)
    first, second = contributions(ONE, rng, 4, current), contributions(ONE, rng, 4, current)
    committed(fold, ONE, first, current)
    for update in second:
        fold.add(update)
    fold.abandon()
    oracle.expected(first, current)
    agrees(ONE, committed(fold, ONE, second[:1], current), oracle.expected(second[:1], current))


def test_a_diverged_update_is_gone_once_its_learner_sent_another():
    rng = np.random.default_rng(9)
    current, oracle, fold = drawn(ONE, rng), Oracle(FedRec(), ONE), FedRec().fold(ONE)
    sent = contributions(ONE, rng, 3, current)
    diverged = replace(sent[0], buffer=ONE.pack({"w": np.array([np.inf, np.nan, 1], np.float32)}))
    committed(fold, ONE, [diverged, *sent[1:]], current)
    agrees(ONE, committed(fold, ONE, sent[:1], current), oracle.expected(sent, current))


def test_an_ordered_fedrec_takes_the_freshest_of_two_updates_of_one_learner():
    rng = np.random.default_rng(10)
    current = drawn(ONE, rng)
    fresh, stale = (replace(update, learner="a") for update in contributions(ONE, rng, 2, current))
    found = committed(Ordered(FedRec()), ONE, [replace(fresh, staleness=0), replace(stale, staleness=3)], current)
    agrees(ONE, found, exact(ONE, fresh.buffer))


def test_an_ordered_fedrec_forgets_a_learner_and_counts_it_again_when_it_is_back():
    rng = np.random.default_rng(11)
    current, oracle, fold = drawn(ONE, rng), Oracle(FedRec(), ONE), Ordered(FedRec()).fold(ONE)
    sent = contributions(ONE, rng, 3, current)
    committed(fold, ONE, sent, current)
    fold.forget("l001")
    agrees(ONE, committed(fold, ONE, sent[:1], current), oracle.expected([sent[0], sent[2]], current))
    fold.forget("l000")
    agrees(ONE, committed(fold, ONE, sent[:2], current), oracle.expected(sent, current))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FedAsync(0.0), "fedasync has alpha=0.0; give a number above 0 and up to 1"),
        (lambda: FedBuff(-1.0), "fedbuff has server_learning_rate=-1.0; give a number above 0"),
        (lambda: FedNova(1.0), "fednova has momentum=1.0; give a number from 0 to below 1"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_remedy(make, said):
    with pytest.raises(ConfigError, match=said):
        make()
