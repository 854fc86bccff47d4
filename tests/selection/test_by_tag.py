"""Selection by the labels that learners declare."""

import numpy as np
import pytest

from fedactors.errors import ConfigError
from fedactors.scheduling.asynchronous import Asynchronous
from fedactors.scheduling.base import BeginRound, Joined, Proceed, Train, Wait
from fedactors.scheduling.synchronous import Synchronous
from fedactors.selection.base import Candidate
from fedactors.selection.by_tag import ByTag
from tests.scheduling.play import Play

CANDIDATES = [
    Candidate("a", tags=frozenset({"gpu"})),
    Candidate("b", tags=frozenset({"gpu", "hospital"})),
    Candidate("c", tags=frozenset({"hospital"})),
    Candidate("d"),
]


@pytest.mark.parametrize(
    ("tags", "match", "selected"),
    [
        (("gpu",), "all", ["a", "b"]),
        (("gpu", "hospital"), "all", ["b"]),
        (("gpu", "hospital"), "any", ["a", "b", "c"]),
        (("tpu",), "any", []),
    ],
)
def test_learners_are_selected_by_their_tags(tags, match, selected):
    assert ByTag(tags, match=match).select(CANDIDATES, 1, np.random.default_rng(0)) == selected


def test_so_many_of_them_are_drawn():
    policy = ByTag(("gpu", "hospital"), match="any", count=2)
    cohorts = [tuple(policy.select(CANDIDATES, 1, np.random.default_rng(seed))) for seed in range(50)]
    assert set(cohorts) == {("a", "b"), ("a", "c"), ("b", "c")}


@pytest.mark.parametrize("protocol", [Synchronous(), Asynchronous()], ids=lambda protocol: type(protocol).__name__)
def test_round_waits_for_a_learner_with_the_tag(protocol):
    play = Play(protocol, selection=ByTag(("gpu",)))
    assert [type(command) for command in play.begun] == [Wait]
    begun = play.tell(Joined(Candidate("d", tags=frozenset({"gpu"}))))
    assert [type(command) for command in begun] == [BeginRound, Train]
    assert begun[1].learner == "d"


def test_cohort_is_never_filled_up_with_learners_without_the_tag():
    play = Play(Synchronous(over_selection=1.0), here="abc", selection=ByTag(("gpu",)), granted=False)
    for learner in "xy":
        play.tell(Joined(Candidate(learner, tags=frozenset({"gpu"}))))
    assert play.tell(Proceed())[0] == BeginRound(1, ("x", "y"))


@pytest.mark.parametrize("options", [{"tags": ()}, {"tags": ("a",), "match": "none"}, {"tags": ("a",), "count": 0}], ids=str)
def test_impossible_options_are_refused_by_name(options):
    with pytest.raises(ConfigError, match="'by_tag'"):
        ByTag(**options)
