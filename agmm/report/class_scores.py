"""Scores of several runs, class by class, brought into a shape to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agmm.report.table_format import Difference, shown
from data_manifests import LabelSpace
from data_manifests.label_space import Color


@dataclass(frozen=True)
class ScoreLine:
    """The IoU of one class in each run, or the mean over the classes.

    Args:
        name: Of the class.
        color: Of the class; None for the mean.
        values: In per cent, one for each run; None where there is none.
        published: What is published for each run's annotation, likewise.
    """

    name: str
    color: Color | None
    values: tuple[float | None, ...]
    published: tuple[float | None, ...]

    @property
    def best(self) -> float | None:
        """The highest number as it is shown; None where the runs do not differ in it."""
        known = {shown(value) for value in self.values if value is not None}
        return max(known) if len(known) > 1 else None

    @property
    def gain(self) -> float | None:
        """How far the second of two runs is above the first, by the numbers shown; None where that cannot be said."""
        first, second = self.values if len(self.values) == 2 else (None, None)
        return None if first is None or second is None else Difference(second, first).shown


def score_lines(
    records: Sequence[Mapping[str, Any] | None], published: Sequence[Mapping[str, float]], label_space: LabelSpace
) -> list[ScoreLine]:
    """A line for each class and one, the last, for the mean.

    Args:
        records: Scores of each run, as ``agmm.runs.scores`` describes them; None for a run without.
        published: By class name and ``mIoU``, for each run; empty where nothing is published.
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
