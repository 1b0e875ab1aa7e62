"""An annotation folder that a network fills image by image: complete or absent, and resumable."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agmm.errors import TrainingError
from data_manifests import Manifest, ManifestInfo, ManifestRow, read_manifest, write_manifest
from data_manifests.files.atomic import remove_unfinished, write_atomically
from data_manifests.files.masks import pixel_sha256, read_mask
from data_manifests.files.paths import replace_tree
from data_manifests.manifest.derive import rebase_row


def find_finished(
    out_dir: Path, settings: Mapping[str, Any], overwrite: bool, what: str, advice: str
) -> Manifest | None:
    """Return the manifest of a folder that was made with these settings, if it exists already.

    Args:
        out_dir: The folder.
        settings: What its ``manifest.json`` would say.
        overwrite: Whether other contents may be replaced.
        what: What the folder holds, for messages.
        advice: What to do about other contents.

    Raises:
        TrainingError: If the folder holds something else.
    """
    if not out_dir.exists():
        return None
    if not (out_dir / "manifest.csv").is_file():
        raise TrainingError(f"{out_dir}: exists but holds no manifest.csv. Choose another --out.")
    manifest = read_manifest(out_dir)
    if manifest.info.settings == settings:
        return manifest
    if overwrite:
        return None
    there = manifest.info.settings
    differing = sorted(k for k in {*settings, *there} if there.get(k) != settings.get(k))
    changes = "; ".join(f"{k}: {there.get(k, 'unset')} there, {settings.get(k, 'unset')} requested" for k in differing)
    raise TrainingError(f"{out_dir}: holds other {what} ({changes}). {advice}")


def begin(partial: Path, settings: Mapping[str, Any]) -> None:
    """Keep the files of an interrupted call with the same settings, and delete all others."""
    note = partial / "settings.txt"
    if not (note.is_file() and note.read_text(encoding="utf-8") == repr(settings)):
        for path in partial.iterdir():  # keep the folder itself, which is locked
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_atomically(note, repr(settings).encode())


def finish(manifest: Manifest, info: ManifestInfo, labelled: set[str], partial: Path, out_dir: Path) -> None:
    """Write the manifest of a partial folder, and move the folder to its place.

    Args:
        manifest: The source, whose other rows are kept.
        info: Contents of the new ``manifest.json``.
        labelled: Ids of the images that have a label map in the folder.
        partial: The folder.
        out_dir: Its place.
    """
    rows = tuple(
        _labelled_row(manifest, row, partial, out_dir)
        if row.image_id in labelled
        else rebase_row(manifest, row, out_dir)
        for row in manifest.rows
    )
    write_manifest(Manifest(partial / "manifest.csv", rows, info))
    (partial / "settings.txt").unlink()
    remove_unfinished(partial)
    replace_tree(partial, out_dir)


def annotation_name(row: ManifestRow) -> str:
    """Path of the label map of an image in the folder."""
    return f"annotations/{row.image_id}.png"


def _labelled_row(manifest: Manifest, row: ManifestRow, partial: Path, out_dir: Path) -> ManifestRow:
    labels = read_mask(partial / annotation_name(row))
    classes, counts = np.unique(labels[labels != manifest.label_space.unlabelled_value], return_counts=True)
    return replace(
        rebase_row(manifest, row, out_dir), annotation=annotation_name(row), num_labelled=int(counts.sum()),
        classes_labelled=tuple(classes.tolist()), annotation_sha256=pixel_sha256(labels),
    )  # fmt: skip
