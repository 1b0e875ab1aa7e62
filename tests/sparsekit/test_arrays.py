"""Arrays in, annotations out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_manifests import open_dataset, read_manifest, read_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask
from sparsekit import ClickAnnotator, ClickSettings, ScribbleAnnotator, ScribbleSettings, annotate, synthesize
from tests.sparsekit.conftest import SCENE, numbered_space

MASK = np.kron(SCENE, np.ones((16, 16), np.uint8))


@pytest.mark.parametrize(
    ("annotator", "arguments"),
    [
        (ClickAnnotator((20,)), {"clicks": 20}),
        (ClickAnnotator((2,), ClickSettings("per-class", margin=3)),
         {"clicks": 2, "settings": ClickSettings("per-class", margin=3)}),
        (ScribbleAnnotator((0.8,)), {"scribbles": 0.8}),
        (ScribbleAnnotator((1.0,), ScribbleSettings(width=3, wobble=2)),
         {"scribbles": 1, "settings": ScribbleSettings(width=3, wobble=2)}),
    ],
    ids=["clicks", "clicks-per-class", "scribbles", "thin-scribbles"],
)  # fmt: skip
def test_arrays_get_the_bytes_that_files_get(tmp_path: Path, annotator: Any, arguments: dict[str, Any]) -> None:
    for name in ("a", "b"):
        write_atomically(tmp_path / f"mine/images/{name}.png", encode_image(np.zeros((*MASK.shape, 3), np.uint8)))
        write_atomically(tmp_path / f"mine/masks/{name}.png", encode_label_map(MASK, numbered_space(3)))
    dataset = open_dataset(tmp_path / "mine", label_space=numbered_space(3))
    (summary,) = synthesize(dataset, annotator, tmp_path / "sparse", seed=7)
    manifest = read_manifest(summary.folder)
    marks = dict(read_marks(manifest.marks_path))
    drawn = []
    for row in manifest.rows:
        labels, own = annotate(read_row_full_mask(manifest, row), seed=7, image_id=row.image_id, **arguments)
        expected = read_row_annotation(manifest, row)
        assert labels.dtype == expected.dtype and labels.tobytes() == expected.tobytes()
        assert [(m.row, m.col, m.points) for m in own] == [(m.row, m.col, m.points) for m in marks[row.image_id]]
        drawn.append(labels)
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(
    ("dtype", "void"), [(np.int64, -1), (np.int8, -1), (np.uint16, 65535), (np.int32, 255), (np.uint8, 7)]
)
def test_type_and_void_value_of_the_mask_are_kept(dtype: type, void: int) -> None:
    mask = MASK.astype(dtype)
    mask[MASK == 255] = void
    mask.setflags(write=False)
    labels, marks = annotate(mask, clicks=9, seed=1, void=void)
    usual, same = annotate(MASK, clicks=9, seed=1)
    assert labels.dtype == dtype and marks == same
    assert np.array_equal(labels[usual != 255], usual[usual != 255]) and (labels[usual == 255] == void).all()


def test_more_classes_than_a_byte_holds() -> None:
    mask = np.arange(400, dtype=np.int32).reshape(20, 20)
    labels, marks = annotate(mask, clicks=400, void=-1)
    assert sorted(mark.class_id for mark in marks) == list(range(400)) and np.array_equal(labels, mask)


@pytest.mark.parametrize(
    ("dtype", "left", "right", "num_marks"),
    [("<u2", 24000, 24001, 2), (">u2", 24000, 24001, 2), (">u2", 24, 25, 1), ("u1", 24, 25, 2), ("u1", 0, 255, 1)],
)
def test_instances_are_those_of_the_layout(dtype: str, left: int, right: int, num_marks: int) -> None:
    """In 16 bits, ids of 1000 and more are instances, as in Cityscapes; in 8 bits, all but 0 and 255."""
    mask = np.ones((40, 80), np.uint8)
    instances = np.where(np.arange(80) < 40, left, right).repeat(40).reshape(80, 40).T.astype(dtype)
    settings = ClickSettings("per-instance")
    _, marks = annotate(mask, clicks=1, settings=settings, instances=instances)
    assert len(marks) == num_marks and len({mark.col < 40 for mark in marks}) == num_marks
    with pytest.raises(ValueError, match="must be uint16, as in Cityscapes, or uint8.*got int32"):
        annotate(mask, clicks=1, settings=settings, instances=instances.astype(np.int32))


def test_a_mask_without_a_class_has_no_marks() -> None:
    labels, marks = annotate(np.full((8, 9), 255, np.uint8), clicks=5)
    assert marks == [] and (labels == 255).all()


@pytest.mark.parametrize(
    ("mask", "arguments", "message"),
    [
        (MASK, {}, "Give either clicks or scribbles, got clicks=None and scribbles=None"),
        (MASK, {"clicks": 1, "scribbles": 0.5}, "Give either clicks or scribbles"),
        (MASK, {"clicks": 0}, "clicks_per_image must be at least 1, got 0"),
        (MASK, {"scribbles": 1.5}, "length must lie between 0.01 and 1"),
        (MASK, {"clicks": 1, "settings": ScribbleSettings()}, "settings must be ClickSettings"),
        (MASK[None], {"clicks": 1}, r"integers, shape \(H, W\), got uint8 of shape \(1, 128, 128\)"),
        (MASK / 2, {"clicks": 1}, "integers, .* got float64"),
        (MASK[:0], {"clicks": 1}, "integers"),
        (MASK.astype(int) - 5, {"clicks": 1}, "mask holds -5; train ids are 0"),
        (MASK, {"clicks": 1, "void": -1}, "void is -1, which uint8 cannot hold"),
        (MASK, {"clicks": 1, "seed": -1}, "seed must be at least 0"),
        (MASK, {"clicks": 1, "instances": MASK[:3]}, r"instances must have the shape of the mask, \(128, 128\)"),
    ],
)
def test_what_cannot_be_annotated_is_said(mask: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        annotate(mask, **arguments)


def test_it_is_a_function_after_its_module_is_imported() -> None:
    import sparsekit.arrays

    assert sparsekit.annotate is sparsekit.arrays.annotate
