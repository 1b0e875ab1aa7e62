"""A manifest as a Hugging Face dataset."""

import sys

import numpy as np
import pytest

from data_manifests import Manifest, ManifestError, open_folders
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image
from tests.helpers.annotation_folders import annotated, camvid, cityscapes

pytestmark = pytest.mark.filterwarnings("ignore")  # datasets leaves files open


@pytest.mark.parametrize("make", [camvid, cityscapes])
def test_examples_are_the_rows(tmp_path, monkeypatch, make):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    manifest: Manifest = make(tmp_path)
    made = manifest.to_hf()
    assert {split: len(part) for split, part in made.items()} == manifest.splits
    rows = {row.image_id: row for row in manifest}
    for part in made.values():
        assert part.features["classes_labelled"].feature == datasets.ClassLabel(
            names=[*manifest.label_space.class_names]
        )
        for example in part:
            row = rows.pop(example["image_id"])
            labels = read_row_annotation(manifest, row) if row.annotation else read_row_full_mask(manifest, row)
            np.testing.assert_array_equal(np.asarray(example["annotation"]), labels)
            np.testing.assert_array_equal(np.asarray(example["image"].convert("RGB")), read_row_image(manifest, row))
            assert (example["sparse"], example["ignore_index"]) == (bool(row.annotation), 255)
            assert tuple(example["classes_labelled"]) == row.classes_labelled
    assert not rows


def test_annotations_of_masks_alone_have_no_image(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    pytest.importorskip("datasets", reason="needs datasets")
    masks = camvid(tmp_path).path.parents[2] / "camvid" / "trainannot"
    (example,) = annotated(open_folders(masks), tmp_path / "alone").to_hf()["train"]
    assert example["image"] is None and np.asarray(example["annotation"]).any()


def test_without_datasets(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ManifestError, match="pip install datasets"):
        camvid(tmp_path).to_hf()
