"""``sparsekit render``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Mark
from data_manifests.files.images import read_image, read_image_size
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, tiny_manifest


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["render", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_writes_figures_then_skips_them(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m").path
    code, out, _ = run(manifest, "--out", tmp_path / "f")
    assert code == 0 and out.split() == [str(tmp_path / f"f/image_{i}.png") for i in (0, 1)]
    code, out, err = run(manifest, "--out", tmp_path / "f")
    assert code == 0 and out == "" and "2 figures exist already; --overwrite" in err
    code, out, err = run(manifest, "--out", tmp_path / "f", "--dot-size", 5)
    assert (
        code == 1 and out == "" and err.startswith(f"Error: {tmp_path / 'f/image_0.png'} (and 1 more): already exists")
    )
    code, out, _ = run(manifest, "--out", tmp_path / "f", "--overwrite", "--json")
    assert code == 0
    assert json.loads(out) == {"written": [str(tmp_path / f"f/image_{i}.png") for i in (0, 1)], "skipped": []}


def test_every_option_at_once(tmp_path: Path) -> None:
    first, second = (tiny_manifest(tmp_path / name, [SCENE] * 6).path for name in ("a", "b"))
    code, out, err = run(
        first, second.parent, "--out", tmp_path / "f", "--dot-size", 3, "--full-mask", "--mask-opacity", 0.5, "--sheet",
        "2x1", "--names", "--caption", "A", "--caption", "B", "--max-width", 500, "--format", "pdf", "--split", "train",
        "--image", "image_1", "--image", "image_2", "--image", "image_4", "--limit", 3,
    )  # fmt: skip
    assert code == 0, err
    assert out.split() == [str(tmp_path / f"f/sheet-00{i}.pdf") for i in (1, 2)]
    assert (tmp_path / "f/sheet-001.pdf").read_bytes().startswith(b"%PDF")


def test_dots_take_two_hundredths_of_the_image_unless_told(tmp_path: Path) -> None:
    mask = np.zeros((480, 640), np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[[Mark("click", 1, 60, 80)]])
    background = read_image(manifest.resolve(manifest.rows[0].image))[60, 0]

    def dot_height(*arguments: object) -> int:
        """Rows of the figure that show the click."""
        code, out, told = run(manifest.path, "--out", tmp_path / "f", "--overwrite", *arguments)
        assert code == 0 and told == ""
        column = read_image(Path(out.strip()))[:480, 80].astype(int)
        return int((np.abs(column - background).max(1) > 60).sum())

    assert dot_height() == pytest.approx(12, abs=1)
    assert dot_height("--dot-size", 40) == pytest.approx(40, abs=1)


def test_long_lists_are_cut(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 13).path
    _, out, _ = run(manifest, "--out", tmp_path / "f")
    assert len(out.splitlines()) == 11 and out.splitlines()[-1].startswith("and 3 more figures in ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sheet", "4"], 2, "expected ROWSxCOLS such as 4x3, each at most 100, got '4'"),
        (["--sheet", "0x2"], 2, "each at most 100, got '0x2'"),
        (["--sheet", "101x2"], 2, "each at most 100, got '101x2'"),
        (["--dot-size", "0"], 2, "0 is not in the range 1<=x<=1000"),
        (["--dot-size", "1001"], 2, "1001 is not in the range 1<=x<=1000"),
        (["--max-width", "65536"], 2, "65536 is not in the range 8<=x<=65535"),
        (["--mask-opacity", "nan"], 2, "nan is not in the range 0<x<=1"),
        (["--caption", "one", "--caption", "two"], 2, "Expected 1 caption, one for each manifest, got 2"),
        (["--sheet", "1x90", "--max-width", "100"], 2, "Give a larger --max-width"),
        (["--format", "gif"], 2, "'gif' is not one of 'png', 'pdf'"),
        (["--image", "nothing"], 1, "Error: {manifest}: no image 'nothing'. There are: image_0, image_1."),
        (["--split", "val"], 1, "split 'val' has no rows. Splits of this manifest: train (2)."),
    ],
)
def test_bad_usage_is_one_error(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    manifest = tiny_manifest(tmp_path / "m").path
    result = run(manifest, "--out", tmp_path / "f", *arguments)
    assert result[0] == code and message.format(manifest=manifest) in result[2]
    assert not (tmp_path / "f").exists()


def test_missing_manifest_and_missing_image(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.csv")
    assert code == 1 and err.startswith(f"Error: {tmp_path / 'none.csv'}: no such manifest")
    manifest = tiny_manifest(tmp_path / "m")
    manifest.resolve(manifest.rows[0].image).unlink()
    code, _, err = run(manifest.path, "--out", tmp_path / "f")
    assert code == 1 and "image_0.png: no such file" in err and not (tmp_path / "f").exists()


def test_output_that_is_a_file(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m").path
    (tmp_path / "f").write_text("in the way")
    code, _, err = run(manifest, "--out", tmp_path / "f")
    assert code == 1 and err.startswith(f"Error: {tmp_path / 'f'}")


def test_real_cityscapes_frame_beside_its_mask(tmp_path: Path) -> None:
    data = real_data("cityscapes_sample")
    runner = CliRunner()
    made = runner.invoke(main, ["points", str(data), "--clicks", "20", "--clicks", "50", "--out", str(tmp_path / "s")])
    assert made.exit_code == 0, made.stderr
    manifests = [tmp_path / f"s/cityscapes_sample-{n}clicks/manifest.csv" for n in (20, 50)]
    code, out, err = run(*manifests, "--out", tmp_path / "f", "--limit", 1, "--full-mask")
    assert code == 0, err
    height, width = read_image_size(Path(out.strip()))
    assert width <= 2048 and 0.5 < height * 3 * 2 / width < 1.8
    assert read_image(Path(out.strip())).std() > 20
