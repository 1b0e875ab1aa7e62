import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import read_manifest, read_marks
from data_manifests.files.masks import read_mask
from sparsekit.geometry.rasterize import rasterize


def sparsekit(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def dataset_dir(tmp_path):
    """One image of 60x90: class 1 in a corner of class 0."""
    root = tmp_path / "town"
    mask = np.zeros((60, 90), np.uint8)
    mask[30:, 50:] = 1
    for folder, image in (("masks", mask), ("images", np.zeros((60, 90, 3), np.uint8))):
        (root / folder).mkdir(parents=True)
        Image.fromarray(image).save(root / folder / "a.png")
    return root


def test_the_margin_of_coarse_polygons_is_recorded(dataset_dir, tmp_path):
    result = sparsekit("marks", dataset_dir, "--kind", "coarse", "--margin", 3, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert read_manifest(tmp_path / "out/town-coarse").info.settings["margin"] == 3


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["--kind", "block"], ["town-blocks10", "town-blocks20", "town-blocks50"]),
        (["--kind", "block", "--share", "0.3"], ["town-blocks30"]),
        (["--kind", "coarse", "--margin", "3"], ["town-coarse"]),
        (["--kind", "box"], ["town-boxes"]),
    ],
)
def test_folders_whose_images_are_the_marks(dataset_dir, tmp_path, args, names):
    out = tmp_path / "out"
    result = sparsekit("marks", *args, "--out", out, dataset_dir)
    assert result.exit_code == 0, result.output
    assert sorted(folder.name for folder in out.iterdir()) == names
    labelled = []
    for name in names:
        manifest = read_manifest(out / name)
        (row,), ((_, marks),) = manifest.rows, read_marks(manifest.marks_path)
        sparse = read_mask(manifest.resolve(row.annotation))
        full = read_mask(manifest.resolve(row.full_mask))
        np.testing.assert_array_equal(sparse, rasterize(marks, full.shape, manifest.label_space))
        assert (sparse[sparse != 255] == full[sparse != 255]).all()  # the boxes too: the smaller lies on top
        assert row.classes_labelled == (0, 1)
        labelled.append(row.num_labelled)
    assert labelled == sorted(labelled)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing option '--kind'"),
        (["--kind", "circle"], "'block', 'box', 'coarse'"),
        (["--kind", "box", "--share", "0.1"], "A share is for blocks only, not for kind 'box'"),
        (["--kind", "block", "--margin", "2"], "--margin is for --kind coarse"),
        (["--kind", "block", "--share", "0.1", "--share", "0.1"], "several different ones"),
    ],
)
def test_wrong_usage(dataset_dir, args, message):
    result = sparsekit("marks", *args, dataset_dir)
    assert result.exit_code == 2 and message in result.stderr
