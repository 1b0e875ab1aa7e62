"""``sparsekit export``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import read_manifest
from data_manifests.files.lock import FolderLock
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask
from sparsekit.formats import EXPORTED
from tests.helpers.annotation_folders import camvid
from tests.sparsekit.conftest import SCENE, tiny_manifest


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["export", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_exports_and_says_what(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", num_val=1).path
    out = tmp_path / "out"
    code, text, err = run(manifest, "--to", "mmseg", "--out", out)
    assert (code, err) == (0, "")
    assert text == f"{out}\n  mmseg: 1 annotated image, 1 with its full mask for evaluation\n"
    code, _, err = run(manifest, "--to", "mmseg", "--out", out)
    assert code == 1 and err == f"Error: {out}: already exists. Give --overwrite to replace it, or another --out.\n"
    code, text, _ = run(manifest.parent, "--to", "hf", "--out", out, "--overwrite", "--link", "--split", "train")
    assert code == 0 and "1 annotated image\n" in text and (out / "train/images/image_0.png").is_symlink()


def test_annotated_images_of_evaluation_splits_have_their_full_masks(tmp_path: Path) -> None:
    """Scores on the few labels of an annotation would not be those of the network; formats of marks have no masks."""
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 4).path
    done = CliRunner().invoke(main, ["split", str(manifest), "--val", "0.5", "--out", str(tmp_path / "half")])
    assert done.exit_code == 0
    for target, annotated in (("mmseg", 2), ("nnunet", 2), ("pixelpick", 2), ("agmm", 2), ("coco", 4)):
        code, text, err = run(tmp_path / "half", "--to", target, "--out", tmp_path / target, "--json")
        assert (code, err) == (0, "") and json.loads(text)["num_annotated"] == annotated, target
        assert json.loads(text)["num_evaluated"] == 4 - annotated, target
    read = read_manifest(tmp_path / "half")
    for row in read.rows:
        exported = np.asarray(Image.open(tmp_path / f"mmseg/ann_dir/{row.split}/{row.image_id}.png"))
        expected = read_row_full_mask(read, row) if row.split == "val" else read_row_annotation(read, row)
        np.testing.assert_array_equal(exported, expected)
    code, text, err = run(tmp_path / "half", "--to", "hf", "--out", tmp_path / "hf", "--split", "val")
    assert (code, err) == (0, "") and "2 annotated images\n" in text  # a split that was annotated to train on it


def test_bad_input(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.csv", "--to", "hf", "--out", tmp_path / "out")
    assert code == 1 and "no such manifest" in err
    code, _, err = run(tiny_manifest(tmp_path / "m").path, "--to", "word", "--out", tmp_path / "out")
    assert code == 2 and "'word' is not one of" in err


def test_a_full_mask_that_changed_goes_along_with_no_export(tmp_path: Path) -> None:
    """Formats with a place for full masks refuse it, the others do not look at it."""
    manifest = camvid(tmp_path)
    mask = manifest.resolve(manifest.rows_of("val")[0].full_mask)
    values = np.asarray(Image.open(mask)).copy()
    values[0, 0] = values[0, 0] == 0
    Image.fromarray(values).save(mask)
    with_masks = {"agmm", "tel", "urss", "spml", "pixelpick", "nnunet", "mmseg", "hf"}
    for target in {*EXPORTED} - {"s4a"}:  # which needs h5py
        code, _, err = run(manifest.path, "--to", target, "--out", tmp_path / target)
        assert code == (target in with_masks), target
        assert ("pixels have changed since the manifest was written" in err) == (target in with_masks), target
        assert (tmp_path / target).exists() == (target not in with_masks), target


def test_two_exports_never_share_a_folder(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m").path
    left = tmp_path / "new/.out.partial/labels"  # by a run that was killed
    left.mkdir(parents=True)
    (left / "old.png").touch()
    other = FolderLock(left.parent)
    assert other.try_acquire()
    code, _, err = run(manifest, "--to", "mmseg", "--out", tmp_path / "new/out")
    assert code == 1 and "another process is writing to it. Wait until it ends, or choose another folder." in err
    assert (left / "old.png").exists()
    other.release()
    assert run(manifest, "--to", "mmseg", "--out", tmp_path / "new/out")[0] == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert not list(tmp_path.rglob("old.png"))


def test_a_format_that_needs_h5py_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    manifest = tiny_manifest(tmp_path / "m")
    code, _, err = run(manifest.path, "--to", "s4a", "--lossy", "--out", tmp_path / "out")
    assert (code, err) == (1, "Error: The format s4a needs h5py: pip install 'sparsekit-agmm[hdf5]'.\n")
    assert not (tmp_path / "out").exists()
