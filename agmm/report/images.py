"""Images, label maps and marks of a manifest's rows, prepared for figures and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from agmm.data.resize import SUPERSAMPLING, Rgb, average_down, shrink_labels
from agmm.report.style import ERROR_COLOR
from data_manifests import DataError, LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.figures.drawing import colorize, draw_dot, paint_pixels, widen_lines
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image

_T = TypeVar("_T")
_LEAST_LINE = 3  # least width of a patch without its rim, in pixels of the result


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
            raise DataError(f"{manifest.path}: there is no image '{missing[0]}'.")
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


def draw_marks(annotation: LabelMap, label_space: LabelSpace, size: tuple[int, int], dot_share: float = 0.028) -> Rgb:
    """Draw the labelled pixels of an annotation at a visible size, as `sparsekit render` does.

    Isolated pixels become dots with a rim; larger patches keep their shape, at least 3 pixels wide, and get a rim.

    Args:
        annotation: Train ids, shape (H, W), with the unlabelled value elsewhere.
        label_space: Defines colours and the unlabelled value.
        size: Height and width of the result.
        dot_share: Diameter of a dot as a share of the result's longer side.

    Returns:
        RGBA, uint8, transparent where nothing is labelled.
    """
    labelled = (annotation != label_space.unlabelled_value).astype(np.uint8)
    _, components, stats, centres = cv2.connectedComponentsWithStats(labelled, connectivity=8)
    lone = stats[:, cv2.CC_STAT_AREA] == 1
    drawn = np.zeros((*size, 4), np.uint8)
    if (stats[1:, cv2.CC_STAT_AREA] > 1).any():
        patches = annotation.copy()
        patches[lone[components]] = label_space.unlabelled_value
        fine = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
        canvas = np.zeros((*fine, 4), np.uint8)
        lines = widen_lines(shrink_labels(patches, fine), _LEAST_LINE * SUPERSAMPLING, label_space.unlabelled_value)
        paint_pixels(canvas, lines, label_space, rim=SUPERSAMPLING)
        drawn = average_down(canvas, size)
    dot_size = max(1.0, dot_share * max(size))
    down, right = size[0] / annotation.shape[0], size[1] / annotation.shape[1]
    for x, y in centres[lone].astype(int).tolist():
        color = label_space.classes[annotation[y, x]].color
        draw_dot(drawn, (y + 0.5) * down, (x + 0.5) * right, dot_size, color)
    return drawn


def lay_over(image: Rgb, layer: Rgb) -> Rgb:
    """Blend an RGBA layer over an RGB image of the same size."""
    alpha = layer[..., 3:].astype(np.uint16)
    return ((image * (255 - alpha) + layer[..., :3] * alpha + 127) // 255).astype(np.uint8)
