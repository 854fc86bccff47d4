"""The testing kit, public: virtual time, probes, checks of messages.

    clock.py       an event loop in virtual time
    probe.py       an actor that keeps what it is sent
    immutable.py   every message must be immutable

Seeded schedules are the system's own: `ActorSystem(seed=7, shuffle=True)` gives a random one of the ready actors the next turn.
"""

from fedactors.testing.clock import Deadlock, VirtualClock, VirtualLoop, run_virtual
from fedactors.testing.immutable import find_mutable, immutable_check
from fedactors.testing.probe import Probe

__all__ = ["Deadlock", "Probe", "VirtualClock", "VirtualLoop", "find_mutable", "immutable_check", "run_virtual"]
