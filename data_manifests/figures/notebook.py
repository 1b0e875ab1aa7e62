"""Datasets, manifests, runs and scores as small HTML fragments, which notebooks show for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import cv2
import numpy as np

from data_manifests.colors import Color
from data_manifests.errors import DataError, counted
from data_manifests.figures.drawing import Image, colorize
from data_manifests.figures.labels import draw_labels
from data_manifests.figures.viewer import image_uri
from data_manifests.files.masks import read_mask
from data_manifests.label_maps import LabelMap
from data_manifests.layouts.base import Dataset, DatasetItem
from data_manifests.manifest.rows import read_row_annotation, read_row_image, require_no_web
from data_manifests.manifest.schema import Manifest, ManifestRow
from data_manifests.manifest.words import annotation_words

_NUM_IMAGES, _IMAGE_SIDE = 4, 192
_MOST_LINES, _LONGEST = 24, 60


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Args:
        name: Its name.
        share: Length of its bar, 0..1; NaN for none.
        text: The number beside the bar.
        color: Colour of the class, if it is one.
    """

    name: str
    share: float
    text: str
    color: Color | None = None


def fragment(title: str, facts: Iterable[str], lines: Sequence[Line] = (), images: str = "") -> str:
    """Build a fragment of HTML; all text is escaped, and its size is bounded.

    Args:
        title: The heading.
        facts: Sentences below it; empty ones are left out.
        lines: Lines of the table, of which the first 24 are shown.
        images: HTML of ``thumbnails``.
    """
    rows = "".join(map(_row, lines[:_MOST_LINES]))
    if len(lines) > _MOST_LINES:
        rows += f'<tr><td colspan="3">and {len(lines) - _MOST_LINES} more</td></tr>'
    text = ". ".join(_short(fact, 4 * _LONGEST) for fact in facts if fact)
    table = f'<table style="margin:.4em 0">{rows}</table>' if rows else ""
    return f"<div><b>{_short(title, 2 * _LONGEST)}</b><div>{text}</div>{images}{table}</div>"


def _row(line: Line) -> str:
    width = 0 if math.isnan(line.share) else 100 * min(1.0, max(0.0, line.share))
    color = "#0072b2" if line.color is None else "#{:02x}{:02x}{:02x}".format(*line.color)
    bar = (
        '<div style="width:10em;height:.8em;background:#8883">'
        f'<div style="width:{width:.1f}%;height:100%;background:{color}"></div></div>'
    )
    name = f'<td style="text-align:left">{_short(line.name)}</td>'
    return f'<tr>{name}<td>{bar}</td><td style="text-align:right">{_short(line.text)}</td></tr>'


def _short(text: str, most: int = _LONGEST) -> str:
    return escape(text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - most // 2 :]}")


def thumbnails(images: Sequence[tuple[str, Callable[[], Image]]]) -> str:
    """Draw the first four images side by side; one that cannot be read leaves its reason.

    Args:
        images: Names, and functions that draw each image: RGB, uint8, shape (H, W, 3), within 192x192.
    """
    cells = []
    for name, draw in images[:_NUM_IMAGES]:
        try:
            drawn = f'<img src="{image_uri(draw())}" alt="{_short(name)}" style="display:block">'
        except DataError as error:
            drawn = f"<div>{_short(str(error), 8 * _LONGEST)}</div>"
        cells.append(
            f'<figure style="margin:0;max-width:{_IMAGE_SIDE}px">{drawn}<small>{_short(name)}</small></figure>'
        )
    return f'<div style="display:flex;gap:.5em;flex-wrap:wrap">{"".join(cells)}</div>' if cells else ""


def manifest_html(manifest: Manifest) -> str:
    """Show a manifest: its splits, its annotations in words, images with their labels, and how many have each class."""
    space, annotated = manifest.label_space, [row for row in manifest.rows if row.annotation]
    facts = [
        _splits(manifest.splits),
        f"{counted(len(annotated), 'image')} annotated: {annotation_words(manifest.info) or 'from elsewhere'}",
        f"{space.name}, {counted(space.num_classes, 'class', 'classes')}",
    ]
    shown: list[tuple[str, Callable[[], Image]]] = []
    try:
        require_no_web(manifest)
        shown = [(row.image_id, lambda row=row: _labelled(manifest, row)) for row in annotated]  # type: ignore[misc]
    except DataError as error:
        facts.append(str(error))
    counts = [sum(i in row.classes_labelled for row in annotated) for i in range(space.num_classes)]
    most = max(1, len(annotated))
    lines = [
        Line(c.name, count / most, counted(count, "image"), c.color)
        for c, count in zip(space.classes, counts, strict=True)
    ]
    return fragment(f"Manifest {manifest.name}", facts, lines, thumbnails(shown))


def dataset_html(dataset: Dataset) -> str:
    """Show a dataset folder: its splits and classes, and images under their full masks."""
    splits = {name: sum(item.split == name for item in dataset.items) for name in dataset.splits}
    facts = [f"{dataset.layout} layout", _splits(splits), f"{dataset.root}", *dataset.notes]
    lines = [Line(c.name, math.nan, f"train id {i}", c.color) for i, c in enumerate(dataset.label_space.classes)]
    shown = [(item.image_id, lambda item=item: _masked(dataset, item)) for item in dataset.items]
    return fragment(f"Dataset {dataset.root.name}", facts, lines, thumbnails(shown))


def _splits(splits: Mapping[str, int]) -> str:
    return f"{counted(sum(splits.values()), 'image')}: " + ", ".join(f"{name} {n:,}" for name, n in splits.items())


def _labelled(manifest: Manifest, row: ManifestRow) -> Image:
    small = _small(read_row_image(manifest, row))
    height, width = small.shape[:2]
    layer = draw_labels(read_row_annotation(manifest, row), manifest.label_space, (height, width), dot_share=0.04)
    opacity = layer[..., 3:] / np.float32(255)
    return np.rint(small * (1 - opacity) + layer[..., :3] * opacity).astype(np.uint8)


def _masked(dataset: Dataset, item: DatasetItem) -> Image:
    mask = read_mask(item.mask, dataset.encoding)
    label_map = dataset.label_space.to_train_ids(mask, dataset.encoding, item.mask)
    if item.image_path is None:
        return _small(colorize(label_map, dataset.label_space))
    image = _small(dataset.images.read(item.image_path))
    small: LabelMap = cv2.resize(  # type: ignore[assignment]
        label_map, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_NEAREST
    )
    return colorize(small, dataset.label_space, image, opacity=0.5)


def _small(image: Image) -> Image:
    """Scale an image into 192x192; any number of bands but three becomes grey."""
    if image.shape[2] != 3:
        image = np.repeat(image.mean(2, keepdims=True).round().astype(np.uint8), 3, axis=2)
    height, width = image.shape[:2]
    scale = _IMAGE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
