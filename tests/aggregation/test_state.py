"""What rules keep from round to round, taken out and put back. That every registered rule does is in test_every_rule."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedactors.aggregation import Contribution, Fold, Ordered, Rule
from fedactors.aggregation.fedadam import FedAdam
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedavgm import FedAvgM
from fedactors.aggregation.fedrec import FedRec
from fedactors.aggregation.median import Median
from fedactors.aggregation.scaffold import Scaffold
from fedactors.aggregation.server import ServerStep
from fedactors.aggregation.state import FoldState
from fedactors.aggregation.wrapping import Wrapping, WrappingFold
from fedactors.errors import ModelError
from fedactors.model import GlobalModel, Layout
from fedactors.testing.conformance_rule import check_rule

LAYOUT = Layout.from_specs([("w", "float32", (3,)), ("n", "int64", ()), ("half", "bfloat16", (2,))])


def after_a_round(rule: Rule) -> Fold:
    fold = rule.fold(LAYOUT)
    base = np.zeros(LAYOUT.nbytes, np.uint8)
    for learner, value in (("b", 1.0), ("a", 2.0)):
        buffer = LAYOUT.pack({name: np.full_like(view, value) for name, view in LAYOUT.views(base).items()})
        fold.add(Contribution(learner, buffer, value, base=base))
    fold.commit(GlobalModel(0, LAYOUT, base))
    return fold


@pytest.mark.parametrize("rule", [Ordered(FedRec()), ServerStep(FedAdam(), Median())], ids=["ordered", "over median"])
def test_rules_around_a_rule_hand_its_state_on(rule):
    check_rule(rule, equal_updates_are_a_fixed_point=isinstance(rule, Ordered))


class Grudging(Wrapping):
    """Adds to the weights how many rounds there were, and says nothing of it."""

    rule = FedAvg()

    def fold(self, layout: Layout) -> Fold:
        return GrudgingFold(self.rule.fold(layout))


class GrudgingFold(WrappingFold):
    rounds = 0

    def commit(self, current):
        combined = super().commit(current)
        self.rounds += 1
        combined[:2] = self.rounds // 3
        return combined


def test_the_check_finds_a_rule_that_keeps_to_itself_what_it_keeps():
    with pytest.raises(AssertionError, match=r"goes on with other bits; state\(\) must hold"):
        check_rule(Grudging())


def test_the_state_says_what_is_kept():
    assert not after_a_round(FedAvg()).state()
    assert after_a_round(Scaffold()).state().learners == ("a", "b")
    momentum = after_a_round(FedAvgM()).state().arrays
    assert {name: array.dtype for name, array in momentum.items()} == {"optimiser.0.m": "float32", "optimiser.2.m": "float32"}
    kept = after_a_round(FedRec()).state()
    assert kept.learners == tuple(kept.updates) == ("b", "a"), "sums are made anew in the order of the last updates"
    np.testing.assert_array_equal(kept.arrays["factors"], [1.0, 2.0])
    assert kept.arrays["sum"][0] == 1 * 1 + 2 * 2


def test_an_update_that_is_not_new_is_the_same_object():
    fold = after_a_round(FedRec())
    before = fold.state().updates
    base = np.zeros(LAYOUT.nbytes, np.uint8)
    fold.add(Contribution("b", base, 1.0))
    fold.commit(GlobalModel(1, LAYOUT, base))
    assert fold.state().updates["a"] is before["a"]
    assert fold.state().updates["b"] is not before["b"]


@dataclass(frozen=True)
class Case:
    rule: Rule
    kept: FoldState
    said: str


FOREIGN = [
    Case(FedAvg(), FoldState(learners=("a",)), "keeps nothing from round to round, and something was kept"),
    Case(FedAvgM(), after_a_round(FedAdam()).state(), "'optimiser.0.v'; this rule keeps none"),
    Case(FedAdam(), after_a_round(FedAvgM()).state(), "nothing as 'optimiser.0.v'; this rule keeps float32"),
    Case(Scaffold(), after_a_round(FedAvgM()).state(), "keeps nothing"),
    Case(FedRec(), replace(after_a_round(FedRec()).state(), updates={}), "latest updates of a, b were not kept"),
    Case(FedRec(), FoldState(), "nothing as 'sum'"),
]


@pytest.mark.parametrize("case", FOREIGN, ids=lambda case: type(case.rule).__name__)
def test_another_rules_state_is_refused(case):
    with pytest.raises(ModelError, match=case.said):
        case.rule.fold(LAYOUT).restore(case.kept)
