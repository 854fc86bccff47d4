"""fedrec, fedasync, fedbuff, fedstride and fednova against float64 numpy written from the papers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.aggregation.layouts import EVERY_DTYPE, agrees, committed, contributions, drawn, exact, layouts, stacked

ONE = Layout.from_specs([("w", "float32", (3,))])
random_rounds = given(layout=layouts, updates=st.integers(1, 30), seed=st.integers(0, 1000))
quickly = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def fedasync(rule, layout, sent, x):
    x = dict(x)
    for update in sent:
        share = rule.alpha * update.discount
        x = {name: (1 - share) * x[name] + share * w for name, w in exact(layout, update.buffer).items()}
    return x


def fedbuff(rule, layout, sent, x):
    shares = np.array([update.factor / update.discount for update in sent])
    weights = np.array([update.discount for update in sent]) * shares / shares.sum()
    return stepped(layout, sent, x, rule.server_learning_rate * weights)


def fednova(rule, layout, sent, x):
    p = np.array([update.factor for update in sent]) / sum(update.factor for update in sent)
    lengths = np.array([sum(local_shares(rule.momentum, update.report.num_batches)) for update in sent])
    return stepped(layout, sent, x, (p * lengths).sum() * p / lengths)


def local_shares(momentum, steps):
    """The vector a_i: how much of each local step's gradient is in the update, by running the local optimiser."""
    shares = np.zeros(steps)
    velocity = np.zeros(steps)
    for step in range(steps):
        velocity *= momentum
        velocity[step] += 1
        shares += velocity
    return shares


def stepped(layout, sent, x, weights):
    base = exact(layout, sent[0].base)
    deltas = {name: w - base[name] for name, w in stacked(layout, sent).items()}
    return {name: x[name] + np.tensordot(weights, deltas[name], 1) for name in x}


ORACLES = {FedAsync: fedasync, FedBuff: fedbuff, FedNova: fednova}
RULES = [FedAsync(0.3), FedAsync(0.9), FedAsync(1.0), FedBuff(), FedBuff(0.5), FedNova(), FedNova(0.9)]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@quickly
@random_rounds
def test_a_round_agrees_with_the_paper_in_float64(rule, layout, updates, seed):
    rng = np.random.default_rng(seed)
    base, current = drawn(layout, rng), drawn(layout, rng)
    sent = contributions(layout, rng, updates, base)
    expected = ORACLES[type(rule)](rule, layout, sent, exact(layout, current))
    size = 4.0 * max(1.0, *(u.report.num_batches for u in sent)) if isinstance(rule, FedNova) else 4.0
    agrees(layout, committed(rule, layout, sent, current), expected, size=size, relative=2e-6)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_round_of_200_updates_agrees_too(rule):
    rng = np.random.default_rng(0)
    base, current = drawn(EVERY_DTYPE, rng), drawn(EVERY_DTYPE, rng)
    sent = contributions(EVERY_DTYPE, rng, 200, base)
    expected = ORACLES[type(rule)](rule, EVERY_DTYPE, sent, exact(EVERY_DTYPE, current))
    agrees(EVERY_DTYPE, committed(rule, EVERY_DTYPE, sent, current), expected, size=50.0)


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


class Latest:
    """The oracle: the mean of every learner's latest update, from scratch."""

    def __init__(self, layout):
        self.layout, self.kept = layout, {}

    def expected(self, sent):
        self.kept |= {update.learner: (exact(self.layout, update.buffer), update.factor) for update in sent}
        total = sum(factor for _, factor in self.kept.values())
        names = next(iter(self.kept.values()))[0]
        return {name: sum(factor * w[name] for w, factor in self.kept.values()) / total for name in names}


@quickly
@random_rounds
def test_fedrec_is_the_mean_of_the_latest_updates_after_recommits_with_changed_factors(layout, updates, seed):
    rng = np.random.default_rng(seed)
    current, oracle, fold = drawn(layout, rng), Latest(layout), FedRec().fold(layout)
    for _ in range(6):
        everybody = contributions(layout, rng, updates, current)
        sent = [everybody[index] for index in rng.permutation(updates)[: rng.integers(1, updates + 1)]]
        agrees(layout, committed(fold, layout, sent, current), oracle.expected(sent))


