"""Compare the classes of manifests."""

from __future__ import annotations

from collections.abc import Sequence

from data_manifests.errors import ManifestError
from data_manifests.label_space import LabelSpace
from data_manifests.manifest.schema import Manifest

_WORDS = {"name": "is named", "color": "has the colour", "class_ids": "has the ids"}


def require_equal_classes(manifests: Sequence[Manifest]) -> None:
    """Check that manifests have equal classes: names, order, ids in masks and colours.

    Raises:
        ManifestError: If the classes of a manifest differ from those of the first; the message names the first
            difference.
    """
    first = manifests[0]
    for other in manifests[1:]:
        if difference := _difference(other.label_space, first.label_space):
            raise ManifestError(f"{other.path} and {first.path} have different classes: {difference}. Give equal ones.")


def _difference(first: LabelSpace, second: LabelSpace) -> str:
    """The first difference in words; empty if the classes are equal."""
    if first.num_classes != second.num_classes:
        return f"{first.num_classes} and {second.num_classes}"
    for number, (a, b) in enumerate(zip(first.classes, second.classes, strict=True)):
        for what, words in _WORDS.items():
            if getattr(a, what) != getattr(b, what):
                return f"class {number} {words} {getattr(a, what)} in the one, {getattr(b, what)} in the other"
    return ""
