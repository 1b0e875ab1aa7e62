"""Line charts for the page: numbers that a template turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 160
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 8, 36


@dataclass(frozen=True)
class Line:
    """One curve.

    Args:
        name: Name in the legend and the read-out.
        color: Index of the run, which determines its colour.
        style: ``solid``, ``dashed`` or ``dotted``.
        points: Epochs and values.
    """

    name: str
    color: int
    style: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Chart:
    """Curves over the epochs.

    Args:
        title: Title above the chart.
        unit: Suffix of values, such as `` %``.
        lines: At least one line, with at least one point.
        span: First and last epoch of the axis; by default those of the lines.
    """

    title: str
    unit: str
    lines: tuple[Line, ...]
    span: tuple[int, int] | None = None

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Positions (from the top) and labels of the horizontal grid lines."""
        low, high, step = self._scale
        count = round((high - low) / step)
        decimals = max(0, -math.floor(math.log10(step)))
        return [(self._y(low + i * step), f"{low + i * step:.{decimals}f}") for i in range(count + 1)]

    @property
    def epochs(self) -> list[int]:
        """All epochs with a value, ascending."""
        return sorted({epoch for line in self.lines for epoch, _ in line.points})

    @property
    def epoch_ticks(self) -> list[tuple[float, int]]:
        """Positions (from the left) and epochs of the ticks below."""
        first, last = self._span
        step = max(1, round(nice_step((last - first) / 8)))
        return [(self._x(epoch), epoch) for epoch in range(first, last + 1) if epoch % step == 0 or step == 1]

    def path(self, line: Line) -> str:
        """Points of an SVG polyline."""
        return " ".join(f"{self._x(epoch):.1f},{self._y(value):.1f}" for epoch, value in line.points)

    def to_json(self) -> dict[str, object]:
        """Positions and values by epoch, for the read-out."""
        by_line = [dict(line.points) for line in self.lines]
        return {
            "unit": self.unit,
            "epochs": self.epochs,
            "x": [round(self._x(epoch), 1) for epoch in self.epochs],
            "values": [[values.get(epoch) for epoch in self.epochs] for values in by_line],
            "y": [[self._rounded_y(values.get(epoch)) for epoch in self.epochs] for values in by_line],
        }

    def _rounded_y(self, value: float | None) -> float | None:
        return None if value is None else round(self._y(value), 1)

    def _x(self, epoch: float) -> float:
        first, last = self._span
        share = (epoch - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        low, high, _ = self._scale
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    @property
    def _span(self) -> tuple[int, int]:
        return self.span or (self.epochs[0], self.epochs[-1])

    @property
    def _scale(self) -> tuple[float, float, float]:
        values = [value for line in self.lines for _, value in line.points]
        low, high = min(0.0, *values), max(0.0, *values)
        step = nice_step((high - low or 1) / 5)
        return math.floor(low / step) * step, max(1, math.ceil(high / step)) * step, step


def nice_step(least: float) -> float:
    """Return the smallest number of the form 1, 2 or 5 times a power of ten that is at least ``least``.

    Example:
        >>> nice_step(0.3), nice_step(7), nice_step(20)
        (0.5, 10.0, 20.0)
    """
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least) + 1e-9)
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9)))


def make_charts(charts: Sequence[tuple[str, str, Sequence[Line]]]) -> list[Chart]:
    """Make charts with a common epoch axis.

    Args:
        charts: Title, unit and lines of each. Lines without points and charts without lines are omitted.
    """
    drawn = [(title, unit, tuple(line for line in lines if line.points)) for title, unit, lines in charts]
    epochs = [epoch for _, _, lines in drawn for line in lines for epoch, _ in line.points]
    return [Chart(title, unit, lines, (min(epochs), max(epochs))) for title, unit, lines in drawn if lines]
