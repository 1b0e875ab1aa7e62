"""Options that choose what audits look at reach them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Manifest, read_manifest, write_manifest
from data_manifests.manifest.derive import subset_manifest
from sparsekit.audit.score import annotation_score
from tests.helpers.miniature_datasets import save_mask
from tests.sparsekit.conftest import SCENE, tiny_manifest


def sparsekit(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Three images, all annotated, the first for validation."""
    made = tiny_manifest(tmp_path / "all/made", [SCENE, SCENE.T, np.roll(SCENE, 3, axis=1)])
    write_manifest(replace(made, rows=(replace(made.rows[0], split="val"), *made.rows[1:])))
    return read_manifest(made.path)


@pytest.mark.parametrize("command", ["stats", "score", "cost", "agreement"])
def test_a_split_counts_as_a_manifest_of_its_images(manifest: Manifest, tmp_path: Path, command: str) -> None:
    told = []
    for split in ("val", "train"):
        part = tmp_path / split / "made"
        ids = [row.image_id for row in manifest.rows_of(split)]
        subset_manifest(manifest, part, image_ids=ids).write()
        times = 2 if command == "agreement" else 1
        told.append(sparsekit(command, *[manifest.path] * times, "--split", split, "--json"))
        assert told[-1] == sparsekit(command, *[part] * times, "--json")
    assert told[0] != told[1]


def test_small_regions_are_left_out_of_statistics(manifest: Manifest) -> None:
    counts = {}
    for area in (1, 2):
        (found,) = json.loads(sparsekit("stats", manifest.path, "--min-area", area, "--json"))
        counts[area] = {row["class"]: row["regions"] for row in found["classes"]}
    assert (counts[1]["class_2"], counts[2]["class_2"]) == (3, 0)  # one pixel in each image


def test_labels_are_spread_in_images_of_the_given_size(manifest: Manifest) -> None:
    found = [
        json.loads(sparsekit("score", manifest.path, "--method", "nearest", "--max-size", size, "--json"))
        for size in (4, 8)
    ]
    expected = [[annotation_score(manifest, "nearest", max_size=size).to_dict()] for size in (4, 8)]
    assert found == expected and found[0] != found[1]


def test_labels_are_grown_in_images_of_the_given_size(manifest: Manifest, tmp_path: Path) -> None:
    sparsekit("grow", manifest.path, "--max-size", 16, "--out", tmp_path / "grown")
    assert read_manifest(tmp_path / "grown").info.settings["max_size"] == 16


def test_the_value_of_no_label_in_folders_of_label_maps(tmp_path: Path) -> None:
    for name, value in (("ours", 1), ("human", 2)):
        label_map = np.zeros((10, 10), np.uint8)
        label_map[5, :5] = value
        save_mask(tmp_path / name / "a.png", label_map)
    words = ("compare", tmp_path / "ours", tmp_path / "human", "--unlabelled", 0, "--json")
    measures = json.loads(sparsekit(*words))["measures"]
    assert measures["image_labelled"]["ours"][1] == measures["image_labelled"]["human"][1] == 0.05


def test_subsets_of_a_split(manifest: Manifest, tmp_path: Path) -> None:
    sparsekit("subset", manifest.path, "--split", "train", "--count", 1, "--out", tmp_path / "one")
    assert read_manifest(tmp_path / "one").splits == {"train": 1, "val": 1}  # other splits stay whole
