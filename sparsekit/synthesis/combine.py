"""Combine the annotations of several people on the same images into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, Manifest, ManifestRow, Mark
from data_manifests.errors import counted, list_some
from data_manifests.files.paths import absolute, as_path, name_from
from data_manifests.manifest.classes import require_equal_classes
from data_manifests.manifest.derive import rebase_row
from sparsekit.annotated_images import AnnotatedImage, annotated_images
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.annotation_files import write_annotation
from sparsekit.synthesis.output_folder import FolderSummary, ImageResult, OutputFolder, partial_dir
from sparsekit.version import __version__

Way = Literal["union", "vote"]
#: The column that counts the pixels of an image on which annotators disagree.
DISAGREEMENT = "disagreeing_pixels"


def combine_manifests(
    manifests: Sequence[Manifest], out: str | Path, way: Way, *, overwrite: bool = False
) -> FolderSummary:
    """Combine manifests of the same images into a new annotation folder, which is written whole or not at all.

    ``union`` keeps every label; where annotators disagree, the label of the earlier manifest. It has the marks of all,
    if all have marks. ``vote`` keeps, at every pixel, the class that most of the annotators who label it give it;
    pixels with a tie stay unlabelled. It has no marks. The column ``disagreeing_pixels`` counts the pixels of each
    image that two annotators label differently, and ``manifest.json`` records the sources with their hashes.

    Args:
        manifests: At least two, with the same images and classes.
        out: Output folder.
        way: ``union`` or ``vote``.
        overwrite: Replace a folder that holds another result.

    Raises:
        DataError: If images, sizes or classes differ, a file cannot be used, or a folder is in the way.
        ValueError: If there is one manifest only, ``way`` is unknown, or ``out`` is the folder of a source.
    """
    if way not in get_args(Way):
        raise ValueError(f"Unknown way '{way}'. Choose from: {', '.join(get_args(Way))}.")
    folder = as_path(out)
    if any(absolute(folder) == absolute(manifest.path).parent for manifest in manifests):
        raise ValueError(f"{folder}: is the folder of a source, which would be overwritten. Choose another --out.")
    _check_same_images(manifests)
    first = manifests[0]
    has_marks = way == "union" and all(manifest.marks_path.is_file() for manifest in manifests)
    sources = [
        {"source": name_from(folder, m.path), "source_sha256": m.sha256(), "command": m.info.command,
         "settings": dict(m.info.settings)}
        for m in manifests
    ]  # fmt: skip
    info = replace(first.info, command="merge", settings={"way": way, "sources": sources}, tool_version=__version__)
    image_ids = [row.image_id for row in first.rows]
    how = {"manifests": [str(absolute(manifest.path)) for manifest in manifests]}
    plan = OutputFolder(folder, info, image_ids, how, (1, 1), has_marks=has_marks)
    with ExitStack() as held:
        held.callback(plan.release)
        held.callback(plan.close)
        plan.prepare(overwrite)
        for images in _side_by_side(manifests, with_marks=has_marks):
            if plan.lacks(images[0].row.image_id):
                plan.record(_combine_image(images, way, folder))
        plan.close()
        return plan.finish()


def _check_same_images(manifests: Sequence[Manifest]) -> None:
    if len(manifests) < 2:
        raise ValueError(f"Combining needs at least two manifests, got {len(manifests)}.")
    require_equal_classes(manifests)
    first = manifests[0]
    rows = {row.image_id: row for row in first.rows}
    for other in manifests[1:]:
        if lonely := sorted(rows.keys() ^ {row.image_id for row in other.rows}):
            raise AnnotationError(
                f"{counted(len(lonely), 'image is', 'images are')} in only one of {first.path} and {other.path}: "
                f"{list_some(lonely)}. Keep those in both (sparsekit subset)."
            )
        for row in other.rows:
            known = rows[row.image_id]
            if (row.height, row.width, row.split) != (known.height, known.width, known.split):
                raise AnnotationError(
                    f"{other.path}: image '{row.image_id}' is {row.height}x{row.width} (height x width) in split "
                    f"'{row.split}', but {known.height}x{known.width} in split '{known.split}' in {first.path}."
                )


def _side_by_side(manifests: Sequence[Manifest], with_marks: bool) -> Iterator[list[AnnotatedImage]]:
    """Each image of all manifests, annotated or not."""
    streams = [annotated_images(manifest, with_marks=with_marks) for manifest in manifests]
    without_rows = [replace(manifest, rows=()) for manifest in manifests]
    for rows in zip(*(manifest.rows for manifest in manifests), strict=True):  # all sorted by image id
        yield [
            next(stream) if row.annotation else AnnotatedImage(row, manifest)
            for row, stream, manifest in zip(rows, streams, without_rows, strict=True)
        ]


def _combine_image(images: Sequence[AnnotatedImage], way: Way, folder: Path) -> ImageResult:
    first = images[0]
    space = first.label_space
    row: ManifestRow = rebase_row(first.manifest, first.row, folder)
    annotated = [image for image in images if image.row.annotation]
    marks: tuple[Mark, ...] = ()
    if annotated:
        maps = [image.read_annotation() for image in annotated]
        combined = (unite if way == "union" else vote)(maps, space.unlabelled_value)
        row = write_annotation(row, combined, partial_dir(folder), space)
        disagreeing = int(np.count_nonzero(disagreement(maps, space.unlabelled_value)))
        row = replace(row, extra=(*row.extra, (DISAGREEMENT, str(disagreeing))))
        marks = tuple(mark for image in annotated for mark in image.marks)
    return ImageResult(row, marks, len(row.classes_labelled), len(row.classes_labelled), row.height * row.width)


def unite(maps: Sequence[LabelMap], unlabelled: int) -> LabelMap:
    """Keep every label of several sparse label maps, shape (H, W); where they disagree, that of the earlier map."""
    united = maps[-1].copy()
    for label_map in maps[-2::-1]:
        labelled = label_map != unlabelled
        united[labelled] = label_map[labelled]
    return united


def vote(maps: Sequence[LabelMap], unlabelled: int) -> LabelMap:
    """Keep the class that most of the maps which label a pixel give it, shape (H, W); a tie leaves it unlabelled."""
    stack = np.stack(maps)
    winner = np.full(stack.shape[1:], unlabelled, stack.dtype)
    most = np.zeros(stack.shape[1:], np.int32)
    for class_id in np.unique(stack[stack != unlabelled]).tolist():
        votes = (stack == class_id).sum(0)
        winner[(votes == most) & (votes > 0)] = unlabelled
        winner[votes > most] = class_id
        most = np.maximum(most, votes)
    return winner


def disagreement(maps: Sequence[LabelMap], unlabelled: int) -> NDArray[np.bool_]:
    """Pixels that two maps label differently, shape (H, W)."""
    stack = np.stack(maps)
    labelled = stack != unlabelled
    lowest = np.where(labelled, stack, unlabelled).min(0)
    highest = np.where(labelled, stack, 0).max(0)
    return np.asarray(labelled.any(0) & (lowest != highest))
