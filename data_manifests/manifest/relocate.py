"""Find the files of a manifest again after it or its dataset has moved."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from data_manifests.errors import ManifestError
from data_manifests.files.paths import as_path, name_from, name_in_full
from data_manifests.manifest.io import write_manifest
from data_manifests.manifest.marks import marks_fault
from data_manifests.manifest.row_checks import check_files
from data_manifests.manifest.rows import require_files
from data_manifests.manifest.schema import Manifest

_MOST_SHOWN = 10


def with_data_root(manifest: Manifest, data_root: str | Path) -> Manifest:
    """Look for images and full masks below another folder, without writing anything.

    ``data_root`` replaces the common start of their paths, or the shortest part of it that works. Annotations stay
    where they are, unless they are missing there and exist below ``data_root``.

    Args:
        manifest: The manifest as read.
        data_root: The dataset's present folder, which holds both images and masks.

    Raises:
        ManifestError: If images or full masks are missing.
    """
    root = as_path(data_root)
    if not root.is_dir():
        raise ManifestError(f"{root}: no such folder; expected the dataset folder of {manifest.path}.")
    named = [cell for row in manifest.rows for cell in (row.image, row.full_mask) if cell]
    if not named:
        return manifest
    parts = {cell: _parts(cell) for cell in dict.fromkeys(named)}
    shared = _num_shared([names[:-1] for names in parts.values()])
    skipped = next((n for n in range(shared + 1) if root.joinpath(*parts[named[0]][n:]).is_file()), None)
    if skipped is None:
        raise ManifestError(
            f"{root}: does not contain {'/'.join(parts[named[0]][shared:])}, which {manifest.path} names. Give the "
            "folder that holds all images and masks of the manifest."
        )
    places = {cell: root.joinpath(*names[skipped:]) for cell, names in parts.items()}
    require_files(manifest, places.values())

    def moved(cell: str) -> str:
        return _named(manifest, cell, places[cell]) if cell else ""

    return replace(
        manifest,
        rows=tuple(
            replace(
                row,
                image=moved(row.image),
                full_mask=moved(row.full_mask),
                annotation=_annotation(manifest, row.annotation, root),
            )
            for row in manifest.rows
        ),
    )


def relocate_manifest(
    manifest: Manifest, data_root: str | Path, *, workers: int = 1, on_image: Callable[[], None] = lambda: None
) -> Manifest:
    """Record the present folder of a dataset in its manifest, provided that every file is unchanged.

    Args:
        manifest: The manifest as read; its ``manifest.csv`` is replaced atomically.
        data_root: See ``with_data_root``.
        workers: Threads that read files; the result is the same.
        on_image: Called after each image.

    Returns:
        The new manifest.

    Raises:
        ManifestError: If a file is missing, or pixels of a mask or annotation, a size or the marks have changed.
    """
    new = with_data_root(manifest, data_root)
    if fault := marks_fault(manifest):
        raise ManifestError(fault)
    problems = []
    with ThreadPoolExecutor(workers) as pool:
        for row, checked in zip(new.rows, pool.map(partial(check_files, new, pixels=True), new.rows), strict=True):
            problems += [f"{row.image_id}: {problem.message}" for problem in checked.problems]
            on_image()
    if problems:
        more = f"\nand {len(problems) - _MOST_SHOWN} more" if problems[_MOST_SHOWN:] else ""
        raise ManifestError(
            f"{manifest.path}: these files below {data_root} differ from those the manifest was made from; it stays "
            "unchanged:\n" + "\n".join(problems[:_MOST_SHOWN]) + more
        )
    write_manifest(new)
    return new


def _num_shared(folders: list[list[str]]) -> int:
    """Number of leading names that all folders share."""
    first, last = min(folders), max(folders)  # all others share what these two share
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _parts(cell: str) -> list[str]:
    """Folder and file names in a cell, without its root: ``C:/x``, ``s3://x`` and ``../x`` all give ``x``.

    Example:
        >>> _parts("../../data/city/images/a.png")
        ['data', 'city', 'images', 'a.png']
    """
    path = posixpath.normpath(cell.replace("\\", "/").partition("://")[2] or cell.replace("\\", "/"))
    return [part for part in path.split("/") if part not in ("", "..", ".") and not part.endswith(":")]


def _named(manifest: Manifest, cell: str, path: Path) -> str:
    in_full = "://" in cell or cell.startswith("/") or cell[1:2] == ":"
    return name_in_full(path) if in_full else name_from(manifest.path.parent, path)


def _annotation(manifest: Manifest, cell: str, root: Path) -> str:
    """Path of an annotation; its hash is checked when it is read."""
    if not cell or manifest.resolve(cell).is_file():
        return cell
    names = _parts(cell)
    found = next((path for n in range(len(names)) if (path := root.joinpath(*names[n:])).is_file()), None)
    return cell if found is None else _named(manifest, cell, found)
