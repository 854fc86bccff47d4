"""What a federation of any size takes: a tree of relays, computed from what one controller was measured to cost. Pure.

Costs       of one controller process, measured by `scale.py`
Federation  how many learners, how large a model, how many at a time
plan        ─▶ a Level for each kind of node: how many there are, what each pays in a round, what each holds
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

PARAMETER_BYTES = 4
"""A weight in float32, on the wire and in memory."""
CHUNK_BYTES = 1024 * 1024
"""Of a model in one frame: of more than that, nothing is held for each learner."""
STEPS = 20_000
"""Of a numerical integral."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one process that leads learners: a controller, or a relay. Seconds are of processor time.

    Attributes:
        round_s: for a round, however few take part.
        update_s: for each learner that takes part in one: two tasks, a download, an upload, a report.
        parameter_s: for each parameter of each of them.
        join_s: for a learner that joins.
        heartbeat_s: for a heartbeat each way.
        process_bytes: resident before anybody joins.
        connection_bytes: for each learner that is there.
        active_share: of a chunk, or of a smaller model, that is held for each learner that takes part, besides.
        models: of memory, whatever the number of learners: versions, the sum, uploads, frames.
    """

    round_s: float
    update_s: float
    parameter_s: float
    join_s: float
    heartbeat_s: float
    process_bytes: float
    connection_bytes: float
    active_share: float
    models: float

    def cpu_s(self, children: float, parameters: int) -> float:
        """Of a round in which so many take part."""
        return self.round_s + children * (self.update_s + parameters * self.parameter_s)

    def held_bytes(self, connected: float, children: float, parameters: int) -> float:
        """The most that is resident."""
        model_bytes = PARAMETER_BYTES * parameters
        active_bytes = children * self.active_share * min(model_bytes, CHUNK_BYTES)
        return self.process_bytes + connected * self.connection_bytes + active_bytes + self.models * model_bytes


@dataclass(frozen=True, slots=True)
class Federation:
    """What is to be planned.

    Attributes:
        learners: that are there.
        share: of them that take part in a round, in (0, 1].
        parameters: of the model.
        training_s: median time that a learner trains, log-normal over the learners.
        spread: sigma of that log-normal's logarithm.
        heartbeat_s: `liveness.heartbeat_s`.
        leaf_children: learners that one relay leads, at most.
        fan_in: relays that a relay above leads, and the controller, at most.
        link_bytes_per_s: of the network at each node.
        cores: of a machine.
    """

    learners: int
    share: float
    parameters: int
    training_s: float = 60.0
    spread: float = 0.25
    heartbeat_s: float = 60.0
    leaf_children: int = 10_000
    fan_in: int = 100
    link_bytes_per_s: float = 1.25e9
    cores: int = 16

    @property
    def cohort(self) -> int:
        """Learners that take part in a round."""
        return max(1, round(self.share * self.learners))


@dataclass(frozen=True, slots=True)
class Level:
    """The nodes of one height in the tree, of which all do the same.

    Attributes:
        nodes: how many.
        connected: children of each.
        children: of them that take part in a round.
        cpu_s: processor time that each spends on a round.
        idle_cpu: share of one processor that each spends on heartbeats.
        wire_s: that its network needs for what it sends and receives in a round, at the link's pace.
        sent_bytes: to its children in a round.
        held_bytes: of memory.
    """

    nodes: int
    connected: float
    children: float
    cpu_s: float
    idle_cpu: float
    wire_s: float
    sent_bytes: float
    held_bytes: float

    @property
    def serving_s(self) -> float:
        """What a round takes longer because of this level: one event loop does the work, beside the network."""
        return max(self.cpu_s, self.wire_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """A federation's tree and what it comes to.

    Attributes:
        levels: from the controller down to those that lead learners.
        training_s: until the slowest learner of a round has trained.
        round_s: from a round's beginning to its commit, at least.
        machines: with `cores` each, two of which are reckoned for each node.
    """

    levels: tuple[Level, ...]
    training_s: float
    round_s: float
    machines: int

    @property
    def root(self) -> Level:
        """The controller."""
        return self.levels[0]


def plan(federation: Federation, costs: Costs) -> Plan:
    """The tree, and what it comes to. Every relay of a level takes part in a round; of the learners, `share` do."""
    counts = heights(federation.learners, federation.leaf_children, federation.fan_in)
    leaders = [_level(federation, costs, nodes, below / nodes, share=1.0) for nodes, below in pairwise(counts)]
    leaves = _level(federation, costs, counts[-1], federation.learners / counts[-1], federation.share)
    levels = (*leaders, leaves)
    training_s = slowest_s(federation.cohort, federation.training_s, federation.spread)
    round_s = training_s + sum(level.serving_s for level in levels)
    return Plan(levels, training_s, round_s, math.ceil(2 * sum(counts) / federation.cores))


def heights(learners: int, leaf_children: int, fan_in: int) -> list[int]:
    """How many nodes there are at each height, from the controller down; the controller alone where it can lead all."""
    counts = [math.ceil(learners / leaf_children)]
    while counts[0] > 1:
        counts.insert(0, math.ceil(counts[0] / fan_in))
    return counts


def _level(federation: Federation, costs: Costs, nodes: int, connected: float, share: float) -> Level:
    children, model_bytes = max(1.0, share * connected), PARAMETER_BYTES * federation.parameters
    return Level(
        nodes=nodes,
        connected=connected,
        children=children,
        cpu_s=costs.cpu_s(children, federation.parameters),
        idle_cpu=connected * costs.heartbeat_s / federation.heartbeat_s,
        wire_s=2 * children * model_bytes / federation.link_bytes_per_s,
        sent_bytes=children * model_bytes,
        held_bytes=costs.held_bytes(connected, children, federation.parameters),
    )


def slowest_s(learners: int, median_s: float, spread: float) -> float:
    """The mean time of the slowest of so many, log-normal: the integral of 1 - F(t)^n."""
    if not spread:
        return median_s
    top = median_s * math.exp(spread * 9.0)  # beyond it is less than 1e-18 of each
    times = np.linspace(0.0, top, STEPS)[1:]
    normal = NormalDist()
    below = np.array([normal.cdf(math.log(time_s / median_s) / spread) for time_s in times])
    return float(np.trapezoid(1.0 - below**learners, times)) + float(times[0])


@dataclass(frozen=True, slots=True)
class Point:
    """Processor time of one measured federation's round.

    Attributes:
        learners: that took part.
        parameters: of the model.
        cpu_s: of the controller, a round.
    """

    learners: int
    parameters: int
    cpu_s: float


def fit(points: Sequence[Point]) -> tuple[float, float, float]:
    """(round_s, update_s, parameter_s), the least squares of relative errors; none of them below 0."""
    rows = np.array([[1.0, point.learners, point.learners * point.parameters] for point in points])
    measured = np.array([point.cpu_s for point in points])
    used = [0, 1, 2]
    while True:
        found, *_ = np.linalg.lstsq(rows[:, used] / measured[:, None], np.ones(len(points)))
        if (found >= 0).all():
            break
        used.pop(int(np.argmin(found)))
    whole = np.zeros(3)
    whole[used] = found
    return tuple(whole.tolist())
