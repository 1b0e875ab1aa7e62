"""The studies that the documentation reports can be run again: their files are read, their data can be made."""

import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from agmm.config.recipes import load_config
from agmm.studies.study import read_study
from data_manifests import open_dataset
from data_manifests.files.images import read_image, read_mask

STUDIES = Path(__file__).parents[1] / "studies"


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.toml") if "base" not in path.stem))
def test_every_row_can_be_applied_to_the_base(name: str) -> None:
    study = read_study(STUDIES / f"{name}.toml")
    base = load_config(config_path=study.base)
    assert study.manifests
    for setting in study.settings:
        assert setting.apply(base, seed=1).seed == 1


@pytest.mark.parametrize(("name", "tables"), [("study-camvid", 5), ("study-few-clicks", 2)])
def test_the_pages_show_the_results_that_are_kept(name: str, tables: int) -> None:
    """`python studies/keep_results.py` writes their tables."""
    module = runpy.run_path(str(STUDIES / "keep_results.py"))
    page = (STUDIES.parent / f"docs/{name}.md").read_text()
    assert page.count("<!-- table of ") == page.count("<!-- end -->") >= tables
    assert module["with_tables"](page) == page
    for log in (STUDIES / "results/logs").glob("*/*.csv"):
        assert module["in_six_digits"](log.read_text()) == log.read_text()


def test_camvid_can_be_shrunk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    full = tmp_path / "camvid"
    for split in ("train", "val", "test"):
        for kind, array in (("images", rng.integers(0, 256, (12, 18, 3))), ("masks", rng.integers(0, 12, (12, 18)))):
            (full / split / kind).mkdir(parents=True)
            cv2.imwrite(str(full / split / kind / f"{split}.png"), array.astype(np.uint8))
    (full / "classes.csv").write_text("index,name,r,g,b\n0,Sky,128,128,128\n")
    command = [sys.executable, STUDIES / "shrink_camvid.py", full, tmp_path / "third", "--factor", "3"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.startswith("3 images")
    small = tmp_path / "third/train"
    mask = read_mask(full / "train/masks/train.png")
    assert (read_mask(small / "masks/train.png") == mask[::3, ::3]).all()
    image = read_image(full / "train/images/train.png").reshape(4, 3, 6, 3, 3).mean((1, 3))
    assert np.abs(read_image(small / "images/train.png") - image).max() <= 0.5
    assert len(open_dataset(tmp_path / "third", layout="camvid").items) == 3
