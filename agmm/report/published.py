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
    """Where the numbers come from."""
    return str(_tables()["source"])


def official_images(label_space: LabelSpace) -> int | None:
    """Number of images of the official validation split, on which the published numbers hold; None for other data."""
    number: int | None = _tables().get(label_space.name, {}).get("num_images")
    return number


def published_iou(label_space: LabelSpace, annotation: str) -> Mapping[str, float]:
    """IoU of each class in per cent, and their mean as ``mIoU``, as the supplement gives them for AGMM without MT.

    Args:
        label_space: Of the classes; the names of a user's own classes may coincide with ours, so its name counts too.
        annotation: As ``agmm.studies.study.published_as`` calls it: ``point``, ``scribble``, or clicks per image.

    Returns:
        By class name; empty where nothing is published.

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
