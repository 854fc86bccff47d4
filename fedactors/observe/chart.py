"""Charts as SVG, drawn by our own few lines so that a page with them is one small file; pure.

Colours are CSS variables of the page: --ink, --dim, --line, and --series-1 to --series-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 34, 40
"""Around the drawing, for title, ticks and names."""
TICKS = 7
POINTS_MAX = 1_000
"""Of a line; of a longer one every so manieth is drawn."""
DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "1 2")
"""Of one line after another, so that they differ without their colours."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places.

    Attributes:
        low, high: values at the ends; different.
        start, end: their places, in pixels.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value has its place."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Scale:
        """One on which all of these have a place."""
        low, high = min(values), max(values)
        room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room, start, end)

    def ticks(self) -> list[float]:
        """Round values within it, about TICKS."""
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


def line_chart(title: str, x_name: str, lines: Mapping[str, Points]) -> str:
    """Lines over the same axes, with a legend where there are several; empty where there is no finite point."""
    finite = {name: _thinned([point for point in points if all(map(math.isfinite, point))]) for name, points in lines.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    everything = [point for points in finite.values() for point in points]
    x = Scale.over([point[0] for point in everything], LEFT, WIDTH - RIGHT)
    y = Scale.over([point[1] for point in everything], HEIGHT - BOTTOM, TOP)
    drawn = [_line(points, x, y, number) for number, points in enumerate(finite.values())]
    said = "; ".join(f"{name} ends at {points[-1][1]:.4g}" for name, points in finite.items())
    legend = _legend(list(finite), _line_key) if len(finite) > 1 else ""
    return _framed(title, x_name, f"{title} by {x_name}: {said}", _axes(x, y) + "".join(drawn)) + legend


def stacked_bar(title: str, parts: Mapping[str, float], texts: Mapping[str, str]) -> str:
    """One bar of several parts, each as long as its share; empty where there is nothing to share."""
    total, at, drawn = sum(parts.values()), 0.0, []
    if total <= 0:
        return ""
    for number, (name, part) in enumerate(parts.items()):
        width = 100 * part / total
        tip = f"<title>{escape(name)}: {escape(texts[name])}</title>"
        drawn.append(f'<rect class="part-{number + 1}" x="{at:.2f}%" y="0" width="{width:.2f}%" height="28">{tip}</rect>')
        at += width
    said = escape(f"{title}: " + ", ".join(f"{name} {texts[name]}" for name in parts), quote=True)
    bar = f'<svg class="bar" role="img" aria-label="{said}" width="100%" height="28">{"".join(drawn)}</svg>'
    return bar + _legend([f"{name} {texts[name]}" for name in parts], _part_key)


def _thinned(points: Points) -> Points:
    step = math.ceil(len(points) / POINTS_MAX)
    return points if step <= 1 else [*points[:-1:step], points[-1]]


def _line(points: Points, x: Scale, y: Scale, number: int) -> str:
    places = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    style = f'class="line series-{number % len(DASHES) + 1}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
    if len(points) == 1:
        return f'<circle {style} cx="{x(points[0][0]):.1f}" cy="{y(points[0][1]):.1f}" r="3"/>'
    return f'<polyline {style} points="{places}"/>'


def _axes(x: Scale, y: Scale) -> str:
    bottom, parts = HEIGHT - BOTTOM, []
    for tick in y.ticks():
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.6g}</text>')
    for tick in x.ticks():
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.6g}</text>')
    return "".join(parts)


def _framed(title: str, x_name: str, said: str, drawing: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return (
        f'<svg class="chart" role="img" aria-label="{escape(said, quote=True)}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>{drawing}'
        f'<text class="tick" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text></svg>'
    )


def _legend(names: Sequence[str], key: Callable[[int], str]) -> str:
    keys = (f'<li><svg width="22" height="10">{key(number)}</svg>{escape(name)}</li>' for number, name in enumerate(names))
    return f'<ul class="legend">{"".join(keys)}</ul>'


def _line_key(number: int) -> str:
    kind, dash = number % len(DASHES) + 1, DASHES[number % len(DASHES)]
    return f'<line class="line series-{kind}" stroke-dasharray="{dash}" x1="0" x2="22" y1="5" y2="5"/>'


def _part_key(number: int) -> str:
    return f'<rect class="part-{number + 1}" width="22" height="10"/>'
