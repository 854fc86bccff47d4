"""A learner that protects its updates itself: clipped, noisy, accounted, and silent once its budget is spent."""

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

from fedactors.dp.accountant import epsilon
from fedactors.dp.local import EPSILON, LocalPrivacy, Protection
from fedactors.dp.noise import SeededNoise
from fedactors.errors import ConfigError, PrivacyBudgetSpent, RemoteProtocolError
from fedactors.learner.desk import Desk
from fedactors.learner.trainee import Trainee
from fedactors.log import get_logger
from fedactors.model import GlobalModel
from fedactors.protocol.messages import Welcome
from fedactors.protocol.session_wire import decode_from_controller, encode
from fedactors.scope import WHOLE, Scope
from fedactors.task import TrainParams

TERMS = LocalPrivacy(clip_norm=2.0, noise_multiplier=3.0, delta=1e-5)
NEARLY_NONE = LocalPrivacy(clip_norm=2.0, noise_multiplier=1e-12, delta=1e-5)
NUMBER = 200_000


class Steady:
    """Moves every weight by as much."""

    def __init__(self, weights, step=1.0):
        self.weights, self.step = weights, step

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {name: array + np.asarray(self.step, array.dtype) for name, array in weights.items()}, {"loss": 0.5}

    def evaluate(self, weights, params):
        return {"num_examples": 1}


def trained(terms, weights, round_=1, scope=WHOLE, epsilon_max=None, step=1.0):
    trainee = Trainee(Steady(weights, step), scope)
    trainee.protection = Protection(terms, epsilon_max, SeededNoise("a test"))
    model = GlobalModel.initial(scope.travelling(weights))
    return trainee.train("t1", model, TrainParams(round=round_, version=0, seed=1))


def test_what_leaves_a_learner_is_clipped_and_noisy():
    sent = trained(TERMS, {"w": np.zeros(NUMBER, np.float32)}).weights["w"].astype(np.float64)
    clipped = 2.0 / np.sqrt(NUMBER)
    low, high = stats.chi2.interval(1 - 1e-6, NUMBER)
    assert low < np.sum((sent - clipped) ** 2) / 6.0**2 < high
    assert stats.kstest((sent - clipped) / 6.0, "norm").pvalue > 1e-6


def test_the_norm_is_over_all_floating_tensors_and_integers_stay_what_they_were():
    weights = {
        "a": np.zeros((2, 3), np.float64),
        "b": np.zeros(10, np.float64),
        "n": np.array(7, np.int64),
        "h": np.zeros(2, ml_dtypes.bfloat16),
    }
    sent = trained(NEARLY_NONE, weights).weights
    assert np.allclose(sent["a"], 2 / np.sqrt(18), atol=1e-9)
    assert sent["a"].shape == (2, 3)
    assert sent["n"] == 7
    assert sent["h"].dtype == ml_dtypes.bfloat16


def test_a_short_step_is_not_clipped_and_one_that_is_not_finite_is_none():
    weights = {"w": np.zeros(4)}
    assert np.allclose(trained(NEARLY_NONE, weights, step=0.5).weights["w"], 0.5, atol=1e-9)
    assert np.allclose(trained(NEARLY_NONE, weights, step=np.inf).weights["w"], 0.0, atol=1e-9)


def test_tensors_that_stay_with_a_learner_are_neither_counted_nor_changed():
    weights = {"head": np.zeros(100), "w": np.zeros(4)}
    sent = trained(NEARLY_NONE, weights, scope=Scope(local=("head",))).weights
    assert sent.keys() == {"w"}
    assert np.allclose(sent["w"], 1.0, atol=1e-9)


def test_a_learner_reports_what_it_has_spent_with_twice_the_clip_norm_for_its_reach():
    report = trained(TERMS, {"w": np.zeros(4)}).report
    assert report.metrics == {"loss": 0.5, EPSILON: pytest.approx(epsilon(1, 1.5, 1e-5))}


def test_updates_add_up_and_noise_is_new_in_each():
    protection = Protection(TERMS)
    sent = []
    for round_ in (1, 2, 5):
        protection.admit(round_)
        sent.append(protection.protect({"w": np.ones(4)}, {"w": np.zeros(4)})["w"])
    assert protection.epsilon == epsilon(3, 1.5, 1e-5)
    assert np.unique(sent).size == 12


def test_a_learner_that_begins_late_may_have_been_here_before():
    assert trained(TERMS, {"w": np.zeros(4)}, round_=5).report.metrics[EPSILON] == pytest.approx(epsilon(5, 1.5, 1e-5))


def test_a_learner_tells_no_more_than_it_wants_to():
    limit = (epsilon(2, 1.5, 1e-5) + epsilon(3, 1.5, 1e-5)) / 2
    protection = Protection(TERMS, limit)
    for round_ in (1, 2):
        protection.admit(round_)
        protection.protect({"w": np.ones(4)}, {"w": np.zeros(4)})
    with pytest.raises(PrivacyBudgetSpent, match="the learner's privacy budget is spent: epsilon would be"):
        protection.admit(3)
    with pytest.raises(PrivacyBudgetSpent):
        trained(TERMS, {"w": np.zeros(4)}, round_=3, epsilon_max=limit)


def desk(scope=WHOLE):
    made = Desk(Steady({"w": np.zeros(4)}), None, None, get_logger("test"))
    made.begin(scope)
    return made


def test_a_learner_with_a_limit_gives_nothing_without_noise():
    with pytest.raises(ConfigError, match="the federation asks for no noise; write mechanism = 'local'"):
        desk().protect(None, 4.0)


def test_a_learner_is_not_asked_for_other_noise_than_before():
    made = desk()
    made.protect(TERMS, None)
    made.protect(TERMS, None)
    with pytest.raises(ConfigError, match="asks for other noise than before"):
        made.protect(NEARLY_NONE, None)
    with pytest.raises(ConfigError, match="asks for other noise than before"):
        made.protect(None, None)


def test_control_variates_would_give_the_update_away():
    with pytest.raises(ConfigError, match="control variates, from which updates follow without their noise"):
        desk(Scope(variates=True)).protect(TERMS, None)


def welcome(terms):
    return Welcome(b"t", 1.0, 5.0, 4096, local_privacy=terms)


def test_what_a_learner_is_asked_to_do_travels_as_it_was_said():
    for terms in (TERMS, None):
        assert decode_from_controller(encode(welcome(terms))).local_privacy == terms


@pytest.mark.parametrize(
    "terms", [(0.0, 1.0, 0.1), (np.inf, 1.0, 0.1), (1.0, np.nan, 0.1), (1.0, -1.0, 0.1), (1.0, 1.0, 1.0), (1.0, 1.0, 0.0)]
)
def test_noise_that_is_none_is_no_welcome(terms):
    with pytest.raises(RemoteProtocolError, match="the first two are above 0 and finite, delta is between 0 and 1"):
        decode_from_controller(encode(welcome(LocalPrivacy(*terms))))
