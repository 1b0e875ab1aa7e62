"""Compare two sets of sparse annotations, such as synthetic and human ones, by their pixels alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

from data_manifests import LabelMap, read_manifest
from data_manifests.errors import counted, list_some
from data_manifests.files.images import list_images
from data_manifests.files.masks import read_mask
from data_manifests.files.paths import as_path
from data_manifests.manifest.relocate import with_data_root
from data_manifests.parallel import map_in_order
from sparsekit.annotated_images import AnnotatedImage, annotated_images, count_annotated
from sparsekit.audit.tables import format_table, number, share
from sparsekit.errors import AnnotationError

#: Measures by name, with their labels in tables; the last four need full masks.
MEASURES = {
    "image_labelled": "image labelled, %",
    "classes_labelled": "classes labelled in an image",
    "strokes_per_class": "strokes of a class in an image",
    "stroke_width": "stroke width, px",
    "stroke_length": "stroke length / image diagonal",
    "stroke_extent": "stroke extent / image diagonal",
    "stroke_straightness": "stroke extent / length",
    "class_labelled": "class labelled, % of its pixels in an image",
    "classes_reached": "classes of an image labelled, %",
    "off_class": "labels on another class or void, %",
    "on_void": "labels on void, %",
}
_PERCENT = {"image_labelled", "class_labelled", "classes_reached", "off_class", "on_void"}

Values = dict[str, list[float]]


@dataclass(frozen=True)
class SparseMap:
    """Location of one sparse label map.

    Args:
        path: Its file, if it does not belong to a manifest.
        mask_path: Its full mask, if there is one; 255 is void.
        unlabelled: The value of unlabelled pixels.
        of_manifest: The image of a manifest, instead of the other fields.
    """

    path: Path = Path()
    mask_path: Path | None = None
    unlabelled: int = 255
    of_manifest: AnnotatedImage | None = None

    def read(self) -> tuple[LabelMap, LabelMap | None, int]:
        """Return the sparse label map, the full mask if there is one, and the unlabelled value.

        Raises:
            AnnotationError: If no pixel is unlabelled, or the full mask has another size.
        """
        if image := self.of_manifest:
            full_mask = image.read_full_mask() if image.row.full_mask else None
            return image.read_annotation(), full_mask, image.label_space.unlabelled_value
        sparse = read_mask(self.path)
        if not (sparse == self.unlabelled).any():
            raise AnnotationError(
                f"{self.path}: no pixel has the unlabelled value {self.unlabelled}; its values are "
                f"{list_some([str(v) for v in np.unique(sparse)])}. Give the value that means unlabelled: --unlabelled."
            )
        full_mask = read_mask(self.mask_path) if self.mask_path else None
        if full_mask is not None and full_mask.shape != sparse.shape:
            raise AnnotationError(
                f"{self.mask_path}: full mask is {full_mask.shape[1]}x{full_mask.shape[0]} (width x height), but "
                f"{self.path} is {sparse.shape[1]}x{sparse.shape[0]}."
            )
        return sparse, full_mask, self.unlabelled


def sparse_maps(
    path: str | Path,
    unlabelled: int = 255,
    masks_dir: str | Path | None = None,
    data_root: str | Path | None = None,
) -> tuple[list[str], Iterator[SparseMap]]:
    """Find the sparse label maps of a manifest or of a folder of PNG files.

    Args:
        path: A manifest.csv, a folder that holds one, or a folder of label maps at any depth.
        unlabelled: The value of unlabelled pixels in a folder of label maps; a manifest defines its own.
        masks_dir: Full masks with the same stems, for a folder of label maps.
        data_root: Present folder of a manifest's dataset, if it has moved.

    Returns:
        Image ids (for files, their stems), and the maps in the same order.

    Raises:
        DataError: If there is nothing to measure, or a label map has no full mask in ``masks_dir``.
        ValueError: If ``masks_dir`` is given for a manifest, which lists its own full masks.
    """
    path, masks_dir = as_path(path), None if masks_dir is None else as_path(masks_dir)
    if path.is_file() or (path / "manifest.csv").is_file():
        if masks_dir:
            raise ValueError(f"{path} is a manifest, with full masks of its own; --masks is for folders of label maps.")
        manifest = read_manifest(path)
        if data_root is not None:
            manifest = with_data_root(manifest, data_root)
        count_annotated(manifest)  # raises if there is no annotation
        image_ids = [row.image_id for row in manifest.rows if row.annotation]
        images = annotated_images(manifest, with_marks=False)
        return image_ids, (SparseMap(of_manifest=image) for image in images)
    if not path.is_dir():
        raise AnnotationError(f"{path}: no such file or folder; expected a manifest.csv or a folder of label maps.")
    files = list_images(path, (".png",))
    if not files:
        raise AnnotationError(f"{path}: contains neither a manifest.csv nor a PNG label map.")
    twice = [f"{p} and {q}" for p, q in pairwise(sorted(files, key=lambda p: p.stem)) if p.stem == q.stem]
    if twice:
        raise AnnotationError(
            f"{path}: holds several files of one image ({list_some(twice, limit=1)}). Give a folder that holds only "
            "the sparse label maps, without images or full masks."
        )
    masks = {p.stem: p for p in list_images(masks_dir)} if masks_dir else {}
    if masks_dir and (lonely := [p.stem for p in files if p.stem not in masks]):
        raise AnnotationError(f"{masks_dir}: no full mask for {list_some(lonely)}.")
    return [p.stem for p in files], (SparseMap(p, masks.get(p.stem), unlabelled) for p in files)


def images_in_both(ours: Sequence[str], theirs: Sequence[str]) -> tuple[set[str], set[str]]:
    """Images of each set that are also in the other; a file ``a`` in a folder matches the image ``train/a``."""
    best: tuple[set[str], set[str]] = set(), set()
    for whole_ours, whole_theirs in ((True, True), (False, True), (True, False)):
        keys = [
            {image_id: image_id if whole else image_id.rpartition("/")[2] for image_id in ids}
            for ids, whole in ((ours, whole_ours), (theirs, whole_theirs))
        ]
        common = {*keys[0].values()} & {*keys[1].values()}
        if common and len(common) > len({keys[1][image_id] for image_id in best[1]}):
            best = tuple({image_id for image_id, key in of.items() if key in common} for of in keys)  # type: ignore[assignment]
    return best


def measure_maps(
    maps: Iterable[SparseMap], *, workers: int | None = 1, on_image: Callable[[], None] = lambda: None
) -> Values:
    """Measure label maps.

    Args:
        maps: From ``sparse_maps``.
        workers: Number of processes, None for as many as save time; it does not change the result.
        on_image: Called after each map.

    Returns:
        Values by key of ``MEASURES``: one per image, class of an image, or stroke. Shares lie in 0..1.
    """
    values: Values = {name: [] for name in MEASURES}
    for of_map in map_in_order(_measure_file, list(maps), workers):
        for name, some in of_map.items():
            values[name] += some
        on_image()
    return values


def _measure_file(sparse_map: SparseMap) -> Values:
    return measure_map(*sparse_map.read())


def measure_map(sparse: LabelMap, full_mask: LabelMap | None, unlabelled: int) -> Values:
    """Measure one sparse label map.

    A stroke is an 8-connected region of one label, so crossing strokes of a class count as one. Its length is that of
    its skeleton; its width is that of a stroke of this length with round ends and the region's area; its extent is the
    diagonal of its bounding box.

    Args:
        sparse: Labels, shape (H, W).
        full_mask: Labels of all pixels, shape (H, W), if known; the largest value of its type (255 or 65535) is void.
        unlabelled: The value of unlabelled pixels in ``sparse``.

    Returns:
        Values of ``MEASURES``.
    """
    labels, counts = np.unique(sparse[sparse != unlabelled], return_counts=True)
    values: Values = {name: [] for name in MEASURES}
    values["image_labelled"] = [int(counts.sum()) / sparse.size]
    values["classes_labelled"] = [float(labels.size)]
    for label in labels.tolist():
        strokes = _strokes(sparse == label, math.hypot(*sparse.shape))
        values["strokes_per_class"].append(float(len(strokes)))
        for stroke in strokes:
            for name, value in stroke.items():
                values[name].append(value)
    if full_mask is not None:
        _compare_with_mask(values, sparse, full_mask, sparse != unlabelled)
    return values


def _strokes(mask: NDArray[np.bool_], diagonal: float) -> list[dict[str, float]]:
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    _, regions = cv2.connectedComponents(mask[top : top + height, left : left + width].view(np.uint8), connectivity=8)
    strokes = []
    for i, box in enumerate(ndimage.find_objects(np.asarray(regions, np.int32)), start=1):
        stroke_mask = regions[box] == i
        height, width = stroke_mask.shape
        length = skeleton_length(stroke_mask)
        extent = math.hypot(width - 1, height - 1)
        stroke = {
            "stroke_width": stroke_width(int(np.count_nonzero(stroke_mask)), length),
            "stroke_length": length / diagonal,
            "stroke_extent": extent / diagonal,
        }
        if length:
            stroke["stroke_straightness"] = min(extent / length, 1.0)
        strokes.append(stroke)
    return strokes


def skeleton_length(mask: NDArray[np.bool_]) -> float:
    """Length of the skeleton of a region in pixels: 1 per straight step, the square root of 2 per diagonal step.

    Like any count of steps, it overestimates oblique lines by up to 8 %.
    """
    if mask.sum() < 2:
        return 0.0
    line = np.pad(skeletonize(mask), 1)  # type: ignore[no-untyped-call]
    straight = np.count_nonzero(line[:-1] & line[1:]) + np.count_nonzero(line[:, :-1] & line[:, 1:])
    # The four pixels of each 2x2 block; a diagonal step beside two straight ones would count a corner twice.
    a, b, c, d = line[:-1, :-1], line[:-1, 1:], line[1:, :-1], line[1:, 1:]
    diagonal = np.count_nonzero(a & d & ~b & ~c) + np.count_nonzero(b & c & ~a & ~d)
    return straight + math.sqrt(2) * diagonal


def stroke_width(area: float, length: float) -> float:
    """Width w of a stroke with round ends, which solves area = length * w + pi / 4 * w**2.

    Example:
        >>> round(stroke_width(area=50 * 4 + 3.14159265 * 4, length=50), 6)
        4.0
    """
    return (math.sqrt(length**2 + math.pi * area) - length) * 2 / math.pi


def _compare_with_mask(values: Values, sparse: LabelMap, full_mask: LabelMap, labelled: NDArray[np.bool_]) -> None:
    void = np.iinfo(full_mask.dtype).max
    right = labelled & (sparse == full_mask)
    pixels = np.bincount(full_mask[full_mask != void])
    hits = np.bincount(full_mask[right & (full_mask != void)], minlength=pixels.size)
    values["class_labelled"] = (hits[hits > 0] / pixels[hits > 0]).tolist()
    if num_classes := np.count_nonzero(pixels):
        values["classes_reached"] = [np.count_nonzero(hits) / num_classes]
    if num_labelled := np.count_nonzero(labelled):
        values["off_class"] = [1 - np.count_nonzero(right) / num_labelled]
        values["on_void"] = [np.count_nonzero(labelled & (full_mask == void)) / num_labelled]


@dataclass(frozen=True)
class Comparison:
    """Measurements of two sets of annotations.

    Args:
        names: Name of each set.
        image_ids: Images of each set.
        values: Result of ``measure_maps`` for each set, on all of its own images.
    """

    names: tuple[str, str]
    image_ids: tuple[Sequence[str], Sequence[str]]
    values: tuple[Values, Values]

    @property
    def num_common(self) -> int:
        """Number of images in both sets; see ``images_in_both``."""
        return min(map(len, images_in_both(*self.image_ids)))

    def rows(self) -> list[dict[str, Any]]:
        """For each measure, the 10th, 50th and 90th percentile of both sets and the ratio of the medians."""
        rows = []
        for name, text in MEASURES.items():
            ours, theirs = (_percentiles(values[name]) for values in self.values)
            if ours or theirs:
                ratio = share(ours[1], theirs[1]) if ours and theirs else None
                rows.append({"measure": name, "text": text, "ours": ours, "human": theirs, "ratio": ratio})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers; percentiles are the 10th, 50th and 90th, shares lie between 0 and 1."""
        sides = [{"name": n, "num_images": len(ids)} for n, ids in zip(self.names, self.image_ids, strict=True)]
        measures = {row.pop("measure"): row for row in self.rows()}
        return {"ours": sides[0], "human": sides[1], "num_images_in_both": self.num_common, "measures": measures}


