"""What every import works with: the folder of annotations, and the images of the user's dataset found by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from data_manifests import Dataset, DatasetItem, LabelMap, LabelSpace, Mark
from data_manifests.errors import list_some
from data_manifests.files.images import IMAGE_SUFFIXES, read_image_size
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.job import file_name

_CITYSCAPES_ENDS = re.compile("_(leftImg8bit|gt(Fine|Coarse)_label(Train)?Ids)$")


@dataclass(frozen=True)
class Imported:
    """The annotation of one image: marks where the format has them, else a label map of train ids."""

    item: DatasetItem
    marks: tuple[Mark, ...] = ()
    label_map: LabelMap | None = None


class ImportSource:
    """A folder of annotations and the dataset that they belong to.

    Args:
        folder: The annotations.
        dataset: The dataset.
        stroke_width: Width of strokes whose file says none, in pixels.
    """

    def __init__(self, folder: Path, dataset: Dataset, stroke_width: int) -> None:
        self.folder = folder
        self.space: LabelSpace = dataset.label_space
        self.stroke_width = stroke_width
        #: Names of images in the annotations that the dataset has not, or their ids where they have no name.
        self.unmatched: list[str] = []
        self._class_ids = {name: i for i, name in enumerate(self.space.class_names)}
        self._items: dict[str, DatasetItem | None] = {}
        for item in dataset.items:
            for key in {item.image_id, file_name(item.image_id), item.image_path.stem, _plain(item.image_path.stem)}:
                self._items[key] = item if self._items.get(key, item) is item else None  # None: of several images

    def find(self, name: str) -> DatasetItem | None:
        """The image that an annotation is of; a name that none has is noted in ``unmatched``.

        Args:
            name: File name with or without folders and ending. It is only compared: whatever path it says, no file of
                it is opened.
        """
        item = self._look_up(name)
        if item is None:
            self.unmatched.append(name)
        return item

    def knows(self, name: str) -> bool:
        """Whether an image has this name."""
        return self._look_up(name) is not None

    def _look_up(self, name: str) -> DatasetItem | None:
        path = name.replace("\\", "/")
        for key in (path, path.rpartition("/")[2]):
            stem = key[: key.rindex(".")] if key.lower().endswith(IMAGE_SUFFIXES) else key
            for candidate in (key, stem, _plain(stem)):
                if item := self._items.get(candidate):
                    return item
        return None

    def class_id(self, name: str) -> int:
        """Train id of a class.

        Raises:
            ValueError: If the dataset has no class of that name.
        """
        if name not in self._class_ids:
            names = list_some(list(self._class_ids), limit=40)
            raise ValueError(f"unknown class {name!r}; classes of the dataset: {names}")
        return self._class_ids[name]


@lru_cache(maxsize=4)
def image_shape(item: DatasetItem) -> tuple[int, int]:
    """Height and width of an image."""
    return read_image_size(item.image_path)


def check_shape(item: DatasetItem, shape: tuple[object, object], where: object) -> tuple[int, int]:
    """Height and width of an image, if an annotation says the same.

    Raises:
        AnnotationError: If it says something else.
    """
    height, width = image_shape(item)
    if shape != (height, width):
        raise AnnotationError(
            f"{where}: is of an image of {shape[0]}x{shape[1]} (height x width), but {item.image_path} is "
            f"{height}x{width}. Annotations must be of the images as they are in the dataset."
        )
    return height, width


def check_upright(degrees: float | None, where: object) -> None:
    """Refuse a box that is rotated, as ours cannot be.

    Raises:
        AnnotationError: If it is.
    """
    if degrees:
        raise AnnotationError(
            f"{where}: holds a box rotated by {degrees} degrees, and only upright ones are read. Draw it as a polygon."
        )


def once_each(found: Iterable[Imported], where: Path) -> Iterator[Imported]:
    """Pass on annotations of different images.

    Raises:
        AnnotationError: If an image comes twice.
    """
    seen: set[str] = set()
    for one in found:
        if one.item.image_id in seen:
            raise AnnotationError(f"{where}: holds two annotations of image '{one.item.image_id}'; remove one.")
        seen.add(one.item.image_id)
        yield one


def _plain(stem: str) -> str:
    return _CITYSCAPES_ENDS.sub("", stem)
