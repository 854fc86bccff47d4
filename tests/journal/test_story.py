"""What the records of a run come to."""

from fedactors.journal import Committing, Counted, Given, Happened, Known, Opened, UnendedRound, told
from fedactors.record import Event, EventKind
from fedactors.task import TaskKind, TrainReport

TRAIN, EVALUATE = TaskKind.TRAIN, TaskKind.EVALUATE


class Run:
    """The records of a run, as its actors write them."""

    def __init__(self):
        self.records = []
        self.now_s = 0.0
        self.begin_life()

    def begin_life(self):
        self.records.append(Opened("clinics", 7, {}))

    def news(self, kind, **body):
        self.records.append(Happened(Event(len(self.records), self.now_s, EventKind(kind), body)))

    def count(self, learner, round_):
        counted = Counted(f"{learner}{round_}", learner, round_, len(self.records), 0, TrainReport(3))
        self.records.append(counted)
        self.news("update_accepted", round=round_, learner=learner, staleness=0, num_examples=3, metrics={})
        return counted

    def round(self, number, learners="ab", ended=True):
        """A round from its beginning to its commit, and to its end."""
        self.news("round_began", round=number, version=number - 1, cohort=list(learners), learners=len(learners))
        for learner in learners:
            self.records.append(Given(f"{learner}{number}", learner, TRAIN, number, number - 1))
        counted = tuple(self.count(learner, number) for learner in learners)
        self.records.append(Committing(number, number))
        self.news("round_committed", round=number, version=number, updates=len(learners))
        self.records += [Given(f"e{learner}{number}", learner, EVALUATE, number, number) for learner in learners]
        if ended:
            self.news("round_ended", record={"round": number})
        return counted

    @property
    def story(self):
        return told(self.records)


def test_members_are_those_who_joined_and_did_not_depart():
    run = Run()
    for learner in "abc":
        run.records.append(Known(learner, learner.encode()))
        run.news("learner_joined", learner=learner)
    run.news("learner_departed", learner="b", how="lost", why="silent")
    run.news("learner_joined", learner="b")
    run.news("learner_departed", learner="c", how="left", why="")
    assert set(run.story.here) == {"a", "b"}
    assert run.story.digests["a"] == b"a"


def test_a_commit_closes_what_was_given_and_counted_for_it():
    run = Run()
    run.news("initialised")
    counted = run.round(1, ended=False)
    story = run.story
    assert (story.version, story.next_round, story.committing, story.counted) == (1, 2, None, {})
    assert story.unended == {1: UnendedRound(1, 1, ("a", "b"), counted)}
    assert story.given == {(EVALUATE, "a", 1, 1): "ea1", (EVALUATE, "b", 1, 1): "eb1"}


def test_a_round_that_has_ended_is_over():
    run = Run()
    run.round(1)
    run.round(2)
    assert (run.story.unended, run.story.given, run.story.next_round) == ({}, {}, 3)


def test_what_counts_in_the_open_round_is_known():
    run = Run()
    run.round(1)
    run.news("round_began", round=2, version=1, cohort=["a", "b"], learners=2)
    run.records += [Given("a2", "a", TRAIN, 2, 1), Given("b2", "b", TRAIN, 2, 1)]
    counted = run.count("b", 2)
    assert run.story.counted == {"b2": counted}
    assert run.story.given == {(TRAIN, "a", 2, 1): "a2", (TRAIN, "b", 2, 1): "b2"}


def test_an_abandoned_round_leaves_nothing():
    run = Run()
    run.news("round_began", round=1, version=0, cohort=["a"], learners=1)
    run.records.append(Given("a1", "a", TRAIN, 1, 0))
    run.count("a", 1)
    run.news("round_abandoned", round=1, why="too few")
    assert (run.story.counted, run.story.given) == ({}, {})


def test_a_commit_that_had_begun_is_known():
    run = Run()
    run.round(1)
    run.records.append(Committing(2, 2))
    assert run.story.committing == Committing(2, 2)
    run.news("round_committed", round=2, version=2, updates=0)
    assert run.story.committing is None


def test_who_gives_updates_across_rounds_belongs_to_the_round():
    run = Run()
    run.news("round_began", round=1, version=0, cohort=[], learners=0)
    run.count("c", 1)
    run.news("round_committed", round=1, version=1, updates=1)
    assert run.story.unended[1].cohort == ("c",)


def test_time_between_two_lives_is_no_training():
    run = Run()
    run.news("waiting", why="")
    run.now_s = 10.0
    run.round(1)
    run.now_s = 14.0
    run.news("stopping", why="")
    run.begin_life()
    run.now_s = 1000.0
    run.news("resumed", lives=2, round=2, version=1)
    run.now_s = 1003.0
    run.round(2)
    assert run.story.trained_s == 4.0 + 3.0
    assert run.story.lives == 2
