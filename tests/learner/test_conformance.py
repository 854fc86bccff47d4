"""The conformance check itself: what is well passes, and each fault is named."""

import numpy as np
import pytest

from fedactors.errors import LearnerFailed
from fedactors.testing.conformance_learner import check_learner
from fedactors.testing.learners import ScriptedLearner, adds, not_a_tuple, not_finite


class Keeping(ScriptedLearner):
    def __init__(self, context=None, **options):
        super().__init__(**options)

    def set_weights(self, weights):
        self.weights = weights


def making(**options):
    return lambda context: Keeping(context, **options)


def in_float64(weights, _):
    return {name: array.astype(np.float64) for name, array in weights.items()}, {}


def at_random(weights, _):
    return {name: np.random.default_rng().random(array.shape, np.float32) for name, array in weights.items()}, {}


def test_a_learner_that_does_what_it_should_passes():
    check_learner(making(train=adds(1)))


def test_a_learner_that_draws_from_the_clock_passes_only_if_it_need_not_repeat():
    check_learner(making(train=at_random), repeats=False)
    with pytest.raises(AssertionError, match=r"draw all that is random from params\.seed"):
        check_learner(making(train=at_random))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (making(train=in_float64), r"train\(\) returned another dtype for 'w'; keep float32"),
        (making(train=not_finite), r"train\(\) made 'w' NaN or infinite"),
    ],
)
def test_a_fault_is_named(entry, said):
    with pytest.raises(AssertionError, match=said):
        check_learner(entry)


def test_a_learner_that_forgets_its_weights_is_found_out():
    class Forgetting(Keeping):
        def set_weights(self, weights):
            self.weights = {name: array + 1 for name, array in weights.items()}

    with pytest.raises(AssertionError, match=r"get_weights\(\) differs from what set_weights\(\) was given"):
        check_learner(Forgetting)


def test_an_evaluation_that_changes_the_model_is_found_out():
    class Drifting(Keeping):
        def evaluate(self, weights, params):
            self.evaluated.append(params)
            return {"loss": len(self.evaluated)}

    with pytest.raises(AssertionError, match=r"evaluate\(\) of the same weights gave other metrics"):
        check_learner(Drifting)


def test_what_is_no_result_is_said_as_in_a_federation():
    with pytest.raises(LearnerFailed, match=r"^train\(\) returned a dict; it returns a tuple"):
        check_learner(making(train=not_a_tuple))
