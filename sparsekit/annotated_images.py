"""Iterate over the annotated images of a manifest, one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, LabelSpace, Manifest, ManifestError, ManifestRow, Mark
from data_manifests.errors import counted
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image
from sparsekit.errors import AnnotationError
from sparsekit.geometry.mark_pixels import fault_of


@dataclass(frozen=True)
class AnnotatedImage:
    """One row of a manifest with access to its files; small, and therefore cheap to send to other processes.

    Args:
        row: The row.
        manifest: The manifest; ``annotated_images`` strips its rows.
        marks: The image's marks; empty if not requested.
    """

    row: ManifestRow
    manifest: Manifest
    marks: tuple[Mark, ...] = ()

    @property
    def label_space(self) -> LabelSpace:
        """Label space of the annotation."""
        return self.manifest.label_space

    def read_image(self) -> NDArray[np.uint8]:
        """See ``read_row_image``."""
        return read_row_image(self.manifest, self.row)

    def read_full_mask(self) -> LabelMap:
        """See ``read_row_full_mask``.

        Raises:
            AnnotationError: If the row names no full mask.
        """
        if not self.row.full_mask:
            raise AnnotationError(
                f"{self.manifest.path}: image '{self.row.image_id}' has no full mask, and this command compares "
                "annotations with full masks. `sparsekit compare` measures annotations without full masks."
            )
        return read_row_full_mask(self.manifest, self.row)

    def read_annotation(self) -> LabelMap:
        """See ``read_row_annotation``."""
        return read_row_annotation(self.manifest, self.row)


def count_annotated(manifest: Manifest, split: str | None = None) -> int:
    """Number of annotated images, of one split or of all.

    Raises:
        ManifestError: If the split has no rows, or none of the rows has an annotation.
    """
    rows = manifest.rows_of(split)
    count = sum(bool(row.annotation) for row in rows)
    if not count:
        of_split = "" if split is None else f" of split '{split}'"
        raise ManifestError(f"{manifest.path}: {counted(len(rows), 'row')}{of_split}, but none has an annotation.")
    return count


def annotated_images(
    manifest: Manifest, split: str | None = None, *, with_marks: bool = True
) -> Iterator[AnnotatedImage]:
    """Iterate over the annotated images of a manifest; only one image's marks are in memory at a time.

    Args:
        manifest: Rows without annotations are skipped.
        split: Only this split.
        with_marks: Read the marks too.

    Yields:
        Images sorted by image id.

    Raises:
        ManifestError: If the split has no rows, no row has an annotation, or the marks are missing, out of order or
            impossible to draw.
    """
    count_annotated(manifest, split)
    marks_of = _MarksInOrder(manifest) if with_marks else None
    without_rows = replace(manifest, rows=())
    for row in manifest.rows:  # sorted by image id, as are the marks
        if row.annotation and split in (None, row.split):
            yield AnnotatedImage(row, without_rows, marks_of.of_image(row) if marks_of else ())
    if marks_of:
        marks_of.finish()


def fault_in_words(row: ManifestRow, fault: str) -> str:
    """Return a sentence about a mark that cannot be drawn; see ``fault_of``."""
    return f"a mark of image '{row.image_id}' {fault}. `sparsekit validate` lists all problems."


class _MarksInOrder:
    """Marks of images that are requested in ascending order of their ids."""

    def __init__(self, manifest: Manifest) -> None:
        self._path = manifest.marks_path
        self._num_classes = manifest.label_space.num_classes
        self._groups = read_marks_of(manifest)
        self._current = next(self._groups, None)

    def of_image(self, row: ManifestRow) -> tuple[Mark, ...]:
        while self._current and self._current[0] < row.image_id:
            self._advance()
        if not self._current or self._current[0] != row.image_id:
            return ()
        for mark in self._current[1]:
            if not 0 <= mark.class_id < self._num_classes:
                self._fail(
                    f"a mark of image '{row.image_id}' has class {mark.class_id}; the train ids of this manifest are "
                    f"0..{self._num_classes - 1}."
                )
            if fault := fault_of(mark, (row.height, row.width)):
                self._fail(fault_in_words(row, fault))
        return tuple(self._current[1])

    def finish(self) -> None:
        """Read the remaining marks, to detect any that are out of order."""
        while self._current:
            self._advance()

    def _advance(self) -> None:
        before, self._current = self._current, next(self._groups, None)
        if before and self._current and self._current[0] < before[0]:
            self._fail(f"image '{self._current[0]}' comes after '{before[0]}'; marks must be sorted by image id.")

    def _fail(self, problem: str) -> NoReturn:
        deque(self._groups, maxlen=0)  # reading to the end closes the file
        raise ManifestError(f"{self._path}: {problem}")