def test_fedrec_stays_within_1e_6_after_10_000_commits():
    rng = np.random.default_rng(5)
    layout = Layout.from_specs([("w", "float32", (20,)), ("h", "float16", (5,)), ("n", "int64", (3,))])
    current, oracle, fold = drawn(layout, rng), Latest(layout), FedRec().fold(layout)
    updates = contributions(layout, rng, 60, current)
    weights = [exact(layout, update.buffer) for update in updates]
    for number in range(10_000):
        update = replace(updates[number % 60], learner=f"l{number % 37}", factor=float(10.0 ** rng.uniform(-3, 6)))
        found = committed(fold, layout, [update], current)
        oracle.kept[update.learner] = (weights[number % 60], update.factor)
    agrees(layout, found, oracle.expected([]), size=1e-3)


def test_a_learner_that_leaves_is_subtracted_at_the_next_commit():
    rng = np.random.default_rng(6)
    current, oracle, fold = drawn(EVERY_DTYPE, rng), Latest(EVERY_DTYPE), FedRec().fold(EVERY_DTYPE)
    sent = contributions(EVERY_DTYPE, rng, 8, current)
    oracle.expected(sent)
    committed(fold, EVERY_DTYPE, sent, current)
    fold.forget("l003")
    del oracle.kept["l003"]
    agrees(EVERY_DTYPE, committed(fold, EVERY_DTYPE, [], current), oracle.expected([]))
    agrees(EVERY_DTYPE, committed(fold, EVERY_DTYPE, sent[3:4], current), oracle.expected(sent[3:4]))


def test_when_all_have_left_there_is_nothing_to_combine():
    rng = np.random.default_rng(7)
    current, fold = drawn(ONE, rng), FedRec().fold(ONE)
    committed(fold, ONE, contributions(ONE, rng, 1, current), current)
    fold.forget("l000")
    with pytest.raises(ModelError, match="sum to zero: nobody"):
        fold.commit(GlobalModel(0, ONE, current.copy()))


def test_an_abandoned_round_leaves_the_latest_updates_as_they_were():
    rng = np.random.default_rng(8)
    current, oracle, fold = drawn(ONE, rng), Latest(ONE), FedRec().fold(ONE)
    first, second = contributions(ONE, rng, 4, current), contributions(ONE, rng, 4, current)
    committed(fold, ONE, first, current)
    for update in second:
        fold.add(update)
    fold.abandon()
    oracle.expected(first)
    agrees(ONE, committed(fold, ONE, second[:1], current), oracle.expected(second[:1]))


def test_a_diverged_update_is_gone_once_its_learner_sent_another():
    rng = np.random.default_rng(9)
    current, oracle, fold = drawn(ONE, rng), Latest(ONE), FedRec().fold(ONE)
    sent = contributions(ONE, rng, 3, current)
    diverged = replace(sent[0], buffer=ONE.pack({"w": np.array([np.inf, np.nan, 1], np.float32)}))
    committed(fold, ONE, [diverged, *sent[1:]], current)
    agrees(ONE, committed(fold, ONE, sent[:1], current), oracle.expected(sent))


def test_an_ordered_fedrec_takes_the_freshest_of_two_updates_of_one_learner():
    rng = np.random.default_rng(10)
    current = drawn(ONE, rng)
    fresh, stale = (replace(update, learner="a") for update in contributions(ONE, rng, 2, current))
    found = committed(Ordered(FedRec()), ONE, [replace(fresh, staleness=0), replace(stale, staleness=3)], current)
    agrees(ONE, found, exact(ONE, fresh.buffer))


def test_an_ordered_fedrec_forgets_a_learner_and_counts_it_again_when_it_is_back():
    rng = np.random.default_rng(11)
    current, oracle, fold = drawn(ONE, rng), Latest(ONE), Ordered(FedRec()).fold(ONE)
    sent = contributions(ONE, rng, 3, current)
    committed(fold, ONE, sent, current)
    fold.forget("l001")
    agrees(ONE, committed(fold, ONE, sent[:1], current), oracle.expected([sent[0], sent[2]]))
    fold.forget("l000")
    agrees(ONE, committed(fold, ONE, sent[:2], current), oracle.expected(sent))


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
