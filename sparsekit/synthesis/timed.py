"""Annotators with a budget of minutes instead of marks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from data_manifests import Mark
from sparsekit.audit.cost_model import CostModel
from sparsekit.synthesis.annotators import ClickAnnotator, ScribbleAnnotator, Subject

# More than anybody draws in an hour, for models in which marks take no time.
_MOST_CLICKS, _MOST_STROKES = 100_000, 9999


@dataclass(frozen=True)
class TimedAnnotator:
    """As many clicks or strokes as a person could draw in a number of minutes per image.

    The marks of an image come in the order of ``annotator``, and stop where the model's time for them would exceed the
    budget. Smaller budgets are the first marks of larger ones.

    Args:
        annotator: What is drawn: clicks per image, or strokes per image; its own budget is ignored.
        minutes: Minutes per image.
        model: Seconds per action, as in ``sparsekit cost``.

    Raises:
        ValueError: If a budget is not a number above 0, occurs twice, or marks are not counted per image.
    """

    annotator: ClickAnnotator | ScribbleAnnotator
    minutes: tuple[float, ...]
    model: CostModel = field(default_factory=CostModel)

    def __post_init__(self) -> None:
        if not self.minutes or len(set(self.minutes)) < len(self.minutes):
            raise ValueError(f"Give one number of minutes or several different ones, got {self.minutes or 'none'}.")
        if wrong := [m for m in self.minutes if not 0 < m <= 60]:
            raise ValueError(f"minutes must lie above 0 and up to 60 per image, got {wrong[0]}.")
        if isinstance(self.annotator, ClickAnnotator):
            how = self.annotator.settings
            if how.budget_name != "clicks_per_image":
                raise ValueError(f"Minutes need clicks per image, but strategy {how.strategy} has {how.budget_name}.")
        elif len(self.annotator.shares) > 1:
            raise ValueError("Minutes need one length of strokes.")

    @property
    def command(self) -> str:
        """See ``Annotator``."""
        return self.annotator.command

    @property
    def uses_instances(self) -> bool:
        """See ``Annotator``."""
        return self._unbounded.uses_instances

    @property
    def _unbounded(self) -> ClickAnnotator | ScribbleAnnotator:
        """The annotator, with more marks than fit into the time."""
        seconds = 60 * max(self.minutes)
        if isinstance(self.annotator, ClickAnnotator):
            cheapest = min(self.model.seconds_per_click, self.model.seconds_per_further_click)
            return replace(self.annotator, budgets=(_how_many(seconds, cheapest, _MOST_CLICKS),))
        strokes = _how_many(seconds, self.model.seconds_per_stroke, _MOST_STROKES)
        return replace(self.annotator, settings=replace(self.annotator.settings, per="image", strokes=strokes))

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """See ``Annotator``."""
        times = {name: value for name, value in asdict(self.model).items() if name != "seconds_per_full_mask"}
        if isinstance(self.annotator, ClickAnnotator):
            ((name, settings),) = replace(self.annotator, budgets=(1,)).variants()
            del settings["clicks_per_image"]
            name = f"clicks{name.removeprefix('1clicks')}"
        else:
            ((name, settings),) = self.annotator.variants()
            settings = {key: value for key, value in settings.items() if key not in ("per", "strokes")}
            name = f"scribbles{round(100 * self.annotator.shares[0])}"
        return [(f"{m:g}min-{name}", {**settings, "minutes": m, **times}) for m in self.minutes]

    def inputs(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """See ``Annotator``."""
        return self.annotator.inputs(image_ids)

    def annotate(self, subject: Subject) -> list[list[Mark]]:
        """See ``Annotator``."""
        (marks,) = self._unbounded.annotate(subject)
        ends = [num_affordable(marks, subject.space.num_classes, self.model, 60 * m) for m in self.minutes]
        return [marks[:end] for end in ends]


def num_affordable(marks: Sequence[Mark], num_classes: int, model: CostModel, seconds: float) -> int:
    """How many of the first marks of an image fit into a time: the most whose cost, as ``sparsekit cost`` has it, does.

    Args:
        marks: Clicks and strokes.
        num_classes: Classes of the label space; those without a mark cost time too.
        model: Seconds per action.
        seconds: The time.
    """
    cost = model.seconds_per_image + num_classes * model.seconds_per_class
    marked: set[int] = set()
    clicked: set[int] = set()
    fitting = 0
    for number, mark in enumerate(marks, start=1):
        if mark.kind == "stroke":
            cost += model.seconds_per_stroke
        else:
            cost += model.seconds_per_further_click if mark.class_id in clicked else model.seconds_per_click
            clicked.add(mark.class_id)
        if mark.class_id not in marked:
            cost -= model.seconds_per_class
            marked.add(mark.class_id)
        if cost <= seconds + 1e-9:
            fitting = number
    return fitting


def _how_many(seconds: float, each: float, most: int) -> int:
    return most if each <= 0 else max(1, min(most, math.ceil(seconds / each) + 1))
