"""A simple cost model of annotation, with times from the literature."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from data_manifests.files.paths import as_path
from data_manifests.files.text import read_toml
from sparsekit.errors import AnnotationError

#: Seconds for the full mask of an image, by label space: Bearman et al. 2016 for PASCAL VOC, Cordts et al. 2016 (more
#: than 1.5 hours, including quality control) for Cityscapes.
FULL_MASK_SECONDS = {"pascal_voc": 239.7, "cityscapes": 5400.0}


def _seconds(default: float | None, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True)
class CostModel:
    """Seconds per action; the defaults are times measured in the literature.

    The time for an image is the sum of a fixed part, the time to see that a class is absent (for each class of the
    label space without a mark), and the time for each mark. The first click on a class takes longer than further ones,
    because the class must be found and selected.

    Raises:
        ValueError: If a number is negative, infinite or NaN.

    References:
        Bearman et al., "What's the point: semantic segmentation with point supervision", ECCV 2016: 1 s for an absent
        class, 2.4 s for the first click on a class, 0.9 s for a further one, 10.9 s for a squiggle. On PASCAL VOC
        (20 classes, 1.5 of them per image), this gives 18.5 + 1.5 * 2.4 = 22.1 s for a click per class and
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
                raise ValueError(f"{name} must be at least 0, got {value}.")


def read_cost_model(path: str | Path) -> CostModel:
    """Read a model from TOML, with lines such as ``seconds_per_click = 3.0``; other values keep their defaults.

    Raises:
        AnnotationError: If the file is missing or invalid, or contains an unknown key or a value that is not a number.
    """
    path = as_path(path)
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file.") from error
    except ValueError as error:
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
