"""When learners train and when their updates are combined: pure state machines, one a file.

    base         the dialogue: events, commands, Terms, Protocol, Schedule
    open_tasks   the book of tasks that are given and not yet answered
    synchronous  rounds: a cohort trains, its updates are combined, everybody begins again

A new protocol is one file here and one entry point in the group `fedactors.scheduling`;
`fedactors.testing.check_scheduler` tests it.
"""

from fedactors.scheduling.base import Protocol, Schedule, Terms

__all__ = ["Protocol", "Schedule", "Terms"]
