"""Find the image that an annotation names, whatever folders, ending or other machine's path the name has."""

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
        where: Where the names stand, for messages.
    """

    def __init__(self, items: Iterable[DatasetItem], where: object) -> None:
        self._where = where
        self._by_last: dict[str, list[DatasetItem]] = {}
        for item in items:
            for last in {*_last_parts(item.image_id), *_last_parts(item.image_or_mask.name), _flat(item)}:
                self._by_last.setdefault(last, []).append(item)

    def find(self, *names: str, hint: str = "") -> DatasetItem | None:
        """The image of a name: the one whose id it is, else the one that shares the most folders at its end.

        Args:
            names: File names with or without folders and ending; the first that any image has counts. They are only
                compared: whatever path one says, no file of it is opened.
            hint: Another name of the same image, to choose among images whose files are called the same.

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
                f"{self._where}: '{name}' may be any of {len(found)} images of the dataset: "
                f"{list_some([str(item.image_or_mask) for item in found])}. Put more of the path into its name in "
                "the annotations, or import the folders of the dataset one by one."
            )
        return found[0]


def _likeness(item: DatasetItem, paths: list[str]) -> tuple[int, int]:
    """How many parts at the end of a path are an image's, and whether it is its id (2) or name in an export (1)."""
    parts, exact = 0, 0
    for path in paths:
        stems = _stems(path)
        own = normalize("NFC", item.image_id)
        exact = max(exact, 2 if own in stems else 1 if _flat(item) in stems else 0)
        parts = max(parts, _shared(path, own), _shared(path, _posix(item.image_or_mask.as_posix())))
    return parts, exact


def _shared(path: str, other: str) -> int:
    """Number of equal parts at the end of two paths, the last without its ending."""
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
    """A path as it is, without the ending of an image, and without what Cityscapes adds to names."""
    stem = path[: path.rindex(".")] if path.lower().endswith(IMAGE_SUFFIXES) else path
    return [path, stem, _CITYSCAPES_ENDS.sub("", stem)]


def _flat(item: DatasetItem) -> str:
    return normalize("NFC", file_name(item.image_id))


def _posix(name: str | Path) -> str:
    """With ``/`` between the parts, and accents written in one way."""
    return normalize("NFC", str(name)).replace("\\", "/").removeprefix("./")
