"""Provenance of a figure, stored in its file, so that figures of other data are recognized."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_manifests import Manifest, ManifestRow
from data_manifests.files.atomic import require_plain
from data_manifests.manifest.io import info_to_json
from sparsekit.errors import AnnotationError

_NOTE = "sparsekit:made-from:"
_PNG_START = 8 + 25  # signature and header, which come first in every PNG


def digest_of(manifests: Sequence[Manifest]) -> str:
    """Hash the rows, settings, classes and marks of manifests; paths of files whose hash is known do not count."""
    digest = hashlib.sha256()
    for manifest in manifests:
        digest.update(info_to_json(manifest.info).encode())
        digest.update(json.dumps([_identity(row) for row in manifest.rows]).encode())
        digest.update(manifest.marks_path.read_bytes() if manifest.marks_path.is_file() else b"no marks")
    return digest.hexdigest()


def _identity(row: ManifestRow) -> list[Any]:
    paths = [row.full_mask_sha256 or row.full_mask, row.annotation_sha256 or row.annotation]
    return [row.image_id, row.split, *paths, row.height, row.width, row.num_labelled, row.classes_labelled]


def digest_of_image(manifest: Manifest, row: ManifestRow) -> str:
    """Hash the file of an image, of which a manifest holds no hash; empty if it cannot be read."""
    try:
        return hashlib.sha256(manifest.resolve(row.image).read_bytes()).hexdigest()
    except OSError:
        return ""


def note_of(digest: str, settings: dict[str, Any]) -> str:
    """Make the provenance note of a figure.

    Args:
        digest: ``digest_of`` its manifests.
        settings: The selection and the look of the figure, JSON-serialisable.
    """
    return _NOTE + hashlib.sha256(json.dumps([digest, settings], sort_keys=True).encode()).hexdigest()


def has_note(path: Path, note: str) -> bool:
    """Whether a PNG, PDF or HTML file contains this note.

    Raises:
        DataError: If it is no file.
    """
    require_plain(path)
    found = re.search(re.escape(_NOTE).encode() + b"[0-9a-f]{64}", path.read_bytes())
    return found is not None and found[0] == note.encode()


def refuse_others(paths: Sequence[Path]) -> None:
    """Reject existing files that show something else; neither keep nor replace them.

    Args:
        paths: Files with a different note.

    Raises:
        AnnotationError: If there are any.
    """
    if paths:
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        raise AnnotationError(
            f"{paths[0]}{more}: already exists, but was not made from these images and annotations with these "
            "settings. Give --overwrite to replace it, or another --out."
        )


def add_note_to_png(data: bytes, note: str) -> bytes:
    """Add a note to the metadata of a PNG file; the pixels do not change."""
    body = b"tEXt" + b"Comment\0" + note.encode()
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return data[:_PNG_START] + chunk + data[_PNG_START:]
