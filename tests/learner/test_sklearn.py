"""scikit-learn estimators as learners: what travels, what a mean of it is, and what is refused."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import csr_matrix  # only where scikit-learn is
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from fedactors.errors import LayoutMismatch, LearnerFailed
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train
from fedactors.learner.sklearn import SklearnLearner, batches
from fedactors.model import GlobalModel
from fedactors.task import EvaluateParams, TrainParams
from fedactors.testing.conformance_learner import check_learner

FLOWERS, KINDS = load_iris(return_X_y=True)
FLOWERS = (FLOWERS - FLOWERS.mean(axis=0)) / FLOWERS.std(axis=0)
PATIENTS, PROGRESS = load_diabetes(return_X_y=True)
CLASSIFIERS = {
    "logistic": lambda: SGDClassifier(loss="log_loss"),
    "perceptron": Perceptron,
    "network": lambda: MLPClassifier(8, random_state=3),
    "bayes": GaussianNB,
}
REGRESSORS = {"line": SGDRegressor, "network": lambda: MLPRegressor(hidden_layer_sizes=(4, 4), random_state=3)}


def classifying(estimator, rows=slice(None), **options):
    data = FLOWERS[rows], KINDS[rows]
    return SklearnLearner(estimator, data, data, **{"classes": range(3)} | options)


def regressing(estimator, **options):
    return SklearnLearner(estimator, (PATIENTS, PROGRESS / 100), (PATIENTS, PROGRESS / 100), **options)


def params(**given):
    return TrainParams(**({"round": 1, "version": 0, "seed": 7} | given))


def trained(learner, **given):
    model = GlobalModel.initial(answer_initialise(learner))
    return answer_train(learner, model.layout, model.weights, params(**given))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_conforms(name):
    check_learner(lambda _: classifying(CLASSIFIERS[name]()))


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_conforms(name):
    check_learner(lambda _: regressing(REGRESSORS[name]()))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_learner_that_trained_before_gives_the_same_bits_as_one_that_is_new(name):
    old, new = (classifying(CLASSIFIERS[name]()) for _ in range(2))
    start = answer_initialise(new)
    trained(old, epochs=2.0)
    layout = GlobalModel.initial(start).layout
    one, two = (answer_train(learner, layout, start, params(round=5)).weights for learner in (old, new))
    assert layout.pack(one).tobytes() == layout.pack(two).tobytes()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_federation_of_two_learns_what_both_have_half_of(name):
    learners = [classifying(CLASSIFIERS[name](), slice(start, None, 2)) for start in range(2)]
    weights = answer_initialise(learners[0])
    layout = GlobalModel.initial(weights).layout
    for round_ in range(1, 11):
        task = params(round=round_, seed=round_, batch_size=8, learning_rate=0.02)
        answers = [answer_train(learner, layout, weights, task).weights for learner in learners]
        weights = {key: (answers[0][key] + answers[1][key]) / 2 for key in weights}
    assert answer_evaluate(classifying(CLASSIFIERS[name]()), weights, EvaluateParams(1, 1)).metrics["accuracy"] > 0.8


def test_a_learner_that_has_not_seen_a_class_knows_of_it():
    learner = classifying(SGDClassifier(), slice(0, 100))
    assert trained(learner).weights["coef_"].shape == (3, 4)
    assert learner.estimator.classes_.tolist() == [0, 1, 2]


def test_the_mean_of_naive_bayes_is_what_one_would_have_learnt_from_everything():
    parts = [slice(0, 30), slice(30, 110), slice(110, 150)]
    answers = [trained(classifying(GaussianNB(), rows)) for rows in parts]
    sizes = [answer.report.num_examples for answer in answers]
    mean = {key: sum(n * a.weights[key] for n, a in zip(sizes, answers, strict=True)) / 150 for key in answers[0].weights}
    learner = classifying(GaussianNB())
    learner.set_weights(mean)
    whole = GaussianNB().fit(FLOWERS, KINDS)
    np.testing.assert_allclose(learner.estimator.theta_, whole.theta_, rtol=1e-12)
    np.testing.assert_allclose(learner.estimator.var_, whole.var_, rtol=1e-9)
    np.testing.assert_allclose(learner.estimator.predict_proba(FLOWERS), whole.predict_proba(FLOWERS), rtol=1e-6, atol=1e-12)


def test_a_class_that_nobody_has_is_never_said():
    learner = classifying(GaussianNB(), slice(0, 100))
    report = answer_evaluate(learner, trained(learner).weights, EvaluateParams(1, 1))
    assert report.metrics["accuracy"] == 1.0
    assert learner.estimator.class_prior_.tolist() == [pytest.approx(0.5), pytest.approx(0.5), 0.0]


def test_version_0_of_a_linear_model_shows_nothing_of_the_data():
    weights = answer_initialise(classifying(SGDClassifier()))
    assert {name: array.shape for name, array in weights.items()} == {"coef_": (3, 4), "intercept_": (3,)}
    assert not any(array.any() for array in weights.values())


def test_a_network_s_layers_travel_by_name():
    weights = answer_initialise(regressing(MLPRegressor(hidden_layer_sizes=(4, 3))))
    assert [(name, array.shape) for name, array in weights.items()] == [
        ("coefs_0", (10, 4)), ("coefs_1", (4, 3)), ("coefs_2", (3, 1)),
        ("intercepts_0", (4,)), ("intercepts_1", (3,)), ("intercepts_2", (1,)),
    ]  # fmt: skip


def test_steps_and_batches_are_those_of_the_task():
    report = trained(classifying(SGDClassifier()), steps=7, batch_size=30).report
    assert (report.num_batches, report.num_examples, report.epochs) == (7, 150, 1.4)
    assert report.ms_per_epoch == pytest.approx(5 * report.ms_per_batch)


def test_every_row_is_taken_once_in_each_pass():
    found = batches(10, 4, seed=1)
    for _ in range(3):
        one_pass = [next(found) for _ in range(3)]
        assert [len(batch) for batch in one_pass] == [4, 4, 2]
        assert sorted(np.concatenate(one_pass)) == list(range(10))


SLOPES = [lambda: SGDClassifier(loss="log_loss"), lambda: MLPClassifier((), "identity", solver="sgd", random_state=1)]


@pytest.mark.parametrize("make", SLOPES)
def test_a_tasks_learning_rate_is_the_length_of_steps(make):
    long, short = (trained(classifying(make()), steps=1, learning_rate=rate).weights for rate in (1e-4, 1e-5))
    start = answer_initialise(classifying(make()))
    for name in start:
        if "intercept" not in name:
            continue
        np.testing.assert_allclose(long[name] - start[name], 10 * (short[name] - start[name]), rtol=0.05, atol=1e-12)


def test_a_rate_that_decays_goes_on_from_round_to_round():
    early, late = (trained(classifying(SGDClassifier(loss="log_loss")), round=round_).weights["coef_"] for round_ in (1, 100))
    assert np.abs(late).sum() < 0.2 * np.abs(early).sum()


def test_sparse_features_train_as_dense_ones_do():
    dense = trained(classifying(SGDClassifier(), batch_size=150), learning_rate=0.01).weights["coef_"]
    data = csr_matrix(FLOWERS), KINDS
    sparse = trained(SklearnLearner(SGDClassifier(), data, classes=range(3), batch_size=150), learning_rate=0.01).weights["coef_"]
    np.testing.assert_allclose(sparse, dense, atol=0.1)


def test_metrics_are_those_of_the_kind_of_estimator():
    found = [answer_evaluate(one, answer_initialise(one), EvaluateParams(1, 0)).metrics for one in (
        classifying(SGDClassifier(loss="log_loss")), classifying(Perceptron()), regressing(SGDRegressor())
    )]  # fmt: skip
    assert [set(metrics) for metrics in found] == [{"accuracy", "loss"}, {"accuracy"}, {"mse", "mae", "r2"}]
    assert found[2]["mse"] == pytest.approx((PROGRESS**2).mean() / 10_000)


def test_a_learner_without_test_data_is_asked_for_nothing():
    learner = SklearnLearner(SGDClassifier(), (FLOWERS, KINDS), classes=range(3))
    assert answer_evaluate(learner, answer_initialise(learner), EvaluateParams(1, 0)).metrics == {}


@pytest.mark.parametrize(
    ("estimator", "options", "said"),
    [
        (RandomForestClassifier(), {}, "RandomForestClassifier has no partial_fit"),
        (MultinomialNB(), {}, "MultinomialNB has no weights whose mean over learners is a model; linear models"),
        (SGDClassifier(average=True), {}, "SGDClassifier with average has no weights whose mean"),
        (SGDClassifier(), {"classes": None}, r"SGDClassifier needs classes=\[...\]: all that there are"),
    ],
)
def test_what_has_no_mean_is_refused(estimator, options, said):
    with pytest.raises(LearnerFailed, match=said):
        classifying(estimator, **options)


def test_changed_gradients_are_refused():
    with pytest.raises(LearnerFailed, match="proximal_mu changes gradients, which scikit-learn keeps to itself"):
        trained(classifying(SGDClassifier()), proximal_mu=0.1)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(LayoutMismatch, match="the estimator does not fit the global model"):
        classifying(SGDClassifier()).set_weights({"coef_": np.zeros((3, 5)), "intercept_": np.zeros(3)})
