"""Estimated cost of an annotation: the minutes that a person would need, compared with full masks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_manifests import Manifest, ManifestError
from data_manifests.files.paths import without_links
from data_manifests.manifest.derive import read_source
from data_manifests.manifest.schema import GROWN
from sparsekit.annotated_images import AnnotatedImage, annotated_images, count_annotated
from sparsekit.audit.cost_model import FULL_MASK_SECONDS, CostModel
from sparsekit.audit.tables import format_table, number, share
from sparsekit.errors import AnnotationError


@dataclass(frozen=True)
class AnnotationCost:
    """Cost of one manifest.

    Args:
        name: The manifest's folder.
        num_images: Annotated images.
        counts: Number of actions of each kind, by name; ``click`` is the first click on a class of an image.
        seconds: Total seconds of each kind, by the same names.
        full_mask_seconds: Seconds for the full mask of one image; None if unknown.
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
        """Convert to plain numbers; ``full_mask_ratio`` is the time for full masks divided by the time for marks."""
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
    """Estimate the work behind the marks of a manifest, without reading images.

    Args:
        manifest: A manifest with marks; only annotated rows count. Grown labels cost what the marks of their source on
            the same images cost. In label maps that people painted, imported without marks, each connected patch of a
            class counts as a stroke, and each lone pixel as a click.
        model: Seconds per action; by default those of the literature. If it has no time for full masks,
            ``FULL_MASK_SECONDS`` of the manifest's label space applies, if there is one.
        split: Only this split.

    Raises:
        ManifestError: If there is no annotated row, or a mark cannot be drawn.
        AnnotationError: If the manifest has no marks, or the source of grown labels is missing.
    """
    if manifest.info.command == GROWN:
        return replace(annotation_cost(_drawn(manifest, split), model), name=manifest.name)
    model = model or CostModel()
    if model.seconds_per_full_mask is None:
        model = replace(model, seconds_per_full_mask=FULL_MASK_SECONDS.get(manifest.label_space.name))
    painted = manifest.info.command == "import" and not manifest.marks_path.is_file()
    if count_annotated(manifest, split) and not painted and not manifest.marks_path.is_file():
        raise AnnotationError(
            f"{manifest.path}: has no marks file, as is usual for labels from a network or another tool. The cost is "
            "that of drawing marks, so it cannot be estimated."
        )
    counts: Counter[str] = Counter()
    for image in annotated_images(manifest, split, with_marks=not painted):
        marks = _marks_of_patches(image) if painted else [(mark.kind, mark.class_id) for mark in image.marks]
        classes_marked = {class_id for _, class_id in marks}
        classes_clicked = {class_id for kind, class_id in marks if kind == "click"}
        kinds = Counter(kind for kind, _ in marks)
        counts["image"] += 1
        counts["class"] += manifest.label_space.num_classes - len(classes_marked)
        counts["click"] += len(classes_clicked)
        counts["further_click"] += kinds.pop("click", 0) - len(classes_clicked)
        counts.update(kinds)
    per_piece = {f.name.removeprefix("seconds_per_"): getattr(model, f.name) for f in fields(model)}
    counted = {name: counts[name] for name in per_piece if counts[name]}
    seconds = {name: count * per_piece[name] for name, count in counted.items()}
    return AnnotationCost(manifest.name, counts["image"], counted, seconds, model.seconds_per_full_mask)


def _marks_of_patches(image: AnnotatedImage) -> list[tuple[str, int]]:
    """Kind and class of the marks that a person painted: each connected patch of a class is one."""
    sparse = image.read_annotation()
    marks = []
    for class_id in np.unique(sparse[sparse != image.label_space.unlabelled_value]).tolist():
        own = (sparse == class_id).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=8)
        marks += [("click" if area == 1 else "stroke", class_id) for area in stats[1:, cv2.CC_STAT_AREA].tolist()]
    return marks


def _drawn(grown: Manifest, split: str | None) -> Manifest:
    """The annotation that people drew and labels were grown from, of the same images."""
    count_annotated(grown, split)
    image_ids = {row.image_id for row in grown.rows_of(split) if row.annotation}
    source, seen = grown, set[Path]()
    while source.info.command == GROWN:
        if (path := without_links(source.path)) in seen:
            raise AnnotationError(f"{path}: says that it was grown from itself.")
        seen.add(path)
        try:
            source = read_source(source, unchanged=False)
        except ManifestError as error:
            raise AnnotationError(
                f"{grown.path}: was grown from labels that cannot be read, and the cost depends on their marks. {error}"
            ) from error
    return source.filter(lambda row: row.image_id in image_ids)


def format_costs(costs: Sequence[AnnotationCost]) -> str:
    """Format a table with one row per manifest, and a table of the hours of each kind of action.

    The columns of full masks are omitted where no manifest has a time for them.
    """
    has_full_masks = any(cost.full_mask_seconds is not None for cost in costs)
    totals = []
    for cost in costs:
        data = cost.to_dict()
        own = {
            "annotation": cost.name,
            "images": f"{cost.num_images:,}",
            "min/image": number(data["minutes_per_image"], 2),
            "hours": _hours(data["hours"]),
        }
        full = {
            "full masks: min/image": number(data["full_mask_minutes_per_image"], 2),
            "full masks: hours": _hours(data["full_mask_hours"]),
            "full masks: times as long": number(data["full_mask_ratio"]),
        }
        totals.append(own | full if has_full_masks else own)
    names = dict.fromkeys(name for cost in costs for name, seconds in cost.seconds.items() if seconds)
    titles = {name: "absent class" if name == "class" else name.replace("_", " ") for name in names}
    parts = [
        {"hours for": cost.name, **{titles[name]: _hours(cost.seconds.get(name, 0.0) / 3600) for name in names}}
        for cost in costs
    ]
    return f"{format_table(totals)}\n\n{format_table(parts)}"


def _hours(hours: float | None) -> str:
    """Format hours to a tenth; below ten with enough digits to distinguish them from zero.

    Example:
        >>> _hours(123.456), _hours(1.23456), _hours(0.0123456), _hours(0.0)
        ('123.5', '1.23', '0.012', '0.00')
    """
    if hours is None or hours >= 10:
        return number(hours)
    return number(hours, 2 if hours == 0 or hours >= 0.1 else 1 - math.floor(math.log10(hours)))
