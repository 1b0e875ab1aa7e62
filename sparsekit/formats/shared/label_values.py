"""Which value stands for which class on disk; exports write it and imports read it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_manifests import LabelMap, LabelSpace
from data_manifests.errors import list_some
from sparsekit.errors import AnnotationError


@dataclass(frozen=True)
class LabelValues:
    """Values of a label map on disk.

    Args:
        of_class: Value of each class, in the order of train ids.
        unlabelled: Value of pixels without a label in annotations, and at void pixels of full masks.
        void: Value of void pixels of full masks where it is another one.
    """

    of_class: tuple[int, ...]
    unlabelled: int
    void: int | None = None

    def __post_init__(self) -> None:
        meanings = [self.unlabelled, self.void, *self.of_class]
        if twice := [value for value in meanings[:2] if meanings.count(value) > 1]:
            raise AnnotationError(
                f"Value {twice[0]} would mean two things: this format has room for fewer than the {len(self.of_class)} "
                "classes there are. Merge classes, or choose a format of 16 bits such as nnunet."
            )

    def encode(self, label_map: LabelMap, space: LabelSpace, *, full: bool = False) -> LabelMap:
        """Values to write.

        Args:
            label_map: Train ids, shape (H, W), with the label space's unlabelled value where there is no label.
            space: The label space.
            full: Whether it is a full mask.

        Returns:
            Shape (H, W), uint8 where all values fit, else uint16.
        """
        empty = self.void if full and self.void is not None else self.unlabelled
        table = np.full(65536, empty, np.uint16)
        table[: space.num_classes] = self.of_class
        values = table[label_map]
        return values.astype(np.uint8) if max(empty, *self.of_class) <= 255 else values

    def decode(self, values: LabelMap, space: LabelSpace, where: object, unlabelled: int | None = None) -> LabelMap:
        """Train ids of values as read; the opposite of ``encode``.

        Args:
            values: Shape (H, W).
            space: The label space.
            where: The file, for messages.
            unlabelled: Another value that means no label, whatever it means by itself.

        Raises:
            AnnotationError: If a value means nothing.
        """
        table = np.full(65536, -1, np.int32)
        table[self.unlabelled] = space.unlabelled_value
        if self.void is not None:
            table[self.void] = space.unlabelled_value
        table[list(self.of_class)] = np.arange(space.num_classes)
        if unlabelled is not None:
            table[unlabelled] = space.unlabelled_value
        train_ids = table[values]
        if train_ids.min(initial=0) < 0:
            unknown = [str(v) for v in np.unique(values[train_ids < 0])]
            expected = list_some([*map(str, sorted(self.of_class))], limit=40)
            raise AnnotationError(
                f"{where}: holds the values {list_some(unknown)}, which mean nothing here. Expected the classes "
                f"{expected}, and {self.unlabelled} for no label. Is it of another dataset or format?"
            )
        return train_ids.astype(space.dtype)


def train_id_values(space: LabelSpace, unlabelled: int = 255) -> LabelValues:
    """Train ids as they are."""
    return LabelValues(tuple(range(space.num_classes)), unlabelled)


def class_id_values(space: LabelSpace, unlabelled: int) -> LabelValues:
    """The dataset's own ids.

    Raises:
        AnnotationError: If a class has none.
    """
    if nameless := [c.name for c in space.classes if not c.class_ids]:
        raise AnnotationError(f"Label space '{space.name}' gives no id to {list_some(nameless)}.")
    return LabelValues(tuple(c.class_ids[0] for c in space.classes), unlabelled)
