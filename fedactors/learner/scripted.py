"""A script at work as a learner: it runs in a thread of its own and waits there for models.

learner's thread   ask ──task──▶ ┌──────────┐ ──▶ is_running, receive
                   wait ◀answer─ │ Exchange │ ◀── init, send, or its end   script's thread
                                 └──────────┘
"""

from __future__ import annotations

import atexit
import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from typing_extensions import override

from fedactors.errors import LearnerFailed
from fedactors.learner import script as words
from fedactors.learner.base import Entry, Learner, LearnerContext
from fedactors.learner.blame import blamed, kind_of
from fedactors.learner.script import FLModel
from fedactors.task import EvaluateParams, TrainParams

EXIT_GRACE_S = 2.0
"""How long a process that ends by itself waits for a script that was told that it is over."""

_REPORTED = {"NUM_STEPS_CURRENT_ROUND": "num_batches", "num_batches": "num_batches", "num_examples": "num_examples"}
_SAID = ("version", "seed", "epochs", "steps", "batch_size", "learning_rate", "proximal_mu")

T = TypeVar("T")

_exchanges: weakref.WeakSet[Exchange] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class _Task:
    model: FLModel
    evaluation: bool


@dataclass(frozen=True, slots=True)
class _Began:
    weights: Any


@dataclass(frozen=True, slots=True)
class _Ended:
    why: str
    between_models: bool


class Exchange:
    """Between a learner and its script: at most one task at a time; the script answers it, or ends.

    Attributes:
        context: of the learner.
        asks_for_evaluations: whether the script ever asked which kind of task it was given.
        answers: how many tasks it has answered.
        has_ended: whether the script will take no more tasks.
    """

    def __init__(self, context: LearnerContext, run: Callable[[], Any]) -> None:
        self.context = context
        self.asks_for_evaluations = False
        self.answers = 0
        self.has_ended = False
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._back: queue.SimpleQueue[_Began | FLModel | _Ended] = queue.SimpleQueue()
        self._next: _Task | None = None
        self._at_hand: _Task | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._serve, args=(run,), name=f"script of {context.id}", daemon=True)

    # ----------------------------------------------------------------------------------------------- in the learner's thread

    def start(self) -> Any:
        """Run the script as far as its `init`, and return the weights that it starts from; None where it gave none.

        Raises:
            LearnerFailed: it ended before.
        """
        _exchanges.add(self)
        self._thread.start()
        began = _unless_ended(self._back.get())
        return began.weights if isinstance(began, _Began) else None

    def ask(self, model: FLModel, *, evaluation: bool) -> FLModel | None:
        """What the script answers; None if it had ended after its last answer, and never saw this model.

        Raises:
            LearnerFailed: it ended, by an error or without one.
        """
        self._tasks.put(_Task(model, evaluation))
        said = self._back.get()
        while isinstance(said, _Began):  # init once more
            said = self._back.get()
        if isinstance(said, _Ended) and said.between_models and self.answers:
            return None
        return _unless_ended(said)

    def close(self) -> None:
        """Tell the script that there will be no more models; does not wait for it."""
        self._tasks.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the script's end."""
        self._thread.join(timeout_s)

    # ------------------------------------------------------------------------------------------------ in the script's thread

    def begin(self, weights: Any) -> None:
        """The script is ready for models."""
        self._back.put(_Began(weights))

    def wait(self) -> bool:
        """Wait for a task; whether one is here."""
        if self._next is None and self._at_hand is None and not self._is_over:
            self._next = self._tasks.get()
            self._is_over = self._next is None
        return not self._is_over

    def receive(self) -> FLModel | None:
        """The next task's model; None at the end."""
        if self._at_hand is not None:
            raise LearnerFailed("receive() was called again before send(): every model that is received is answered once")
        if not self.wait():
            return None
        self._at_hand, self._next = self._next, None
        assert self._at_hand is not None
        return self._at_hand.model

    def send(self, model: FLModel) -> None:
        """The answer to the task at hand."""
        if self._at_hand is None:
            raise LearnerFailed("send() was called without a model to answer: receive() gives one")
        if not isinstance(model, FLModel):
            raise LearnerFailed(f"send() was given {kind_of(model)}; it takes an FLModel")
        self._at_hand = None
        self.answers += 1
        self._back.put(model)

    def is_evaluation(self) -> bool:
        """Whether the task at hand, or the next one, is to evaluate."""
        self.asks_for_evaluations = True
        self.wait()
        task = self._at_hand or self._next
        return task is not None and task.evaluation

    def _serve(self, run: Callable[[], Any]) -> None:
        words.exchange.set(self)
        try:
            main = run()
            if callable(main):
                main()
            why = "the script came to its end without an answer"
        except LearnerFailed as error:
            why = str(error)
        except BaseException as error:  # whatever it is, it is the script's, and somebody may wait for an answer
            why = f"the script ended: {blamed(error)}"
        self.has_ended = True  # before anybody hears of it, and asks again
        self._back.put(_Ended(why, between_models=self._at_hand is None and self._next is None))


