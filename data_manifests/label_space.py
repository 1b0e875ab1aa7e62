"""Label spaces: the classes of a dataset with their ids, names and colours, and its void values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.colors import (
    Color,
    name_colors,
    nearest_colors,
    to_code,
    to_color,
    to_rgb,
    voc_color,
    whole_number,
)
from data_manifests.encodings import Encoding
from data_manifests.errors import DataError, list_some
from data_manifests.label_maps import LabelMap, MaskValues, count_bytes

#: Largest share of a mask's pixels whose colour may match no class; they become void.
MAX_UNKNOWN_COLORS = 0.01


#: Characters that terminals obey; line ends and tabs are harmless.
_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]")


@dataclass(frozen=True)
class LabelClass:
    """One class.

    Args:
        name: The name that figures and tables show.
        color: Red, green and blue, 0..255.
        class_ids: Values of this class in masks with the dataset's own ids.
    """

    name: str
    color: Color
    class_ids: tuple[int, ...]


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a dataset; the position in ``classes`` is the train id.

    Args:
        name: Short name such as ``cityscapes``; ``custom`` for a user's own classes.
        classes: The classes in the order of their train ids.
        void_ids: The values that mean "do not care" in masks written with the dataset's own ids. The unlabelled value
            (255, or 65535 above 255 classes) and 65535 always mean void as well, unless a class claims them.
        ids_are_colors: Whether ids are colours of masks, 65536 red + 256 green + blue, instead of 0..65535.
        by_color: The same classes with their colours as ids, where colours were given for all of them.
    """

    name: str
    classes: tuple[LabelClass, ...]
    void_ids: tuple[int, ...] = ()
    ids_are_colors: bool = False
    by_color: LabelSpace | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.classes:
            raise DataError(f"Label space '{self.name}' has no classes.")
        if self.num_classes > 65535:
            raise DataError(f"Label space '{self.name}' has {self.num_classes:,} classes; at most 65,535 are possible.")
        if odd := next((name for name in self.class_names if _CONTROL.search(name)), None):
            raise DataError(f"Label space '{self.name}' has a class {odd!r}, whose name holds control characters.")
        if len(set(self.class_names)) < self.num_classes:
            twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
            raise DataError(
                f"Label space '{self.name}' gives several classes the name {list_some(twice)}; names must differ."
            )
        owners: dict[int, str] = {}
        for label_class in self.classes:
            for class_id in label_class.class_ids:
                if not 0 <= class_id <= self._highest_id:
                    raise DataError(
                        f"Class '{label_class.name}' has id {class_id}; ids lie between 0 and {self._highest_id}."
                    )
                if class_id in owners:
                    what = f"Colour {to_rgb(class_id)}" if self.ids_are_colors else f"Id {class_id}"
                    raise DataError(f"{what} belongs to both '{owners[class_id]}' and '{label_class.name}'.")
                owners[class_id] = label_class.name
        if beyond := [i for i in self.void_ids if i > self._highest_id]:
            raise DataError(f"Void ids {beyond} of label space '{self.name}' are above {self._highest_id}.")
        if both := sorted(set(owners) & set(self.void_ids)):
            raise DataError(f"Ids {both} of label space '{self.name}' are both a class and void.")

    @property
    def _highest_id(self) -> int:
        return 0xFFFFFF if self.ids_are_colors else 65535

    @property
    def num_classes(self) -> int:
        """Number of classes, void not counted."""
        return len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of train ids."""
        return tuple(label_class.name for label_class in self.classes)

    @property
    def unlabelled_value(self) -> int:
        """The value of void and unlabelled pixels in label maps of train ids: 255, or 65535 above 255 classes."""
        return 255 if self.num_classes <= 255 else 65535

    @property
    def dtype(self) -> np.dtype[Any]:
        """Integer type that holds every train id and the unlabelled value."""
        return np.dtype(np.uint8 if self.num_classes <= 255 else np.uint16)

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """Colours by train id, shape (num_classes, 3)."""
        return np.array([label_class.color for label_class in self.classes], np.uint8)

    def to_class_ids(self, label_map: LabelMap, void_value: int | None = None) -> LabelMap:
        """Convert train ids to the dataset's own ids; a class with several ids gets its first.

        Args:
            label_map: Train ids, shape (H, W), with ``unlabelled_value`` at void or unlabelled pixels.
            void_value: Value for these pixels; by default the unlabelled value.

        Returns:
            Ids, shape (H, W), uint8 if all of them fit, or else uint16.

        Raises:
            DataError: If a class has no id, or a value of ``label_map`` is not a train id.
            ValueError: If ``void_value`` is the id of a class.
        """
        void_value = self.unlabelled_value if void_value is None else void_value
        if self.ids_are_colors:
            raise DataError(f"Label space '{self.name}' identifies classes by their colours and has no ids for them.")
        if any(void_value in c.class_ids for c in self.classes):
            raise ValueError(f"void_value {void_value} is the id of a class of label space '{self.name}'.")
        if nameless := [c.name for c in self.classes if not c.class_ids]:
            raise DataError(f"Label space '{self.name}' has no id for {list_some(nameless)}.")
        table = np.zeros(65536, np.uint16)
        table[: self.num_classes] = [c.class_ids[0] for c in self.classes]
        table[self.unlabelled_value] = void_value
        self.to_train_ids(label_map, "train_ids", "label map")  # rejects values that are not train ids
        ids = table[label_map]
        highest = max(void_value, *(c.class_ids[0] for c in self.classes))
        return ids.astype(np.uint8) if highest <= 255 else ids

    def lookup_table(self, encoding: Encoding) -> NDArray[np.int32]:
        """Table from an id in a mask to its train id; the unlabelled value for void, -1 for unknown ids."""
        table = np.full(65536, -1, np.int32)
        table[[self.unlabelled_value, 65535]] = self.unlabelled_value
        if encoding == "train_ids":
            table[: self.num_classes] = np.arange(self.num_classes)
        else:
            table[[i for i in self.void_ids if i >= 0]] = self.unlabelled_value
            for train_id, label_class in enumerate(self.classes):
                table[list(label_class.class_ids)] = train_id
        return table

    def to_train_ids(self, mask: MaskValues, encoding: Encoding, where: object = "mask") -> LabelMap:
        """Convert the values of a mask file to train ids.

        Args:
            mask: Values as ``read_mask`` returns them for this encoding, shape (H, W). Colours that match no class
                become void, on at most 1 % of the pixels.
            encoding: Meaning of the values.
            where: Source of the mask for errors, usually the file's path.

        Returns:
            Train ids, shape (H, W), with ``unlabelled_value`` at void pixels; the mask itself if it already holds them.

        Raises:
            DataError: If a value is neither a class nor void, or more than 1 % of the pixels have such a colour.
        """
        return self.to_train_ids_and_counts(mask, encoding, where)[0]

    def to_train_ids_and_counts(
        self, mask: MaskValues, encoding: Encoding, where: object = "mask"
    ) -> tuple[LabelMap, NDArray[np.int64]]:
        """Convert the values of a mask file to train ids, and count the pixels of each class.

        Both need the values that occur, so one call reads the pixels only once.

        Args:
            mask: As for :meth:`to_train_ids`.
            encoding: As for :meth:`to_train_ids`.
            where: As for :meth:`to_train_ids`.

        Returns:
            Train ids, shape (H, W), and pixels of each class, shape (num_classes,).

        Raises:
            DataError: As for :meth:`to_train_ids`.
        """
        if mask.dtype == np.uint32:
            label_map = self._of_colors(mask.astype(np.uint32, copy=False), encoding, where)
            counts = np.bincount(label_map.ravel(), minlength=self.num_classes)[: self.num_classes]
            return label_map, counts.astype(np.int64)
        table = self.lookup_table(encoding)
        if mask.dtype == np.uint8 and self.dtype == np.uint8:
            mask = mask.astype(np.uint8, copy=False)
            # Most masks contain few of the 256 values; counting is the cheapest way to find them.
            values = count_bytes(mask)
            present = np.flatnonzero(values)
            if table[present].min(initial=0) < 0:
                self._reject_unknown(mask, table, encoding, where)
            counts = np.zeros(256, np.int64)
            np.add.at(counts, table[present], values[present])
            if (table[present] == present).all():
                return mask, counts[: self.num_classes]
            return np.asarray(cv2.LUT(mask, table[:256].astype(np.uint8)), np.uint8), counts[: self.num_classes]
        found = table[mask]
        if found.min(initial=0) < 0:
            self._reject_unknown(mask, table, encoding, where)
        counts = np.bincount(found.ravel(), minlength=self.num_classes)[: self.num_classes]
        return found.astype(self.dtype), counts

    def _of_colors(self, mask: NDArray[np.uint32], encoding: Encoding, where: object) -> LabelMap:
        """Train ids of a mask of colours."""
        owners = {color: train_id for train_id, c in enumerate(self.classes) for color in c.class_ids}
        owners |= dict.fromkeys(self.void_ids, self.unlabelled_value)
        known = np.array(sorted(owners), np.uint32)
        train_ids = np.array([owners[color] for color in sorted(owners)], self.dtype)
        if encoding == "nearest_colors":
            present, inverse = np.unique(mask, return_inverse=True)
            nearest: LabelMap = train_ids[nearest_colors(present, known)][inverse.reshape(mask.shape)]
            return nearest
        position = np.searchsorted(known, mask).clip(max=len(known) - 1)
        unknown = known[position] != mask
        label_map: LabelMap = train_ids[position]
        label_map[unknown] = self.unlabelled_value
        if (number := np.count_nonzero(unknown)) > MAX_UNKNOWN_COLORS * mask.size:
            raise DataError(
                f"{where}: {number / mask.size:.1%} of the pixels have a colour of no class in label space "
                f"'{self.name}': {name_colors(mask[unknown])}. List it with r,g,b in the table of classes, such as "
                "classes.csv (a colour that is no class, in a row named void); if the file was a JPEG or was resized, "
                "--mask-values nearest-colors takes the nearest class."
            )
        return label_map

    def _reject_unknown(self, mask: MaskValues, table: NDArray[np.int32], encoding: Encoding, where: object) -> None:
        present = np.unique(mask)
        unknown = [str(v) for v in present[table[present] < 0]]
        expected = list_some([str(v) for v in np.flatnonzero(table >= 0)], limit=40)
        raise DataError(
            f"{where}: ids {list_some(unknown)} are outside the label space '{self.name}' "
            f"({encoding.replace('_', ' ')}: {expected}). Give the right classes with a classes.csv or --classes FILE."
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data for JSON; ``from_dict`` restores the label space."""
        return {
            "name": self.name,
            "classes": [
                {"train_id": i, "name": c.name, "color": list(c.color), "class_ids": list(c.class_ids)}
                for i, c in enumerate(self.classes)
            ],
            "void_ids": list(self.void_ids),
        } | ({"ids_are_colors": True} if self.ids_are_colors else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelSpace:
        """Rebuild a label space from ``to_dict``, or from as little as the names of its classes.

        Args:
            data: ``classes``, each with ``name`` and optionally ``train_id`` (its position), ``class_ids`` (the train
                id) and ``color`` (one of the VOC colour map); optionally ``name``, ``void_ids`` and
                ``ids_are_colors``.

        Raises:
            DataError: If keys are missing or of the wrong kind, or train ids have gaps.
        """
        try:
            by_train_id: dict[int, LabelClass] = {}
            for position, entry in enumerate(data["classes"]):
                train_id = whole_number(entry.get("train_id", position))
                color = to_color(entry["color"]) if "color" in entry else voc_color(train_id + 1)
                class_ids = tuple(whole_number(i) for i in entry.get("class_ids", (train_id,)))
                if train_id in by_train_id:
                    raise ValueError(f"train id {train_id} is given twice")
                by_train_id[train_id] = LabelClass(str(entry["name"]), color, class_ids)
            void_ids = tuple(whole_number(i) for i in data.get("void_ids", ()))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"Label space is damaged ({type(error).__name__}: {error}).") from error
        name, classes = str(data.get("name", "custom")), in_order(by_train_id, "Label space")
        if data.get("ids_are_colors") is True:
            return cls(name, classes, void_ids, ids_are_colors=True)
        colors = [(c.name, c.color) for c in classes] if all("color" in entry for entry in data["classes"]) else []
        return cls(name, classes, void_ids, by_color=space_by_color(name, colors))


