"""Published scores of each class (supplement, tables 3 and 4); tables 1 and 2 are in ``agmm.studies.paper_tables``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from data_manifests import LabelSpace


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads((files("agmm.report") / "published.toml").read_text(encoding="utf-8"))


def published_source() -> str:
    """Return the source of the published numbers."""
    return str(_tables()["source"])


def official_images(label_space: LabelSpace) -> int | None:
    """Return the size of the official validation split, for which numbers are published; None for other datasets."""
    number: int | None = _tables().get(label_space.name, {}).get("num_images")
    return number


def published_iou(label_space: LabelSpace, annotation: str) -> Mapping[str, float]:
    """Return the published IoU of each class in percent, and their mean as ``mIoU``, for AGMM without MT.

    Args:
        label_space: Label space of the run. Its name must match too, since custom classes may share names.
        annotation: ``point``, ``scribble``, or clicks per image; see ``agmm.studies.study.published_as``.

    Returns:
        IoU by class name; empty if nothing is published.

    Example:
        >>> from data_manifests import known_label_space
        >>> published_iou(known_label_space("cityscapes"), "50")["road"]
        96.5
    """
    table = _tables().get(label_space.name, {})
    scores = table.get("iou", {}).get(annotation)
    if scores is None or tuple(table["classes"]) != label_space.class_names:
        return {}
    return {**dict(zip(table["classes"], scores, strict=True)), "mIoU": table["miou"][annotation]}
