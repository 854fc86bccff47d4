"""When learners train and when their updates are combined: pure state machines, one a file.

    base              the dialogue: events, commands, Terms, Protocol, Schedule
    synchronous       rounds: a cohort trains, its updates are combined, everybody begins again
    semi_synchronous  rounds in which the fast ones train on more batches instead of waiting
    asynchronous      every update is combined as it comes
    buffered          every K updates are combined

    rounds            the machine of the first two;  pace: how many batches fit into a round
    stream            the machine of the last two;   idle: who is given the next task
    books             who is here, which tasks are open, which updates wait;  open_tasks, evaluations, cohort

A new protocol is one file here and one entry point in the group `fedactors.scheduling`;
`fedactors.testing.check_scheduler` tests it.
"""

from fedactors.scheduling.base import Protocol, Schedule, Terms

__all__ = ["Protocol", "Schedule", "Terms"]
