"""Which federation gets there first? One simulation of each, and their curves over virtual time side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fedactors.errors import ExtraMissing
from fedactors.simulation.clock import EPOCH_S
from fedactors.simulation.simulate import Simulated


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric of the global model over virtual time.

    Attributes:
        name: of the federation.
        points: (virtual seconds since the beginning, value) of each evaluated round, in order.
        simulated: what it was taken from.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    simulated: Simulated

    @classmethod
    def of(cls, name: str, simulated: Simulated, metric: str) -> Curve:
        """The curve of one metric."""
        points = []
        for record in simulated.results.rounds:
            if metric in record.metrics:
                committed_s = datetime.fromisoformat(record.started_at).timestamp() - EPOCH_S + record.duration_s
                points.append((committed_s, record.metrics[metric]))
        return cls(name, tuple(points), simulated)

    def reached_s(self, target: float, direction: str = "max") -> float | None:
        """Virtual seconds until the metric was as good as `target`; None if it never was."""
        for seconds, value in self.points:
            if value >= target if direction == "max" else value <= target:
                return seconds
        return None


def plot(curves: Sequence[Curve], metric: str, path: Path, target: float | None = None) -> None:
    """Draw the curves into an image file.

    Raises:
        ExtraMissing: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraMissing("a plot", "matplotlib", "plot") from error
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot([seconds for seconds, _ in curve.points], [value for _, value in curve.points], marker=".", label=curve.name)
    if target is not None:
        axes.axhline(target, color="grey", linestyle=":", label=f"target {target:g}")
    axes.set_xlabel("virtual time, s")
    axes.set_ylabel(metric)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
