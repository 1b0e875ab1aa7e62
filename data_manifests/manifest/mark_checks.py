"""Check the marks beside a manifest against its rows and annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from data_manifests.errors import DataError, counted
from data_manifests.files.masks import pixel_sha256
from data_manifests.label_maps import LabelMap
from data_manifests.label_space import LabelSpace
from data_manifests.manifest.marks import marks_fault, read_marks
from data_manifests.manifest.row_checks import Problem, listed
from data_manifests.manifest.schema import Manifest, ManifestRow, Mark
from data_manifests.parallel import batches, map_in_order

#: Draws marks into a label map of the given shape, such as ``sparsekit.geometry.rasterize.rasterize``.
Draw = Callable[[Sequence[Mark], tuple[int, int], LabelSpace], LabelMap]

_MarkedRow = tuple[ManifestRow, list[Mark]]


def check_marks(manifest: Manifest, draw: Draw | None, workers: int | None) -> Iterator[Problem]:
    """Check the marks of a manifest.

    Args:
        manifest: The manifest.
        draw: Draws the marks, to compare them with the annotations; without it only positions and classes are checked.
        workers: Number of processes that draw, None for as many as save time.
    """
    path = manifest.marks_path
    rows = {row.image_id: row for row in manifest.rows}
    waiting = {row.image_id for row in manifest.rows if row.annotation and row.num_labelled > 0}
    if not path.is_file():
        if waiting:
            yield Problem("no_marks", "", f"{path} is missing, so clicks and strokes cannot be drawn or exported")
        return
    seen: set[str] = set()
    check = partial(_check_batch, manifest.label_space, draw)
    images = batches(_marks_of_images(manifest, rows, seen))
    total = sum(1 for _ in batches((row, row.height * row.width) for row in manifest.rows))
    for problems in map_in_order(check, images, workers if draw else 1, total=total):
        yield from problems
    for image_id in sorted(waiting - seen):
        yield Problem("marks", image_id, f"no marks, but {counted(rows[image_id].num_labelled, 'labelled pixel')}")


def _marks_of_images(
    manifest: Manifest, rows: dict[str, ManifestRow], seen: set[str]
) -> Iterator[tuple[Problem | _MarkedRow, int]]:
    """The marks of each image with its row, or a problem in their place, and the number of pixels to draw.

    Args:
        manifest: The manifest.
        rows: Its rows by image id.
        seen: Receives the ids of the images read; of all, if the file cannot be read to its end.
    """
    try:
        if fault := marks_fault(manifest):
            yield Problem("marks", "", fault), 0
        for image_id, marks in read_marks(manifest.marks_path):
            if image_id in seen:
                yield Problem("marks", image_id, "marks are scattered; those of an image must be consecutive"), 0
            elif image_id not in rows:
                found = counted(len(marks), "mark")
                yield Problem("marks", image_id, f"{found} of an image that the manifest does not have"), 0
            else:
                yield (rows[image_id], marks), rows[image_id].height * rows[image_id].width
            seen.add(image_id)
    except DataError as error:
        yield Problem("marks", "", str(error)), 0
        seen.update(rows)


def _check_batch(space: LabelSpace, draw: Draw | None, images: list[Problem | _MarkedRow]) -> list[Problem]:
    found = [[image] if isinstance(image, Problem) else _check_marks_of(space, draw, *image) for image in images]
    return [*chain.from_iterable(found)]


def _check_marks_of(space: LabelSpace, draw: Draw | None, row: ManifestRow, marks: Sequence[Mark]) -> Iterator[Problem]:
    height, width = row.height, row.width
    outside = [
        number
        for number, mark in enumerate(marks)
        for r, c in mark.points or ((mark.row, mark.col),)
        if not (0 <= r < height and 0 <= c < width)
    ]
    if outside:
        yield Problem("marks", row.image_id, f"marks {listed(sorted(set(outside)))} are outside the image")
    num_classes = space.num_classes
    if foreign := [number for number, mark in enumerate(marks) if not 0 <= mark.class_id < num_classes]:
        yield Problem("marks", row.image_id, f"marks {listed(foreign)} have a class outside 0..{num_classes - 1}")
    if draw and row.annotation_sha256 and not outside and not foreign:
        try:
            drawn = pixel_sha256(draw(marks, (row.height, row.width), space))
        except (DataError, ValueError, MemoryError) as error:
            yield Problem("marks", row.image_id, f"marks cannot be drawn: {error}")
            return
        if drawn != row.annotation_sha256:
            yield Problem("marks", row.image_id, "the annotation differs from the marks drawn again")