class ScriptLearner(Learner):
    """A script, which is started with the first task, and anew with the next one after it ended.

    Args:
        run: runs the script; a function that it returns is run, too.
        context: of the learner.
    """

    def __init__(self, run: Callable[[], Any], context: LearnerContext) -> None:
        self._run, self._context = run, context
        self._weights: Any = None
        self._tensors = False
        self._only_trains = False
        self._exchange: Exchange | None = None

    @override
    def get_weights(self) -> Any:
        if self._weights is None:
            self._ready()
        if self._weights is None:
            raise LearnerFailed(
                'the script gives no weights to start from: flare.init(weights), or initial = "file:PATH.safetensors"'
            )
        return self._weights

    @override
    def set_weights(self, weights: Any) -> None:
        self._weights = _own(weights)

    @override
    def train(self, weights: Any, params: TrainParams) -> tuple[Any, Mapping[str, Any]]:
        answer = self._ask(weights, params)
        if answer.params is None:
            raise LearnerFailed("the script answered a model to train without params: flare.send(flare.FLModel(params=...))")
        self._weights = self._arrays(answer.params)
        return self._weights, _report(answer)

    @override
    def evaluate(self, weights: Any, params: EvaluateParams) -> Mapping[str, Any]:
        if self._only_trains:
            return {"num_examples": 0}
        return _report(self._ask(weights, params))

    def _ask(self, weights: Any, params: TrainParams | EvaluateParams) -> FLModel:
        """What the script answers to a model; one that ends after each answer begins anew for the next one."""
        answer = None
        while answer is None:
            exchange = self._ready()
            answer = exchange.ask(self._model(weights, params), evaluation=isinstance(params, EvaluateParams))
        self._only_trains = not exchange.asks_for_evaluations
        return answer

    def _ready(self) -> Exchange:
        """The exchange with a script that has begun."""
        if self._exchange is None or self._exchange.has_ended:
            exchange = Exchange(self._context, self._run)
            weakref.finalize(self, exchange.close).atexit = False
            began = exchange.start()
            self._exchange = exchange
            if self._weights is None and began is not None:
                self._weights = self._arrays(began)
        return self._exchange

    def _model(self, weights: Any, params: TrainParams | EvaluateParams) -> FLModel:
        said = {name: value for name in _SAID if (value := getattr(params, name, None)) is not None}
        given = _own(weights)
        if self._tensors:
            from fedactors.learner.torch import to_tensor

            given = {name: to_tensor(array) for name, array in given.items()}
        return FLModel(params=given, current_round=params.round, config={**said, **params.options})

    def _arrays(self, weights: Any) -> Any:
        """Weights as arrays; from now on the script is given PyTorch tensors, if these are some."""
        if not isinstance(weights, Mapping):
            return list(weights)
        self._tensors = any(hasattr(value, "detach") for value in weights.values())
        if not self._tensors:
            return dict(weights)
        from fedactors.learner.torch import to_numpy

        return {name: to_numpy(value) for name, value in weights.items()}


def script(run: Callable[[], Any]) -> Entry:
    """What makes a learner of a context, from what runs a script."""
    return lambda context: ScriptLearner(run, context)


def _unless_ended(said: T | _Ended) -> T:
    if isinstance(said, _Ended):
        raise LearnerFailed(said.why)
    return said


def _own(weights: Any) -> Any:
    """Copies that may be written to, by name or in order as they are."""
    if isinstance(weights, Mapping):
        return {name: np.array(array) for name, array in weights.items()}
    return [np.array(array) for array in weights]


def _report(answer: FLModel) -> dict[str, Any]:
    return {**answer.metrics, **{_REPORTED[key]: value for key, value in answer.meta.items() if key in _REPORTED}}


@atexit.register
def _end_all() -> None:
    """Let scripts do what comes after their loops, before the process ends."""
    running = [exchange for exchange in _exchanges if not exchange.has_ended]
    for exchange in running:
        exchange.close()
    for exchange in running:
        exchange.join(EXIT_GRACE_S)
