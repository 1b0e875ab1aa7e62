"""Notes about the images of a dataset: what is rotated, omitted or ignored on reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.decode import read_header
from data_manifests.files.paths import is_remote
from data_manifests.files.samples import Header
from data_manifests.layouts.base import DatasetItem, spread


def image_notes(items: Sequence[DatasetItem]) -> tuple[str, ...]:
    """Notes about a sample of the images: EXIF rotations, damaged EXIF, transparency."""
    headers: list[Header] = []
    for path in spread([item.image_path for item in items if item.image_path and not is_remote(item.image_path)]):
        with suppress(DataError):  # reported when the image is read
            headers.append(read_header(path))
    return notes_of(headers, looked_at=" inspected")


def unused_note(used: Iterable[Path], suffixes: Sequence[str]) -> str:
    """A sentence about the files that lie beside those of a dataset and are not used; empty without any.

    Args:
        used: Images and masks of the dataset.
        suffixes: Of the files to count, in lower case.
    """
    own = {path for path in used if not is_remote(path)}
    folders = sorted({path.parent for path in own})
    there = [path for folder in folders for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    unused = [path for path in there if path not in own and path.name.lower().endswith(tuple(suffixes))]
    if not unused:
        return ""
    return (
        f"{counted(len(unused), 'file is', 'files are')} not used, beside the images and masks that are: "
        f"{list_some([path.name for path in unused], 3)}. Images and volumes go in folders of their own."
    )


def notes_of(headers: Sequence[Header], looked_at: str = "") -> tuple[str, ...]:
    """Notes about images with these headers.

    Args:
        headers: The headers of the images.
        looked_at: Words to add after their number.
    """
    found = (
        (
            sum(header.orientation != 1 for header in headers),
            "an EXIF rotation. Images are read as viewers display them; rotate masks that were made for the stored "
            "pixels.",
        ),
        (
            sum(header.exif_is_damaged for header in headers),
            "a damaged EXIF block, which is ignored: a rotation in it is not applied.",
        ),
        (
            sum(header.has_alpha for header in headers),
            "transparency (alpha), which is ignored: transparent pixels show the colour that is stored there.",
        ),
    )
    images = counted(len(headers), "image")
    return tuple(f"{n} of {images}{looked_at} {'has' if n == 1 else 'have'} {what}" for n, what in found if n)
