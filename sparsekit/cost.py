"""What an annotation would have cost: minutes of a person's work by a simple model, beside those of full masks."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from data_manifests import Manifest
from sparsekit.annotated import annotated_images, count_annotated
from sparsekit.errors import AnnotationError
from sparsekit.tables import format_table, number, share

#: Seconds for the full mask of an image, by label space: Bearman et al. 2016 for PASCAL VOC, Cordts et al. 2016 (more
#: than 1.5 hours, quality control included) for Cityscapes.
FULL_MASK_SECONDS = {"pascal_voc": 239.7, "cityscapes": 5400.0}


def _seconds(default: float | None, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class CostModel:
    """Seconds of work; the defaults are times measured in the literature.

    The time for an image is the sum of: a fixed part; for each class of the label space that got no mark, the time to
    see that it is absent; and the time for each mark, where the first click on a class takes longer than further ones,
    since the class has to be found and chosen.

    Raises:
        ValueError: If a number is negative, infinite or NaN.

    References:
        Bearman et al., "What's the point: semantic segmentation with point supervision", ECCV 2016: 1 s for an absent
        class, 2.4 s for the first click on a class, 0.9 s for a further one, 10.9 s for a squiggle. On PASCAL VOC
        (20 classes, 1.5 of them in an image) that makes 18.5 + 1.5 * 2.4 = 22.1 s for a click per class and
        18.5 + 1.5 * 10.9 = 34.9 s for a squiggle per class.
        Jain and Grauman, "Predicting sufficient annotation strength for interactive foreground segmentation",
        ICCV 2013: 7 s for a box, 20 s for a sloppy contour.
    """

    seconds_per_image: float = _seconds(0.0, "to open an image and look at it")
    seconds_per_class: float = _seconds(1.0, "to see that a class is absent")
    seconds_per_click: float = _seconds(2.4, "for the first click on a class")
    seconds_per_further_click: float = _seconds(0.9, "for each further click on a class")
    seconds_per_stroke: float = _seconds(10.9, "for a stroke")
    seconds_per_block: float = _seconds(10.9, "for a block (never timed in the literature: taken as a stroke)")
    seconds_per_box: float = _seconds(7.0, "for a box")
    seconds_per_polygon: float = _seconds(20.0, "for a coarse polygon")
    seconds_per_full_mask: float | None = _seconds(None, "for the full mask of an image")

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a number from 0 on, got {value}.")


def read_cost_model(path: Path) -> CostModel:
    """Read a model from TOML: ``seconds_per_click = 3.0`` and so on; what is not there keeps its default.

    Raises:
        AnnotationError: If the file is missing, no TOML, or holds a key that is no number of the model.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: not a TOML file ({error}).") from error
    names = [f.name for f in fields(CostModel)]
    for key, value in values.items():
        if key not in names:
            raise AnnotationError(f"{path}: unknown key '{key}'. Choose from: {', '.join(names)}.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AnnotationError(f"{path}: {key} must be a number of seconds, got {value!r}.")
    try:
        return CostModel(**values)
    except ValueError as error:
        raise AnnotationError(f"{path}: {error}") from error


@dataclass(frozen=True)
class AnnotationCost:
    """Cost of one manifest.

    Args:
        name: The manifest's folder.
        num_images: Annotated images.
        counts: How often each part of the work was done, by name; ``click`` is the first on a class of an image.
        seconds: Seconds for all of it, by the same names.
        full_mask_seconds: Seconds for the full mask of one image; None if nobody said.
    """

    name: str
    num_images: int
    counts: Mapping[str, int]
    seconds: Mapping[str, float]
    full_mask_seconds: float | None

    @property
    def total_seconds(self) -> float:
        """Seconds for all images."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers; ``full_mask_ratio`` says how many times as long full masks would take."""
        full = None if self.full_mask_seconds is None else self.full_mask_seconds * self.num_images
        return {
            "annotation": self.name,
            "num_images": self.num_images,
            "minutes_per_image": self.total_seconds / self.num_images / 60,
            "hours": self.total_seconds / 3600,
            "full_mask_minutes_per_image": None if self.full_mask_seconds is None else self.full_mask_seconds / 60,
            "full_mask_hours": None if full is None else full / 3600,
            "full_mask_ratio": None if full is None else share(full, self.total_seconds),
            "counts": dict(self.counts),
            "seconds": dict(self.seconds),
        }


def annotation_cost(manifest: Manifest, model: CostModel | None = None, *, split: str | None = None) -> AnnotationCost:
    """Estimate the work behind the marks of a manifest; reads no image.

    Args:
        manifest: Its annotated rows count.
        model: Seconds of each part; the literature's when not given. Without a time for full masks, that of the
            manifest's label space in ``FULL_MASK_SECONDS`` is taken, if there is one.
        split: Only this split.

    Raises:
        ManifestError: If there is no annotated row.
        AnnotationError: If the manifest comes without marks, or a mark is of a kind that the model has no time for.
    """
    model = model or CostModel()
    if model.seconds_per_full_mask is None:
        model = replace(model, seconds_per_full_mask=FULL_MASK_SECONDS.get(manifest.label_space.name))
    if count_annotated(manifest, split) and not manifest.marks_path.is_file():
        raise AnnotationError(
            f"{manifest.path}: no marks beside it, as with labels of a network or of another tool. The cost is that of "
            "drawing marks, so it cannot be told without."
        )
    counts: Counter[str] = Counter()
    for image in annotated_images(manifest, split):
        classes_marked = {mark.class_id for mark in image.marks}
        classes_clicked = {mark.class_id for mark in image.marks if mark.kind == "click"}
        kinds = Counter(mark.kind for mark in image.marks)
        counts["image"] += 1
        counts["class"] += manifest.label_space.num_classes - len(classes_marked)
        counts["click"] += len(classes_clicked)
        counts["further_click"] += kinds.pop("click", 0) - len(classes_clicked)
        counts.update(kinds)
    per_piece = {f.name.removeprefix("seconds_per_"): getattr(model, f.name) for f in fields(model)}
    if unknown := sorted(set(counts) - set(per_piece)):
        raise AnnotationError(f"{manifest.marks_path}: no time is known for marks of kind '{unknown[0]}'.")
    counted = {name: counts[name] for name in per_piece if counts[name]}
    seconds = {name: count * per_piece[name] for name, count in counted.items()}
    name = manifest.path.absolute().parent.name
    return AnnotationCost(name, counts["image"], counted, seconds, model.seconds_per_full_mask)


def format_costs(costs: Sequence[AnnotationCost]) -> str:
    """A table with a row for each manifest, and one of the hours that each part of the work takes."""
    totals = []
    for cost in costs:
        data = cost.to_dict()
        totals.append(
            {
                "annotation": cost.name,
                "images": f"{cost.num_images:,}",
                "min/image": number(data["minutes_per_image"], 2),
                "hours": _hours(data["hours"]),
                "full masks: min/image": number(data["full_mask_minutes_per_image"], 2),
                "full masks: hours": _hours(data["full_mask_hours"]),
                "full masks: times as long": number(data["full_mask_ratio"]),
            }
        )
    names = dict.fromkeys(name for cost in costs for name, seconds in cost.seconds.items() if seconds)
    titles = {name: "absent class" if name == "class" else name.replace("_", " ") for name in names}
    parts = [
        {"hours for": cost.name, **{titles[name]: _hours(cost.seconds.get(name, 0.0) / 3600) for name in names}}
        for cost in costs
    ]
    return f"{format_table(totals)}\n\n{format_table(parts)}"


def _hours(hours: float | None) -> str:
    """Hours to a tenth; below ten with as many digits as tell them from zero.

    Example:
        >>> _hours(123.456), _hours(1.23456), _hours(0.0123456), _hours(0.0)
        ('123.5', '1.23', '0.012', '0.00')
    """
    if hours is None or hours >= 10:
        return number(hours)
    return number(hours, 2 if hours == 0 or hours >= 0.1 else 1 - math.floor(math.log10(hours)))
