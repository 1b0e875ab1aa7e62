"""A manifest of three images."""

from __future__ import annotations

import pytest

from data_manifests import Manifest, ManifestInfo, ManifestRow, known_label_space, write_manifest


@pytest.fixture
def manifest(tmp_path):
    info = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0, "clicks_per_image": 2})
    rows = tuple(ManifestRow(name, "train", f"{name}.png", "", "", 4, 6) for name in "abc")
    write_manifest(Manifest(tmp_path / "manifest.csv", rows, info))
    return tmp_path / "manifest.csv"
