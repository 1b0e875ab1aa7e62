"""Label spaces: the classes of a dataset, their ids, names and colours, and what its mask files mean by void."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError, list_some

Color = tuple[int, int, int]
LabelMap = NDArray[np.uint8] | NDArray[np.uint16]

#: How a mask file writes its classes: the dataset's own ids, or the contiguous ids 0..num_classes-1.
Encoding = Literal["class_ids", "train_ids"]

_VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore", "void_border", "border"}
_NO_TRAIN_ID = {"", "-1", "255", "65535"}


@dataclass(frozen=True)
class LabelClass:
    """One class.

    Args:
        name: The name that figures and tables show.
        color: Red, green and blue, 0..255.
        class_ids: The values that mean this class in masks written with the dataset's own ids.
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
            (255, or 65535 above 255 classes) always means void as well, unless a class claims it.
    """

    name: str
    classes: tuple[LabelClass, ...]
    void_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            raise DataError(f"Label space '{self.name}' has no classes.")
        owners: dict[int, str] = {}
        for label_class in self.classes:
            for class_id in label_class.class_ids:
                if not 0 <= class_id <= 65535:
                    raise DataError(f"Class '{label_class.name}' has id {class_id}; ids lie between 0 and 65535.")
                if class_id in owners:
                    raise DataError(f"Id {class_id} belongs to both '{owners[class_id]}' and '{label_class.name}'.")
                owners[class_id] = label_class.name
        if both := sorted(set(owners) & set(self.void_ids)):
            raise DataError(f"Ids {both} of label space '{self.name}' are both a class and void.")

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

    def lookup_table(self, encoding: Encoding) -> NDArray[np.int32]:
        """Table from a mask value to its train id: the unlabelled value for void, -1 for values that mean nothing."""
        table = np.full(65536, -1, np.int32)
        table[self.unlabelled_value] = self.unlabelled_value
        if encoding == "train_ids":
            table[: self.num_classes] = np.arange(self.num_classes)
        else:
            table[[i for i in self.void_ids if i >= 0]] = self.unlabelled_value
            for train_id, label_class in enumerate(self.classes):
                table[list(label_class.class_ids)] = train_id
        return table

    def to_train_ids(self, mask: LabelMap, encoding: Encoding, where: object = "mask") -> LabelMap:
        """Translate the values of a mask file into train ids.

        Args:
            mask: Values as read from the file, shape (H, W), uint8 or uint16.
            encoding: What the values are.
            where: Named in the error, usually the file's path.

        Returns:
            Train ids, shape (H, W), with ``unlabelled_value`` at void pixels.

        Raises:
            DataError: If a value is neither a class nor void.
        """
        table = self.lookup_table(encoding)
        if mask.dtype == np.uint8:  # cv2.LUT is several times faster than fancy indexing
            if not cv2.LUT(mask, (table[:256] >= 0).astype(np.uint8)).all():
                self._reject_unknown(mask, table, encoding, where)
            if self.dtype == np.uint8:
                return np.asarray(cv2.LUT(mask, table[:256].astype(np.uint8)), np.uint8)
        train_ids = table[mask]
        if train_ids.min(initial=0) < 0:
            self._reject_unknown(mask, table, encoding, where)
        return train_ids.astype(np.uint8) if self.dtype == np.uint8 else train_ids.astype(np.uint16)

    def _reject_unknown(self, mask: LabelMap, table: NDArray[np.int32], encoding: Encoding, where: object) -> None:
        present = np.unique(mask)
        unknown = [str(v) for v in present[table[present] < 0]]
        expected = list_some([str(v) for v in np.flatnonzero(table >= 0)], limit=40)
        raise DataError(
            f"{where}: ids {list_some(unknown)} are outside the label space '{self.name}' "
            f"({encoding.replace('_', ' ')}: {expected}). Give the right classes with a classes.csv or --classes FILE."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``from_dict`` gives the same label space back."""
        return {
            "name": self.name,
            "classes": [
                {"train_id": i, "name": c.name, "color": list(c.color), "class_ids": list(c.class_ids)}
                for i, c in enumerate(self.classes)
            ],
            "void_ids": list(self.void_ids),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LabelSpace:
        """Rebuild a label space from ``to_dict``.

        Raises:
            DataError: If keys are missing or of the wrong kind.
        """
        try:
            classes = tuple(
                LabelClass(str(c["name"]), _color(c["color"]), tuple(int(i) for i in c["class_ids"]))
                for c in sorted(data["classes"], key=lambda c: int(c["train_id"]))
            )
            return cls(str(data["name"]), classes, tuple(int(i) for i in data["void_ids"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"Label space is damaged ({type(error).__name__}: {error}).") from error


def _color(values: Iterable[Any]) -> Color:
    red, green, blue = (int(v) for v in values)
    if not all(0 <= v <= 255 for v in (red, green, blue)):
        raise ValueError(f"colour {(red, green, blue)} is outside 0..255")
    return red, green, blue


def voc_color(index: int) -> Color:
    """Colour of an index in the PASCAL VOC colour map: the bits of the index, spread over the three channels.

    Example:
        >>> voc_color(1), voc_color(15)
        ((128, 0, 0), (192, 128, 128))
    """
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((index >> channel) & 1) << (7 - bit)
        index >>= 3
    return color[0], color[1], color[2]


def numbered_label_space(class_ids: Iterable[int], void_ids: tuple[int, ...] = ()) -> LabelSpace:
    """Label space for masks without a class table: one class per id found, with VOC colours.

    Args:
        class_ids: The ids that occur in the masks; 255 and 65535 are void and give no class.
        void_ids: Further ids that mean void.
    """
    ids = sorted(set(class_ids) - {255, 65535} - set(void_ids))
    classes = tuple(LabelClass(f"class_{i}", voc_color(i % 255 + 1), (i,)) for i in ids)
    return LabelSpace("custom", classes, void_ids)


def read_classes_csv(path: Path, name: str = "custom") -> LabelSpace:
    """Read a class table.

    The columns are ``name``, ``id`` (or ``index``), optionally ``r, g, b``, ``train_id`` and ``void``. A class is void
    if ``void`` is 1/true/yes, if its ``train_id`` is empty, -1 or 255, or if it has neither column and is called
    void, unlabelled, ignore or border.

    Args:
        path: The CSV file.
        name: Name of the label space.

    Raises:
        DataError: If a column is missing, an id occurs twice or a number cannot be read.
    """
    text = path.read_bytes().decode("utf-8-sig")
    rows = [{(k or "").strip().lower(): (v or "").strip() for k, v in r.items() if isinstance(v, str | None)}
            for r in csv.DictReader(text.splitlines())]  # fmt: skip
    columns = set(rows[0]) if rows else set()
    id_column = "id" if "id" in columns else "index"
    if missing := [c for c in ("name", id_column) if c not in columns]:
        raise DataError(f"{path}: column {' and '.join(missing)} missing; expected at least 'name' and 'id'.")
    by_train_id: dict[int, LabelClass] = {}
    void_ids: list[int] = []
    for line, row in enumerate(rows, start=2):
        try:
            class_id = int(row[id_column])
            if _is_void(row):
                void_ids.append(class_id)
                continue
            train_id = int(row["train_id"]) if "train_id" in row else len(by_train_id)
            color = _color((row["r"], row["g"], row["b"])) if {"r", "g", "b"} <= columns else voc_color(train_id + 1)
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}, line {line}: {error}.") from error
        known = by_train_id.get(train_id)
        by_train_id[train_id] = LabelClass(
            known.name if known else row["name"], known.color if known else color,
            (*(known.class_ids if known else ()), class_id),
        )  # fmt: skip
    if sorted(by_train_id) != list(range(len(by_train_id))):
        raise DataError(f"{path}: train ids must be 0..{len(by_train_id) - 1} without gaps, got {sorted(by_train_id)}.")
    return LabelSpace(name, tuple(by_train_id[i] for i in sorted(by_train_id)), tuple(void_ids))


def _is_void(row: dict[str, str]) -> bool:
    if row.get("void", "").lower() in {"1", "true", "yes"}:
        return True
    if "train_id" in row:
        return row["train_id"] in _NO_TRAIN_ID
    return "void" not in row and row["name"].lower() in _VOID_NAMES


_TABLES = Path(__file__).parent / "tables"


def known_label_space(name: str) -> LabelSpace:
    """Label space of a well-known dataset.

    Args:
        name: A name of ``known_label_spaces()``.

    Raises:
        DataError: If there is no such table.
    """
    path = _TABLES / f"{name}.csv"
    if name not in known_label_spaces():
        raise DataError(f"Unknown label space '{name}'. Choose from: {', '.join(known_label_spaces())}.")
    return read_classes_csv(path, name)


def known_label_spaces() -> tuple[str, ...]:
    """Names of the label spaces that come with the package."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.csv")))
