"""The studies that the documentation reports can be run again: their files are read, their data can be made."""

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from agmm.config.recipes import load_config
from agmm.studies.study import read_study
from data_manifests import open_dataset
from data_manifests.files.images import read_image
from data_manifests.files.masks import read_mask

STUDIES = Path(__file__).parents[1] / "studies"


NAMES = sorted(path.stem for path in STUDIES.glob("*.toml") if "base" not in path.stem)


@pytest.mark.parametrize("name", [*NAMES, "on-a-card/clothing", "on-a-card/camvid"])
def test_every_row_can_be_applied_to_the_base(name: str) -> None:
    study = read_study(STUDIES / f"{name}.toml")
    base = load_config(config_path=study.base)
    assert study.manifests
    for setting in study.settings:
        assert setting.apply(base, seed=1).seed == 1


@pytest.mark.parametrize(("name", "tables"), [("study-camvid", 5), ("study-few-clicks", 4)])
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


def test_camvid_can_be_cut_into_tiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for kind in ("images", "masks"):
            (folder := tmp_path / "camvid" / split / kind).mkdir(parents=True)
            for name in ("a", "b"):
                cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 12, (12, 18), np.uint8))
    (tmp_path / "camvid/classes.csv").write_text("index,name,r,g,b\n0,Sky,128,128,128\n")
    module = runpy.run_path(str(STUDIES / "shrink_camvid.py"))
    assert module["shrink"](tmp_path / "camvid", tmp_path / "tiles", factor=1, grid=2) == 2 + 8 + 8
    masks, kept = tmp_path / "camvid/train/masks", tmp_path / "tiles/train/masks"
    assert sorted(path.name for path in kept.iterdir()) == ["a_0.png", "b_1.png"]
    assert (read_mask(kept / "a_0.png") == read_mask(masks / "a.png")[:6, :9]).all()
    assert (read_mask(kept / "b_1.png") == read_mask(masks / "b.png")[:6, 9:]).all()


def test_thickness_is_the_largest_disc_of_the_largest_region() -> None:
    thickness = runpy.run_path(str(STUDIES / "gain_by_class.py"))["thickness"]
    y, x = np.mgrid[:60, :60]
    disc, bar = np.hypot(y - 30, x - 30) < 20.5, (abs(y - 3) <= 2) & (x < 50)
    assert abs(thickness(disc | bar) - 41) <= 1
    assert thickness(bar) == 5


def test_jobs_on_a_card_stop_in_time_and_keep_what_they_have(tmp_path: Path) -> None:
    module = runpy.run_path(str(STUDIES / "on-a-card/run.py"))
    names = [job.name for job in module["jobs"](tmp_path, tiny=False, device="cuda")]
    assert names[:3] == ["smoke", "loss", "steps"] and len(set(names)) == len(names) == 21
    done = module["Job"]("done", ("-c", "open('scores', 'w').write('1'); print('said')"), ("scores", "missing"))
    endless = module["Job"]("endless", ("-c", "import time; print('on', flush=True); time.sleep(600)"))
    now = time.monotonic()
    run, environment = module["run"], dict(os.environ)
    assert run(done, tmp_path, tmp_path, environment, now + 600) == 0
    assert (tmp_path / "done.log").read_text() == "said\n" and (tmp_path / "done-scores").read_text() == "1"
    assert run(endless, tmp_path, tmp_path, environment, now) is None


def test_card_is_packed_and_too_much_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split in ("images", "masks"):
        (data / "clothing_small/val" / split).mkdir(parents=True)
        cv2.imwrite(str(data / f"clothing_small/val/{split}/a.png"), np.full((4, 6, 3), 90, np.uint8))
    (data / "camvid").mkdir()
    (data / "weights").mkdir()
    name = "weights/mobilenetv2_100.imagenet.safetensors"
    save_file({"conv.weight": np.ones(3, np.float32), "classifier.bias": np.ones(9, np.float32)}, data / name)
    command = [sys.executable, STUDIES / "on-a-card/pack.py", data, "--card", tmp_path / "card"]
    subprocess.run(command, check=True, capture_output=True)
    assert list(load_file(tmp_path / "card" / name)) == ["conv.weight"]
    files = {str(path.relative_to(tmp_path / "card/data")) for path in (tmp_path / "card/data").rglob("*.*")}
    assert files == {"clothing_small/val/images/a.jpg", "clothing_small/val/masks/a.png"}
    assert (read_mask(tmp_path / "card/data/clothing_small/val/masks/a.png") == 90).all()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "exists" in again.stderr
