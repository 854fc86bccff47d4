"""The actor kernel: mailboxes, addresses, supervision, time. It knows nothing of what its actors do.

    actor.py       what a user writes: an actor's state and handlers     handlers.py    which method handles which message
    message.py     requests, Terminated, outcomes                        reply.py       the futures of answers; circles of asks
    ref.py         an actor's address and cell: messages and turns       bounded.py     the same, with a bounded mailbox
    runqueue.py    whose turn it is                                      runner.py      the task of an actor's coroutines
    supervisor.py  supervision as data and as a pure decision            life.py        children, failure, end and restart
    belongings.py  timers, owned tasks, watches                          mailbox.py     where messages to the dead go
    system.py      the top of the tree                                   trace.py       statistics, flight recorder
    clock.py       the time

One thread, one event loop. A message is told with one append; all that costs more is in a file that most messages never see.
"""

from fedactors.runtime.actor import Actor
from fedactors.runtime.clock import Clock
from fedactors.runtime.handlers import handle
from fedactors.runtime.message import DeadLetter, Outcome, Request, Terminated
from fedactors.runtime.ref import ActorRef
from fedactors.runtime.reply import Deferred
from fedactors.runtime.supervisor import Action, Backoff, Decision, Restart, Strategy, Supervision
from fedactors.runtime.system import ActorSystem
from fedactors.runtime.trace import ActorStatistics, SystemStatistics

__all__ = [
    "Action",
    "Actor",
    "ActorRef",
    "ActorStatistics",
    "ActorSystem",
    "Backoff",
    "Clock",
    "DeadLetter",
    "Decision",
    "Deferred",
    "Outcome",
    "Request",
    "Restart",
    "Strategy",
    "Supervision",
    "SystemStatistics",
    "Terminated",
    "handle",
]
