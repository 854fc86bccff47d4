"""Federations in virtual time, to ask what a protocol does with many, slow or unreliable learners.

simulate    a federation in virtual time, to its end
virtual     virtual learners as actors, in the place of proxies
work        what a virtual learner computes: nothing, or really the user's training
comparison  several protocols side by side, and a plot
clock       an event loop in virtual time
throughput  how fast schedules decide; combining: how fast rules combine, against bandwidth
"""

from fedactors.simulation.simulate import Simulated, simulate

__all__ = ["Simulated", "simulate"]
