"""Find the image that an annotation names, with any folders, extension or path of another machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from data_manifests import DatasetItem
from data_manifests.errors import list_some
from data_manifests.files.images import IMAGE_SUFFIXES
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.job import file_name

_CITYSCAPES_ENDS = re.compile("_(leftImg8bit|gt(Fine|Coarse)_label(Train)?Ids)$")


class ImageNames:
    """The images of a dataset by name.

    Args:
        items: The images.
        where: Source of the names, for messages.
    """

    def __init__(self, items: Iterable[DatasetItem], where: object) -> None:
        self._where = where
        self._by_last: dict[str, list[DatasetItem]] = {}
        for item in items:
            name = item.image_or_mask.name
            for last in {*_last_parts(item.image_id), *_last_parts(name), *_last_parts(_uploaded(name)), _flat(item)}:
                self._by_last.setdefault(last, []).append(item)

    def find(self, *names: str, hint: str = "") -> DatasetItem | None:
        """Find an image by name: the one with this id, or else the one that shares the most trailing folders.

        Args:
            names: File names with or without folders and extension; the first that matches any image counts. They are
                only compared, so no path in them is ever opened.
            hint: Another name of the same image, to choose among images with the same file name.

        Raises:
            AnnotationError: If the name fits several images equally well.
        """
        for name in names:
            path = _posix(name)
            found = [item for last in _last_parts(path) for item in self._by_last.get(last, ())]
            if found:
                break
        else:
            return None
        paths = [path, _posix(hint)] if hint else [path]
        best = max(_likeness(item, paths) for item in found)
        found = list(dict.fromkeys(item for item in found if _likeness(item, paths) == best))
        if len(found) > 1:
            raise AnnotationError(
                f"{self._where}: '{name}' matches {len(found)} images of the dataset: "
                f"{list_some([str(item.image_or_mask) for item in found])}. Give more of the path in the annotations, "
                "or import the folders of the dataset one by one."
            )
        return found[0]


def _likeness(item: DatasetItem, paths: list[str]) -> tuple[int, int]:
    """Number of trailing parts that match an image, and whether the path is its id (2) or its name in an export (1)."""
    parts, exact = 0, 0
    for path in paths:
        stems = _stems(path)
        own = normalize("NFC", item.image_id)
        exact = max(exact, 2 if own in stems else 1 if _flat(item) in stems else 0)
        parts = max(parts, _shared(path, own), _shared(path, _posix(item.image_or_mask.as_posix())))
    return parts, exact


def _shared(path: str, other: str) -> int:
    """Number of equal trailing parts of two paths, ignoring the extension."""
    mine, others = path.split("/"), other.split("/")
    if not {*_last_parts(path)} & {*_last_parts(other)}:
        return 0
    count = 1
    for part, another in zip(mine[-2::-1], others[-2::-1], strict=False):
        if part != another:
            break
        count += 1
    return count


def _last_parts(path: str) -> list[str]:
    return _stems(_posix(path).rpartition("/")[2])


def _stems(path: str) -> list[str]:
    """Variants of a path: as given, without image extension, and without the suffixes of Cityscapes."""
    stem = path[: path.rindex(".")] if path.lower().endswith(IMAGE_SUFFIXES) else path
    return [path, stem, _CITYSCAPES_ENDS.sub("", stem)]


def _flat(item: DatasetItem) -> str:
    return normalize("NFC", file_name(item.image_id))


def _uploaded(name: str) -> str:
    """Name that Django, and with it Label Studio, gives to an uploaded file."""
    return re.sub(r"[^-\w.]", "", normalize("NFC", name).strip().replace(" ", "_"))


def _posix(name: str | Path) -> str:
    """Normalize a path: ``/`` as separator, Unicode NFC."""
    return normalize("NFC", str(name)).replace("\\", "/").removeprefix("./")
