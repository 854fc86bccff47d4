"""What the books keep of learners, for selection policies and for pace."""

import itertools
import math

import pytest

from fedactors.scheduling.base import EvaluationArrived, Terms, UpdateArrived
from fedactors.scheduling.books import Books
from fedactors.selection.base import Candidate
from fedactors.selection.everyone import Everyone
from fedactors.task import EvaluationReport, TrainReport


@pytest.fixture
def books():
    kept = Books(Terms(Everyone(), 1, (f"t{n}" for n in itertools.count(1))))
    kept.join(Candidate("a", 10, frozenset({"x"})))
    return kept


def train(books, number, **report):
    """Learner a trains from second 1 to second 3.5 and reports this; what is then known of it."""
    books.listen(1.0)
    books.train("a", number)
    books.listen(3.5)
    books.arrive(UpdateArrived(f"t{number}", "a", TrainReport(10, **report)))
    books.accept(f"t{number}")
    return books.here["a"]


def evaluate(books, task, loss):
    books.evaluate("a", 1, 1)
    books.evaluated(EvaluationArrived(task, "a", EvaluationReport(5, {"loss": loss})))
    return books.here["a"].loss


def test_what_a_learner_reports_is_known_of_it(books):
    known = train(books, 1, ms_per_batch=2.0, ms_per_epoch=10.0, metrics={"loss": 0.5})
    assert known == Candidate("a", 10, frozenset({"x"}), 0.5, 2.5, 1, 1, 2.0, 10.0)
    assert train(books, 2, metrics={"loss": 0.25}) == Candidate("a", 10, frozenset({"x"}), 0.25, 2.5, 2, 2, 2.0, 10.0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_diverged_says_nothing(books, loss):
    train(books, 1, metrics={"loss": 0.5})
    assert train(books, 2, metrics={"loss": loss}).loss == 0.5


def test_the_loss_of_an_evaluation_counts_where_training_reports_none(books):
    train(books, 1)
    assert evaluate(books, "t2", 0.75) == 0.75
    assert evaluate(books, "t3", 0.5) == 0.5


def test_the_loss_of_an_evaluation_does_not_count_where_training_reports_one(books):
    train(books, 1, metrics={"loss": 0.5})
    assert evaluate(books, "t2", 0.75) == 0.5


def test_what_is_known_outlives_a_second_join_and_not_a_departure(books):
    train(books, 1, metrics={"loss": 0.5})
    assert not books.join(Candidate("a", 20))
    assert (books.here["a"].loss, books.here["a"].num_examples, books.here["a"].tags) == (0.5, 20, frozenset())
    books.depart("a")
    assert books.join(Candidate("a", 20))
    assert books.here["a"] == Candidate("a", 20)
