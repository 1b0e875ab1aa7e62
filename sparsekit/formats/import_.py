"""Make an annotation folder from another tool's annotations; it appears complete or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from data_manifests import (
    Dataset,
    DatasetItem,
    LabelMap,
    LabelSpace,
    Manifest,
    ManifestInfo,
    ManifestRow,
    Mark,
    __version__,
    write_manifest,
    write_marks,
)
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import exif_orientation
from data_manifests.files.masks import pixel_sha256
from data_manifests.files.paths import absolute, as_path, name_from
from data_manifests.files.samples import turn
from data_manifests.layouts.base import read_full_mask
from sparsekit.errors import AnnotationError
from sparsekit.formats import load_format
from sparsekit.formats.shared.masks import marks_of, paint, turn_drawn
from sparsekit.formats.shared.source import Imported, ImportOptions, ImportSource, image_shape, once_each
from sparsekit.formats.shared.whole_folder import whole_folder
from sparsekit.geometry.rasterize import rasterize
from sparsekit.synthesis.annotation_files import write_annotation

__all__ = ["ImportOptions", "ImportSummary", "import_annotations"]

#: Label maps whose parts have at most this many pixels are clicks, some of them adjacent.
_LARGEST_OF_CLICKS = 4

#: Margin in the share of agreeing labels by which a rotated mask is taken to be the right one.
_CLEARLY_BETTER = 0.25


@dataclass(frozen=True)
class ImportSummary:
    """Result of an import.

    Args:
        folder: Its folder.
        num_images: Annotated images.
        num_labelled: Number of their labelled pixels.
        num_marks: Number of their marks; None if the annotations are label maps with larger areas, which have no marks.
        num_evaluated: Images listed for evaluation.
        unmatched: Names in the annotations that match no image of the dataset.
        notes: What was skipped or changed, one sentence each.
    """

    folder: Path
    num_images: int
    num_labelled: int
    num_marks: int | None
    num_evaluated: int
    unmatched: tuple[str, ...]
    notes: tuple[str, ...] = ()


def import_annotations(
    source_dir: str | Path,
    format_: str,
    dataset: Dataset,
    out: str | Path,
    *,
    options: ImportOptions | None = None,
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> ImportSummary:
    """Make an annotation folder of another tool's annotations; it is there whole or not at all.

    Clicks remain clicks, and polylines become strokes. If no part of any label map has more than four pixels, each
    labelled pixel becomes a click; otherwise the result has label maps without marks.

    Args:
        source_dir: The annotations.
        format_: A name of ``sparsekit.formats.IMPORTED``.
        dataset: The dataset that they belong to.
        out: The folder to create: ``manifest.csv``, ``manifest.json``, ``annotations/`` and ``marks.csv``.
        options: How to read the annotations; by default ``ImportOptions()``.
        overwrite: Replace an existing annotation folder.
        on_image: Called after each annotated image.

    Raises:
        AnnotationError: If the annotations are damaged, have another format or belong to other images, or another
            folder is in the way.
        DataError: If a file of the dataset cannot be used.
        ValueError: If the format is unknown.
    """
    source_dir, out = as_path(source_dir), as_path(out)
    read = load_format(format_, "import").read
    assert read is not None  # guaranteed by FORMATS
    if not source_dir.is_dir():
        fault = "is a file" if source_dir.is_file() else "no such folder"
        raise AnnotationError(f"{source_dir}: {fault}; expected the folder that holds the annotations.")
    source = ImportSource(source_dir, dataset, options or ImportOptions())
    image_shape.cache_clear()  # images may have changed since the last import
    with whole_folder(out, lambda folder: (folder / "manifest.csv").is_file(), overwrite=overwrite) as folder:
        rows, marks = [], dict[str, tuple[Mark, ...] | None]()
        for one in once_each(read(source), source_dir):
            label_map, marks[one.item.image_id] = _annotation(_as_shown(one), source.space)
            _check_mask_is_as_shown(one.item, label_map, dataset)
            if (label_map == source.space.unlabelled_value).all():
                source.notes["images without a labelled pixel"] += 1
            row = _row(one.item, out, dataset)
            rows.append(write_annotation(row, label_map, folder, dataset.label_space))
            on_image()
        if not rows:
            found = source.names_and_notes()
            raise AnnotationError(f"{source_dir}: contains no annotation of an image in {dataset.root}.{found}")
        splits = sorted({row.split for row in rows})
        evaluated = [i for i in dataset.items if i.split not in (*splits, "train")]
        every_row = sorted([*rows, *(_row(item, out, dataset) for item in evaluated)], key=lambda row: row.image_id)
        drawn = {image_id: of_image for image_id, of_image in sorted(marks.items()) if of_image is not None}
        if len(drawn) == len(marks):
            write_marks(folder / "marks.csv", drawn.items())
        settings = {"format": format_, "splits": splits, "stroke_width": source.options.stroke_width}
        name = absolute(dataset.root).name
        info = ManifestInfo(
            dataset.label_space, dataset.encoding, name, dataset.layout, "import", settings, __version__,
            images=dataset.images,
        )  # fmt: skip
        write_manifest(Manifest(folder / "manifest.csv", tuple(every_row), info))
    num_marks = sum(map(len, drawn.values())) if len(drawn) == len(marks) else None
    num_labelled = sum(row.num_labelled for row in rows)
    source.note_unmet_names()
    unmatched, notes = tuple(source.unmatched), tuple(source.noted())
    return ImportSummary(out, len(rows), num_labelled, num_marks, len(evaluated), unmatched, notes)


def _as_shown(one: Imported) -> Imported:
    """Rotate an annotation of the stored pixels to the image as viewers display it."""
    if one.shape == image_shape(one.item):
        return one
    orientation = exif_orientation(one.item.image_or_mask)
    label_map = None if one.label_map is None else turn(one.label_map, orientation)
    drawn = tuple(turn_drawn(part, one.shape, orientation) for part in one.drawn)
    return Imported(one.item, image_shape(one.item), drawn, label_map)


def _check_mask_is_as_shown(item: DatasetItem, label_map: LabelMap, dataset: Dataset) -> None:
    """Reject a full mask of the stored pixels that only the annotation reveals, because its size fits.

    Raises:
        AnnotationError: If the annotation agrees far better with the mask rotated like its image.
    """
    orientation = exif_orientation(item.image_or_mask)
    if orientation == 1 or item.mask_path is None:
        return
    values = read_full_mask(item, dataset.encoding)
    full = dataset.label_space.to_train_ids(values, dataset.encoding, item.mask_path)
    turned = turn(full, orientation)
    labelled = label_map != dataset.label_space.unlabelled_value
    if turned.shape != full.shape or not labelled.any():
        return
    as_shown, as_stored = ((mask == label_map)[labelled].mean() for mask in (full, turned))
    if as_stored > as_shown + _CLEARLY_BETTER:
        raise AnnotationError(
            f"{item.mask_path}: agrees with {as_shown:.0%} of the labels that are imported for its image, but with "
            f"{as_stored:.0%} if rotated. Images are read as viewers display them, here rotated (EXIF orientation "
            f"{orientation}): rotate the mask too, or remove the orientation from the image."
        )


def _annotation(one: Imported, space: LabelSpace) -> tuple[LabelMap, tuple[Mark, ...] | None]:
    """Label map of an image, and its marks if it has any."""
    label_map = one.label_map
    if label_map is None:
        shape = image_shape(one.item)
        if (marks := marks_of(one.drawn, shape)) is not None:
            return rasterize(marks, shape, space), marks
        label_map = paint(one.drawn, shape, space)
    return label_map, _clicks(label_map, space)


def _row(item: DatasetItem, out: Path, dataset: Dataset) -> ManifestRow:
    """The row of an image without its annotation."""
    image, full_mask = (name_from(out, path) if path else "" for path in (item.image_path, item.mask_path))
    if item.mask_path is None:
        check_is_whole(item.image_or_mask)
        return ManifestRow(item.image_id, item.split, image, "", "", *image_shape(item))
    mask = read_full_mask(item, dataset.encoding)
    height, width = mask.shape
    return ManifestRow(
        item.image_id, item.split, image, full_mask, "", height, width, full_mask_sha256=pixel_sha256(mask)
    )  # fmt: skip


def _clicks(label_map: LabelMap, space: LabelSpace) -> tuple[Mark, ...] | None:
    """One click per labelled pixel, or None if the label map does not consist of clicks."""
    labelled = label_map != space.unlabelled_value
    _, _, stats, _ = cv2.connectedComponentsWithStats(labelled.astype(np.uint8), connectivity=8)
    if stats[1:, cv2.CC_STAT_AREA].max(initial=0) > _LARGEST_OF_CLICKS:
        return None
    places = np.argwhere(labelled).tolist()
    return tuple(Mark("click", int(label_map[row, col]), row, col) for row, col in places)
