from pathlib import Path

from data_manifests import read_manifest
from data_manifests.files.images import read_image
from data_manifests.files.masks import pixel_sha256, read_mask
from tests.agmm.conftest import tiny_manifest


def test_the_tiny_manifest_tells_the_truth_about_its_files(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, num_images=5))
    assert manifest.splits == {"train": 4, "val": 1}
    for row in manifest.rows_of("train"):
        sparse = read_mask(manifest.resolve(row.annotation))
        assert read_image(manifest.resolve(row.image)).shape == (*sparse.shape, 3) == (row.height, row.width, 3)
        assert pixel_sha256(sparse) == row.annotation_sha256
        assert (sparse != 255).sum() == row.num_labelled == 12
        full = read_mask(manifest.resolve(row.full_mask))
        assert (full[sparse != 255] == sparse[sparse != 255]).all()
