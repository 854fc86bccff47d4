"""How learners are made, and what is said when one cannot be."""

import pytest

from fedactors.errors import LearnerFailed
from fedactors.learner import Learner, LearnerContext, build_learner
from fedactors.testing.learners import ScriptedLearner

FOUR = "get_weights, set_weights, train and evaluate"
CONTEXT = LearnerContext(id="anna", index=1, count=3, seed=5, options={"width": 2})


class Duck:
    def __init__(self, context=None):
        self.context = context

    def get_weights(self): ...

    def set_weights(self, weights): ...

    def train(self, weights, params): ...

    def evaluate(self, weights, params): ...


class Unfinished(Learner):
    def get_weights(self):
        return {}

    def set_weights(self, weights):
        pass


class Raising(ScriptedLearner):
    def __init__(self, context):
        raise FileNotFoundError(f"no data for\n{context.id}")


class Quitting(ScriptedLearner):
    def __init__(self, context):
        raise SystemExit("cannot go on")


class WithoutContext(ScriptedLearner):
    def __init__(self):
        super().__init__()


def three(context):
    return 3


def none_at_all(context):
    return None


def test_an_entry_is_called_with_its_context():
    assert build_learner(Duck, CONTEXT).context is CONTEXT


def test_an_entry_may_be_a_function():
    assert isinstance(build_learner(lambda context: Duck(context.id), CONTEXT), Duck)


def test_a_learner_that_was_made_already_is_taken_as_it_is():
    learner = ScriptedLearner()
    assert build_learner(learner, CONTEXT) is learner


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Unfinished, "Unfinished lacks evaluate and train; a learner has get_weights, set_weights, train and evaluate"),
        (
            WithoutContext,
            "WithoutContext cannot be called with one argument, the learner's context: def __init__(self, context)",
        ),
        (3, "3 cannot be called with one argument, the learner's context: def __init__(self, context)"),
        (three, f"three returned an int without {FOUR}; a learner has {FOUR}"),
        (none_at_all, f"none_at_all returned None without {FOUR}; a learner has {FOUR}"),
        (Raising, r"Raising could not be made: FileNotFoundError: no data for anna (test_base.py:LINE in __init__)"),
        (Quitting, r"Quitting could not be made: SystemExit: cannot go on (test_base.py:LINE in __init__)"),
    ],
)
def test_what_cannot_be_a_learner_is_refused_in_one_line(entry, said):
    with pytest.raises(LearnerFailed) as caught:
        build_learner(entry, CONTEXT)
    line = entry.__init__.__code__.co_firstlineno + 1 if "LINE" in said else 0
    assert str(caught.value) == said.replace("LINE", str(line))
