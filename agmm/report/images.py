"""Images, label maps and marks of a manifest's rows, prepared for figures and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from agmm.data.resize import Rgb
from agmm.report.style import ERROR_COLOR
from data_manifests import DataError, LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.figures.drawing import colorize
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image

_T = TypeVar("_T")


@dataclass(frozen=True)
class RowImages:
    """Contents of the files of a row.

    Args:
        row: The row.
        image: RGB, shape (H, W, 3); None if it cannot be read.
        truth: Train ids of the full mask, shape (H, W); None if there is none or it cannot be read.
        annotation: Train ids of the sparse labels, shape (H, W); None if there are none or they cannot be read.
        problems: One line for each file that cannot be read.
    """

    row: ManifestRow
    image: Rgb | None
    truth: LabelMap | None
    annotation: LabelMap | None
    problems: tuple[str, ...] = ()


def read_images(manifest: Manifest, row: ManifestRow) -> RowImages:
    """Read the files of a row, as far as possible."""
    problems: list[str] = []

    def attempt(name: str, read: Callable[[Manifest, ManifestRow], _T]) -> _T | None:
        if not name:
            return None
        try:
            return read(manifest, row)
        except DataError as error:
            problems.append(str(error))
            return None

    image = attempt(row.image, read_row_image)
    truth = attempt(row.full_mask, read_row_full_mask)
    annotation = attempt(row.annotation, read_row_annotation)
    return RowImages(row, image, truth, annotation, tuple(problems))


def choose_rows(
    manifest: Manifest, splits: Sequence[str], limit: int | None, image_ids: Sequence[str] = ()
) -> list[ManifestRow]:
    """Choose rows of some splits, spread evenly, or the requested images.

    Raises:
        DataError: If a split has no rows, or an image is not in the manifest.
    """
    if image_ids:
        by_id = {row.image_id: row for row in manifest.rows}
        if missing := [image_id for image_id in image_ids if image_id not in by_id]:
            raise DataError(f"{manifest.path}: has no image '{missing[0]}'.")
        return [by_id[image_id] for image_id in image_ids]
    rows = [row for split in splits for row in manifest.rows_of(split)]
    number = len(rows) if limit is None else min(limit, len(rows))
    return [rows[i * len(rows) // number] for i in range(number)]


def veil(label_map: LabelMap, label_space: LabelSpace) -> Rgb:
    """Draw a label map in its class colours, RGBA, transparent where it has no class."""
    says = label_map < label_space.num_classes
    return np.dstack([colorize(label_map, label_space), np.where(says, 255, 0).astype(np.uint8)])


def error_veil(preds: LabelMap, truth: LabelMap, label_space: LabelSpace) -> Rgb:
    """Draw wrong pixels in one colour, RGBA; correct pixels dim the image, void pixels are transparent."""
    known = truth < label_space.num_classes
    wrong = known & (preds != truth)
    color = np.where(wrong[..., None], np.array(ERROR_COLOR, np.uint8), np.uint8(0))
    alpha = np.where(wrong, 225, np.where(known, 90, 0))
    return np.dstack([color, alpha]).astype(np.uint8)


def lay_over(image: Rgb, layer: Rgb) -> Rgb:
    """Blend an RGBA layer over an RGB image of the same size."""
    alpha = layer[..., 3:].astype(np.uint16)
    return ((image * (255 - alpha) + layer[..., :3] * alpha + 127) // 255).astype(np.uint8)
