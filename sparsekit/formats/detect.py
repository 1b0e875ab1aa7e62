"""Detect the format of a folder of annotations."""

from __future__ import annotations

from pathlib import Path

from sparsekit.formats.shared.files import is_hidden


def find_drawn_format(folder: Path) -> str | None:
    """Detect a format from the file names and first bytes in a folder; None if there are no annotations."""
    if not folder.is_dir():
        return None
    if any(b"<annotations" in _start(path)[:1000] for path in folder.glob("*.xml")):
        return "cvat"
    for path in sorted(path for path in folder.rglob("*.json") if not is_hidden(path, folder)):
        start = _start(path)
        if b'"shapes"' in start or b'"imagePath"' in start:
            return "labelme"
        if path.parent == folder and start.startswith(b"["):
            return "label-studio"
        if start.startswith(b"{") and any(word in start for word in (b'"images"', b'"categories"', b'"image_id"')):
            return "coco"
    return None


def _start(path: Path) -> bytes:
    """The first bytes of a file; empty for a pipe, which would block the reader."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(1 << 16).lstrip(b"\xef\xbb\xbf \t\r\n")
