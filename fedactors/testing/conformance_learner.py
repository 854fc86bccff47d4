"""What every learner owes its federation, checked on a learner of yours.

def test_my_learner_conforms():
    check_learner(MyLearner)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedactors.learner import EvaluateParams, LearnerContext, TrainParams, build_learner
from fedactors.learner.answers import answer_evaluate, answer_initialise, answer_train, declared, take_weights
from fedactors.learner.base import Learner
from fedactors.model import GlobalModel

TRAIN = TrainParams(round=1, version=0, seed=7)
EVALUATE = EvaluateParams(round=1, version=0)


def check_learner(
    entry: Callable[[LearnerContext], Any],
    *,
    context: LearnerContext | None = None,
    params: TrainParams = TRAIN,
    repeats: bool = True,
) -> None:
    """Make the learner and put it to work.

    Args:
        entry: as in a configuration.
        context: to make it from.
        params: to train with.
        repeats: whether the same weights and the same seed must give the same bits again, from a learner made anew.

    Raises:
        AssertionError: it does not do what a learner owes; the message says what.
        FedactorsError: it raised, or returned something that is no result; one line.
    """
    context = LearnerContext() if context is None else context
    learner = build_learner(entry, context)
    declared(learner)
    model = GlobalModel.initial(answer_initialise(learner))
    _keeps_what_it_is_given(learner, model)
    trained = _trains(learner, model, params)
    _evaluates_alike_twice(learner, model)
    if repeats:
        again = _trains(build_learner(entry, context), model, params)
        assert trained == again, "the same weights and the same seed gave other weights: draw all that is random from params.seed"


def _keeps_what_it_is_given(learner: Learner, model: GlobalModel) -> None:
    take_weights(learner, model.weights)
    kept = model.layout.pack(answer_initialise(learner))
    assert kept.tobytes() == model.buffer.tobytes(), "get_weights() differs from what set_weights() was given"


def _trains(learner: Learner, model: GlobalModel, params: TrainParams) -> bytes:
    answer = answer_train(learner, model.layout, model.weights, params)
    assert not answer.cast, f"train() returned another dtype for {answer.cast[0]!r}; keep {model.weights[answer.cast[0]].dtype}"
    trained = model.layout.pack(answer.weights)
    unsound = model.layout.first_not_finite(trained)
    assert unsound is None, f"train() made {unsound!r} NaN or infinite"
    return trained.tobytes()


def _evaluates_alike_twice(learner: Learner, model: GlobalModel) -> None:
    first, second = (answer_evaluate(learner, model.weights, EVALUATE) for _ in range(2))
    assert first == second, "evaluate() of the same weights gave other metrics the second time: it must not change the model"