def space_by_color(name: str, colors: Sequence[tuple[str, Color]], void: Sequence[Color] = ()) -> LabelSpace | None:
    """Classes whose ids are their colours.

    Args:
        name: Name of the label space.
        colors: Name and colour of each class, in the order of train ids; a class of several colours several times.
        void: Colours of void.

    Returns:
        None if there are no classes, or if two of them share a colour.
    """
    codes: dict[str, list[int]] = {}
    first: dict[str, Color] = {}
    for class_name, color in colors:
        codes.setdefault(class_name, []).append(to_code(color))
        first.setdefault(class_name, color)
    classes = tuple(LabelClass(n, first[n], tuple(dict.fromkeys(found))) for n, found in codes.items())
    try:
        of_classes = {code for found in codes.values() for code in found}
        void_codes = tuple(code for code in dict.fromkeys(map(to_code, void)) if code not in of_classes)
        return LabelSpace(name, classes, void_codes, ids_are_colors=True)
    except DataError:
        return None


def in_order(by_train_id: Mapping[int, LabelClass], where: object) -> tuple[LabelClass, ...]:
    """Sort classes by train id.

    Raises:
        DataError: If the train ids are not 0, 1, 2, ... without gaps.
    """
    ids = sorted(by_train_id)
    if ids != list(range(len(ids))):
        raise DataError(
            f"{where}: train ids must be 0..{len(ids) - 1} without gaps, got {list_some([*map(str, ids)])}."
        )
    return tuple(by_train_id[i] for i in ids)


def numbered_label_space(values: Iterable[int]) -> LabelSpace:
    """Make a label space for masks without a class table: one class per id, with VOC colours.

    Args:
        values: The values in the masks. 65535 means void, and so does 255 unless there are larger ids.

    Raises:
        DataError: If all values mean void.
    """
    found = set(values)
    void = {65535} if max(found - {65535}, default=0) > 255 else {255, 65535}
    classes = tuple(LabelClass(f"class_{i}", voc_color(i + 1), (i,)) for i in sorted(found - void))
    return LabelSpace("custom", classes, tuple(sorted(found & void)))
