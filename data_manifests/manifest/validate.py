"""Check a manifest and all its files; reports every problem, not only the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import PurePosixPath, PureWindowsPath

from data_manifests.errors import counted, list_some
from data_manifests.manifest.mark_checks import Draw, check_marks
from data_manifests.manifest.row_checks import MINOR_KINDS, CheckedFiles, Problem, check_files, spaced
from data_manifests.manifest.schema import Manifest, ManifestRow
from data_manifests.parallel import batches, map_in_order

__all__ = ["MINOR_KINDS", "Draw", "Problem", "check_manifest"]


def check_manifest(
    manifest: Manifest,
    *,
    unreadable: Sequence[str] = (),
    pixels: bool = True,
    draw: Draw | None = None,
    workers: int | None = 1,
    on_image: Callable[[], None] = lambda: None,
) -> list[Problem]:
    """Check rows, files and marks of a manifest.

    Args:
        manifest: The manifest as loaded, valid or not.
        unreadable: Messages of ``load_manifest`` about unreadable rows; included in the result.
        pixels: Decode every file; otherwise only check that it exists and has the right size.
        draw: A top-level function that redraws marks to compare them with the annotation; without it only positions
            and classes are checked.
        workers: Number of processes, None for as many as save time; the result does not depend on it.
        on_image: Called after each image.

    Returns:
        All problems: of rows, then of files, then of marks.
    """
    problems = [Problem("row", "", message) for message in unreadable]
    problems += [problem for row in manifest.rows for problem in _check_row(manifest, row)]
    shared = _Shared()
    parts = [*batches((row, row.height * row.width if pixels else 0) for row in manifest.rows)]
    check = partial(_check_batch, manifest[:0], pixels)
    for row, checked in zip(manifest.rows, chain.from_iterable(map_in_order(check, parts, workers)), strict=True):
        problems += checked.problems
        shared.add(row, checked.image_sha256)
        on_image()
    problems += [*_check_folder(manifest), *shared.problems()]
    return [*problems, *check_marks(manifest, draw if pixels else None, workers)]


def _check_batch(manifest: Manifest, pixels: bool, rows: list[ManifestRow]) -> list[CheckedFiles]:
    return [check_files(manifest, row, pixels=pixels) for row in rows]


def _check_row(manifest: Manifest, row: ManifestRow) -> Iterator[Problem]:
    """Check a row without reading its files."""

    def problem(kind: str, message: str) -> Problem:
        return Problem(kind, row.image_id, message)

    if not row.image and not row.full_mask:  # mask-only datasets have no images
        yield problem("row", "columns image and full_mask are empty")
    if row.name_fault:
        yield problem("row", row.name_fault)
    if row.height < 1 or row.width < 1:
        yield problem("size", f"height and width must be at least 1, got {row.height} and {row.width}")
    if not 0 <= row.num_labelled <= row.height * row.width:
        yield problem("count", f"num_labelled is {row.num_labelled} of {row.width}x{row.height} pixels")
    if not row.annotation and (row.num_labelled or row.classes_labelled or row.annotation_sha256):
        yield problem("row", "has no annotation, but num_labelled, classes_labelled or annotation_sha256 are set")
    if row.classes_labelled != tuple(sorted(set(row.classes_labelled))):
        yield problem("count", f"classes_labelled are not ascending: {spaced(row.classes_labelled)}")
    if outside := [c for c in row.classes_labelled if not 0 <= c < manifest.label_space.num_classes]:
        yield problem(
            "ids", f"classes_labelled {spaced(outside)} are outside 0..{manifest.label_space.num_classes - 1}"
        )


def _check_folder(manifest: Manifest) -> Iterator[Problem]:
    if manifest.split_fault:
        yield Problem("split", "", manifest.split_fault)
    if outside := [row.annotation for row in manifest.rows if row.annotation and _leaves_folder(row.annotation)]:
        lie = counted(len(outside), "annotation is", "annotations are")
        text = f"{lie} outside the manifest's folder, as in subsets: {list_some(outside, 3)}"
        yield Problem("outside", "", text)


def _leaves_folder(path: str) -> bool:
    if ".." not in path and path[0] not in "/\\" and ":" not in path:
        return False  # without splitting it, which is slow
    parts = PurePosixPath(path.replace("\\", "/"))
    return ".." in parts.parts or parts.is_absolute() or bool(PureWindowsPath(path).drive)


class _Shared:
    """Finds rows that share an image or annotation, and identical image files in several splits."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], ManifestRow] = {}
        self._shared: dict[tuple[str, str], list[ManifestRow]] = {}

    def add(self, row: ManifestRow, image_sha256: str) -> None:
        """Record the files of a row."""
        for key in (("image", row.image), ("annotation", row.annotation), ("content", image_sha256)):
            if key[1]:
                first = self._first.setdefault(key, row)
                if first is not row:
                    self._shared.setdefault(key, [first]).append(row)

    def problems(self) -> Iterator[Problem]:
        """One problem per file that several rows share."""
        for (what, name), rows in self._shared.items():
            ids = list_some([row.image_id for row in rows])
            splits = list_some(sorted({row.split for row in rows}))
            crosses = len({row.split for row in rows}) > 1
            if what == "content":
                paths = sorted({row.image for row in rows})
                if crosses and len(paths) > 1:  # a single path is reported below; copies within a split are harmless
                    yield Problem("split", rows[0].image_id, f"same image in splits {splits}: {list_some(paths)}")
            elif crosses and what == "image":
                yield Problem("split", rows[0].image_id, f"image {name} is in splits {splits}, as {ids}")
            else:
                yield Problem("duplicate", rows[0].image_id, f"{what} {name} is named by several rows: {ids}")
