"""Manifests whose dataset has moved, or that have moved themselves: their files below the folder where it lies now."""

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
    """The manifest with images and full masks below another folder; nothing is written.

    What all their paths begin with, or a part of it, is replaced by ``data_root``: as little as will do. Annotations
    stay where they are, unless they are missing there and lie below ``data_root``.

    Args:
        manifest: As it was read.
        data_root: Where the dataset lies now; the folder that holds images and masks alike.

    Raises:
        ManifestError: If images or full masks are not there.
    """
    root = as_path(data_root)
    if not root.is_dir():
        raise ManifestError(f"{root}: no such folder; expected that of the dataset of {manifest.path}.")
    named = [cell for row in manifest.rows for cell in (row.image, row.full_mask) if cell]
    if not named:
        return manifest
    parts = {cell: _parts(cell) for cell in dict.fromkeys(named)}
    shared = _num_shared([names[:-1] for names in parts.values()])
    skipped = next((n for n in range(shared + 1) if root.joinpath(*parts[named[0]][n:]).is_file()), None)
    if skipped is None:
        raise ManifestError(
            f"{root}: holds no {'/'.join(parts[named[0]][shared:])}, which {manifest.path} names. Give the folder that "
            "holds all images and masks of the manifest."
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
    """Write down in a manifest where its dataset lies now, if every file is the one that it was made from.

    Args:
        manifest: As it was read; its ``manifest.csv`` is replaced, whole or not at all.
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
            f"{manifest.path}: these files below {data_root} are not those of the manifest, which stays as it is:\n"
            + "\n".join(problems[:_MOST_SHOWN])
            + more
        )
    write_manifest(new)
    return new


def _num_shared(folders: list[list[str]]) -> int:
    """How many names all folders begin with."""
    first, last = min(folders), max(folders)  # what these share all others have as well
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _parts(cell: str) -> list[str]:
    """Names of the folders and the file that a cell leads through, wherever it starts: ``C:/x``, ``s3://x``, ``../x``.

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
    """Where an annotation is: its hash tells whether it is the right one when it is read."""
    if not cell or manifest.resolve(cell).is_file():
        return cell
    names = _parts(cell)
    found = next((path for n in range(len(names)) if (path := root.joinpath(*names[n:])).is_file()), None)
    return cell if found is None else _named(manifest, cell, found)