def _percentiles(values: Sequence[float]) -> list[float] | None:
    return np.percentile(values, [10, 50, 90]).tolist() if values else None


def format_comparison(comparison: Comparison) -> str:
    """Format a table with one row per measure, and a line that says whether both sets contain the same images."""
    ours, theirs = (len(ids) for ids in comparison.image_ids)
    titles = [f"{n} ({counted(c, 'image')})" for n, c in zip(comparison.names, (ours, theirs), strict=True)]
    table = format_table(
        [
            {
                "median (10th..90th percentile)": row["text"],
                titles[0]: _spread(row["ours"], row["measure"]),
                titles[1]: _spread(row["human"], row["measure"]),
                "ratio": number(row["ratio"], 2),
            }
            for row in comparison.rows()
        ]
    )
    return f"{table}\n\n{_images_in_words(ours, theirs, comparison.num_common)}"


def _images_in_words(ours: int, theirs: int, common: int) -> str:
    if ours == theirs == common:
        return "Both contain the same images."
    images = counted(common, "image is", "images are") if common else "No image is"
    names = "its name" if common < 2 else "their names"
    return f"{images} in both, by {names}; each side is measured on all of its own images (--common: only on these)."


def _spread(percentiles: list[float] | None, measure: str) -> str:
    if percentiles is None:
        return "-"
    low, median, high = (number(100 * p if measure in _PERCENT else p, 2) for p in percentiles)
    return f"{median} ({low}..{high})"
