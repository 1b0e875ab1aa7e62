"""Join manifests of the same images: their rows, marks and captions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from data_manifests import Manifest, ManifestError, ManifestRow, Mark
from data_manifests.errors import list_some
from data_manifests.manifest.classes import require_equal_classes
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.words import annotation_words
from sparsekit.annotated_images import fault_in_words
from sparsekit.errors import AnnotationError
from sparsekit.geometry.mark_pixels import fault_of

#: One image: its row in each of the manifests.
JoinedRow = tuple[ManifestRow, ...]


def join_manifests(
    manifests: Sequence[Manifest], *, split: str | None = None, image_ids: Sequence[str] = (), limit: int | None = None
) -> list[JoinedRow]:
    """Join manifests by image id.

    Args:
        manifests: At least one.
        split: Only this split.
        image_ids: Only these images.
        limit: At most this many images, in order.

    Returns:
        For each image in all manifests, its row in each of them, sorted by image id. Without ``split`` and
        ``image_ids``, only images with an annotation.

    Raises:
        DataError: If the classes differ, no image is in all manifests, or a requested one is missing.
    """
    first = manifests[0]
    require_equal_classes(manifests)
    tables = [{row.image_id: row for row in m.rows_of(split)} for m in manifests]
    common = [image_id for image_id in tables[0] if all(image_id in table for table in tables)]
    if not common:
        raise AnnotationError(_nothing_in_common(manifests, split))
    if missing := sorted(set(image_ids) - set(common)):
        raise AnnotationError(
            f"{first.path}: no image '{missing[0]}'{' that all manifests contain' if len(manifests) > 1 else ''}. "
            f"There are: {list_some(common)}."
        )
    chosen = [image_id for image_id in common if not image_ids or image_id in image_ids]
    joined = [tuple(table[image_id] for table in tables) for image_id in chosen]
    if split is None and not image_ids:
        joined = [rows for rows in joined if any(row.annotation for row in rows)]
        if not joined:
            raise AnnotationError(f"{first.path}: no row has an annotation. Name a split to show its images only.")
    return joined[:limit]


def _nothing_in_common(manifests: Sequence[Manifest], split: str | None) -> str:
    if len(manifests) == 1:
        return f"{manifests[0].path}: has no rows; `sparsekit points DATASET` makes a manifest with some."
    paths = " and ".join(str(manifest.path) for manifest in manifests)
    where = f" in split '{split}'" if split is not None else ""
    return f"{paths} have no image in common{where}; give manifests made from the same dataset."


def manifest_captions(manifests: Sequence[Manifest]) -> list[str]:
    """Return a caption for each manifest: its annotations in words, or else its folder without the dataset's name."""
    captions = [_caption(manifest) for manifest in manifests]
    if len(set(captions)) == len(captions):
        return captions
    return [manifest.name for manifest in manifests]


def _caption(manifest: Manifest) -> str:
    named = manifest.name.removeprefix(f"{manifest.info.dataset}-") or manifest.name
    return annotation_words(manifest.info) if manifest.info.settings else named


def marks_by_image(manifest: Manifest, rows: Collection[ManifestRow]) -> dict[str, list[Mark]]:
    """Return the marks of some images, by image id; empty if the manifest has no marks file.

    Raises:
        ManifestError: If the marks cannot be read, or one of them cannot be drawn.
    """
    wanted = {row.image_id: row for row in rows if row.num_labelled}
    found: dict[str, list[Mark]] = {}
    if not wanted or not manifest.marks_path.is_file():
        return found
    for image_id, marks in read_marks_of(manifest):
        if row := wanted.get(image_id):
            check_marks(manifest, row, marks)
            found[image_id] = marks
            if len(found) == len(wanted):
                break
    return found


def check_marks(manifest: Manifest, row: ManifestRow, marks: Sequence[Mark]) -> None:
    """Reject marks that cannot be drawn on their image.

    Raises:
        ManifestError: If there is such a mark.
    """
    if fault := next(filter(None, (fault_of(mark, (row.height, row.width)) for mark in marks)), ""):
        raise ManifestError(f"{manifest.marks_path}: {fault_in_words(row, fault)}")
