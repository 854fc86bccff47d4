"""The testing kit, public: virtual time, probes, scripted learners, and what every plug-in owes its federation.

    clock            an event loop in virtual time
    probe            an actor that keeps what it is sent
    immutable        every message must be immutable
    failing_store    a model store that fails once, at any operation
    learners         learners that do as they are told
    faulty_wire      a bad network on a real socket; faults: what befalls its connections
    conformance_*    one check for each kind of plug-in: rule, scheduler, selection, form, store, transport, learner

Seeded schedules are the system's own: `ActorSystem(seed=7, shuffle=True)` gives a random one of the ready actors the next turn.
"""

from fedactors.simulation.clock import Deadlock, VirtualClock, VirtualLoop, run_virtual
from fedactors.testing.conformance_form import check_form
from fedactors.testing.conformance_learner import check_learner
from fedactors.testing.conformance_rule import check_rule
from fedactors.testing.conformance_scheduler import Referee, check_scheduler
from fedactors.testing.conformance_selection import check_selection
from fedactors.testing.conformance_store import check_large_model, check_many_learners, check_store
from fedactors.testing.conformance_transport import check_transport
from fedactors.testing.failing_store import FailingStorage
from fedactors.testing.faults import Direction, Ending, Faults, everyone, only
from fedactors.testing.faulty_wire import FaultyWire, WireStatistics
from fedactors.testing.immutable import find_mutable, immutable_check
from fedactors.testing.learners import ScriptedLearner
from fedactors.testing.probe import Probe

__all__ = [
    "Deadlock",
    "Direction",
    "Ending",
    "FailingStorage",
    "Faults",
    "FaultyWire",
    "Probe",
    "Referee",
    "ScriptedLearner",
    "VirtualClock",
    "VirtualLoop",
    "WireStatistics",
    "check_form",
    "check_large_model",
    "check_learner",
    "check_many_learners",
    "check_rule",
    "check_scheduler",
    "check_selection",
    "check_store",
    "check_transport",
    "everyone",
    "find_mutable",
    "immutable_check",
    "only",
    "run_virtual",
]
