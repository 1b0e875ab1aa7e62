"""Scores of several runs, class by class, prepared for display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agmm.report.table_format import Difference, shown
from data_manifests import LabelSpace
from data_manifests.colors import Color


@dataclass(frozen=True)
class ScoreLine:
    """The IoU of one class in each run, or the mean over the classes.

    Args:
        name: Name of the class.
        color: Colour of the class; None for the mean.
        values: IoU of each run in percent; None if unknown.
        published: Published IoU for each run's annotation in percent; None if there is none.
    """

    name: str
    color: Color | None
    values: tuple[float | None, ...]
    published: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """The highest number as shown; None if the runs do not differ."""
        known = {shown(value) for value in self.values if value is not None}
        return max(known) if len(known) > 1 else None

    @property
    def gain(self) -> float | None:
        """Gain of the second of two runs over the first, by the numbers as shown; None if undefined."""
        first, second = self.values if len(self.values) == 2 else (None, None)
        return None if first is None or second is None else Difference(second, first).shown


def score_lines(
    records: Sequence[Mapping[str, Any] | None], published: Sequence[Mapping[str, float]], label_space: LabelSpace
) -> list[ScoreLine]:
    """Make a line for each class, and a last one for the mean.

    Args:
        records: Scores of each run, in the format of ``agmm.runs.scores``; None for a run without scores.
        published: Published numbers for each run, by class name and ``mIoU``; empty if there are none.
        label_space: The classes.
    """

    def line(name: str, color: Color | None, values: list[float | None]) -> ScoreLine:
        in_percent = tuple(None if value is None else 100 * value for value in values)
        return ScoreLine(name, color, in_percent, tuple(theirs.get(name) for theirs in published))

    lines = [
        line(c.name, c.color, [record["classes"][i]["iou"] if record else None for record in records])
        for i, c in enumerate(label_space.classes)
    ]
    return [*lines, line("mIoU", None, [record["miou"] if record else None for record in records])]
