"""Notes about the images of a dataset: what of them is turned, left out or ignored when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from data_manifests.errors import DataError, counted
from data_manifests.files.decode import read_header
from data_manifests.files.paths import is_remote
from data_manifests.files.samples import Header
from data_manifests.layouts.base import DatasetItem, spread


def image_notes(items: Sequence[DatasetItem]) -> tuple[str, ...]:
    """Notes about some of the images, evenly spread: EXIF rotations, damaged EXIF, transparency."""
    headers: list[Header] = []
    for path in spread([item.image_path for item in items if item.image_path and not is_remote(item.image_path)]):
        with suppress(DataError):  # reported when the image is read
            headers.append(read_header(path))
    return notes_of(headers, looked_at=" looked at")


def notes_of(headers: Sequence[Header], looked_at: str = "") -> tuple[str, ...]:
    """Notes about images with these headers.

    Args:
        headers: Of the images.
        looked_at: What to add to their number.
    """
    found = (
        (
            sum(header.orientation != 1 for header in headers),
            "an EXIF rotation. Images are read as viewers show them, and masks must fit that; turn masks that were "
            "made for the pixels as stored.",
        ),
        (
            sum(header.exif_is_damaged for header in headers),
            "a damaged EXIF block, which is ignored: if a camera was turned, the image is not.",
        ),
        (
            sum(header.has_alpha for header in headers),
            "transparency (alpha), which is ignored: transparent pixels show the color that is stored there.",
        ),
    )
    images = counted(len(headers), "image")
    return tuple(f"{n} of {images}{looked_at} {'has' if n == 1 else 'have'} {what}" for n, what in found if n)
