"""The first difference between the classes of two manifests is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests import LabelClass, LabelSpace, Manifest, ManifestError, ManifestInfo
from data_manifests.manifest.classes import require_equal_classes

CLASSES = (LabelClass("road", (1, 2, 3), (7,)), LabelClass("car", (4, 5, 6), (8, 9)))


def manifest_of(name: str, classes: tuple[LabelClass, ...]) -> Manifest:
    return Manifest(Path(name), (), ManifestInfo(LabelSpace("any", classes)))


def test_equal_classes_in_label_spaces_of_other_names() -> None:
    other = Manifest(Path("b"), (), ManifestInfo(LabelSpace("other", CLASSES, void_ids=(3,))))
    require_equal_classes([manifest_of("a", CLASSES), other])


@pytest.mark.parametrize(
    ("second", "difference"),
    [
        (LabelClass("van", (4, 5, 6), (8, 9)), "class 1 is named van in the one, car in the other"),
        (LabelClass("car", (4, 5, 0), (8, 9)), r"class 1 has the colour \(4, 5, 0\) in the one, \(4, 5, 6\)"),
        (LabelClass("car", (4, 5, 6), (8,)), r"class 1 has the ids \(8,\) in the one, \(8, 9\) in the other"),
        (None, "1 and 2"),
    ],
)
def test_the_first_difference(second: LabelClass | None, difference: str) -> None:
    classes = CLASSES[:1] if second is None else (CLASSES[0], second)
    manifests = [manifest_of("a", CLASSES), manifest_of("b", CLASSES), manifest_of("c", classes)]
    with pytest.raises(ManifestError, match=f"^c and a have different classes: {difference}"):
        require_equal_classes(manifests)
