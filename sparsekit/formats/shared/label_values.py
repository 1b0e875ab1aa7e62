"""Values of classes in label maps on disk; exports encode them, imports decode them."""

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
        unlabelled: Value of pixels without a label in annotations, and of void pixels in full masks.
        void: Value of void pixels in full masks, if different.
    """

    of_class: tuple[int, ...]
    unlabelled: int
    void: int | None = None

    def __post_init__(self) -> None:
        meanings = [self.unlabelled, self.void, *self.of_class]
        if twice := [value for value in meanings[:2] if meanings.count(value) > 1]:
            raise AnnotationError(
                f"Value {twice[0]} would have two meanings: this format has too few values for {len(self.of_class)} "
                "classes. Merge classes, or choose a 16-bit format such as nnunet."
            )

    def encode(self, label_map: LabelMap, space: LabelSpace, *, full: bool = False) -> LabelMap:
        """Convert train ids to the values of the format.

        Args:
            label_map: Train ids, shape (H, W), with the label space's unlabelled value at unlabelled pixels.
            space: The label space.
            full: Whether it is a full mask.

        Returns:
            Values, shape (H, W), uint8 if all fit, or else uint16.
        """
        empty = self.void if full and self.void is not None else self.unlabelled
        table = np.full(65536, empty, np.uint16)
        table[: space.num_classes] = self.of_class
        values = table[label_map]
        return values.astype(np.uint8) if max(empty, *self.of_class) <= 255 else values

    def decode(self, values: LabelMap, space: LabelSpace, where: object, unlabelled: int | None = None) -> LabelMap:
        """Convert values of the format to train ids; the inverse of ``encode``.

        Args:
            values: Shape (H, W).
            space: The label space.
            where: The file, for messages.
            unlabelled: Another value that means no label, overriding its usual meaning.

        Raises:
            AnnotationError: If a value has no meaning.
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
                f"{where}: contains the unknown values {list_some(unknown)}; expected the classes {expected}, and "
                f"{self.unlabelled} for no label. Does it belong to another dataset or format?"
            )
        return train_ids.astype(space.dtype)


def train_id_values(space: LabelSpace, unlabelled: int = 255) -> LabelValues:
    """Store train ids unchanged."""
    return LabelValues(tuple(range(space.num_classes)), unlabelled)


def class_id_values(space: LabelSpace, unlabelled: int) -> LabelValues:
    """Store the dataset's own ids.

    Raises:
        AnnotationError: If a class has no id.
    """
    if nameless := [c.name for c in space.classes if not c.class_ids]:
        raise AnnotationError(f"Label space '{space.name}' has no id for {list_some(nameless)}.")
    return LabelValues(tuple(c.class_ids[0] for c in space.classes), unlabelled)
