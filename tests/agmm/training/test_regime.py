from dataclasses import replace
from typing import Any

import pytest

from agmm.training.regime import reaches_all_classes, regime_of
from data_manifests import Manifest


def with_settings(manifest: Manifest, command: str, settings: dict[str, Any]) -> Manifest:
    return replace(manifest, info=replace(manifest.info, command=command, settings=settings))


@pytest.mark.parametrize(
    ("command", "settings", "expected"),
    [
        ("points", {"clicks_per_class": 1, "wrong": 0.0}, True),
        ("points", {"clicks_per_instance": 2}, True),
        ("points", {"clicks_per_class": 1, "wrong": 0.1}, False),
        ("points", {"clicks_per_image": 20}, False),
        ("scribbles", {"width": 3}, True),
        ("import", {}, False),
        ("pseudo-labels", {"clicks_per_class": 1}, False),
    ],
)
def test_only_annotations_that_go_by_class_reach_all_classes(
    seven: Manifest, command: str, settings: dict[str, Any], expected: bool
) -> None:
    manifest = with_settings(seven, command, settings)
    assert reaches_all_classes(manifest) is expected
    assert regime_of(manifest).reaches_all is expected


def test_classes_per_image_are_counted_over_annotated_rows_of_the_split(seven: Manifest) -> None:
    rows = [row for row in seven.rows if row.split == "train" and row.classes_labelled]
    found = regime_of(seven)
    assert found.classes_per_image == sum(len(row.classes_labelled) for row in rows) / len(rows)
    assert found.num_classes == seven.label_space.num_classes
    assert regime_of(seven, "nowhere").classes_per_image == 0
