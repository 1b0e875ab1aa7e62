"""``sparsekit validate`` on sound, damaged and real manifests."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, tiny_manifest


def sparsekit(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path):
    tiny_manifest(tmp_path)
    return tmp_path


def test_sound(folder):
    result = sparsekit("validate", folder)
    assert (result.exit_code, result.stdout) == (0, f"{folder / 'manifest.csv'}: 2 rows, no problems.\n")
    assert json.loads(sparsekit("validate", folder, "--json").stdout)["problems"] == []


def test_problems_are_listed_and_end_with_one(folder):
    (folder / "data/images/image_0.png").unlink()
    (folder / "sparse/image_1.png").write_bytes(b"no")
    result = sparsekit("validate", folder / "manifest.csv")
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "2 rows, 2 problems." in result.stdout
    assert (
        "missing (1)\n  image_0: image: " in result.stdout
        and "unreadable (1)\n  image_1: annotation: " in result.stdout
    )
    data = json.loads(sparsekit("validate", folder, "--json").stdout)
    assert data["num_rows"] == 2 and data["counts"] == {"missing": 1, "unreadable": 1}
    assert [(p["kind"], p["image_id"]) for p in data["problems"]] == [("missing", "image_0"), ("unreadable", "image_1")]


def test_a_quick_look_reads_no_pixels(folder):
    mask = folder / "data/masks/image_0.png"
    mask.write_bytes((folder / "data/masks/image_1.png").read_bytes())  # of another image, of the same size
    result = sparsekit("validate", folder)
    assert result.exit_code == 1 and "hash (1)\n  image_0: full_mask" in result.stdout
    assert sparsekit("validate", folder, "--quick").exit_code == 0
    mask.unlink()
    assert sparsekit("validate", folder, "--quick").exit_code == 1


def test_what_does_no_harm_is_told_but_does_not_fail(folder):
    (folder / "marks.csv").unlink()
    result = sparsekit("validate", folder)
    assert result.exit_code == 0 and "no_marks (1)" in result.stdout
    assert result.stdout.startswith(f"{folder / 'manifest.csv'}: 2 rows, no problems; 1 note.\n")
    (folder / "data/images/image_0.png").unlink()
    result = sparsekit("validate", folder)
    assert result.exit_code == 1 and "2 rows, 1 problem; 1 note.\n" in result.stdout


def test_a_long_list_is_cut(tmp_path):
    manifest = tiny_manifest(tmp_path, [SCENE] * 13)
    for row in manifest.rows:
        manifest.resolve(row.image).unlink()
    result = sparsekit("validate", tmp_path)
    assert "missing (13)" in result.stdout and "and 3 more; -v lists all" in result.stdout
    assert len(json.loads(sparsekit("validate", tmp_path, "--json").stdout)["problems"]) == 13


def test_no_manifest_at_all(tmp_path):
    result = sparsekit("validate", tmp_path / "none.csv")
    assert result.exit_code == 1 and result.stderr.startswith("Error: ") and "no such manifest" in result.stderr


@pytest.mark.parametrize("name", ["cityscapes_sample", "voc_sample"])
def test_what_points_writes_for_real_data_is_sound(tmp_path, name):
    made = sparsekit("points", "--clicks", 20, "--out", tmp_path, real_data(name))
    assert made.exit_code == 0, made.output
    result = sparsekit("validate", "--workers", 2, tmp_path / f"{name}-20clicks")
    assert result.exit_code == 0 and "no problems" in result.stdout


@pytest.mark.parametrize("why", ["Unable to allocate 8.00 GiB", ""])
def test_too_little_memory_is_told_with_advice_that_fits(tmp_path, monkeypatch, why):
    def load(path):
        raise MemoryError(why)

    monkeypatch.setattr("data_manifests.manifest.io.load_manifest", load)
    result = CliRunner().invoke(main, ["validate", str(tmp_path)])
    told = f" ({why})" if why else ""
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: This machine has too little memory{told}. Work on smaller images, or in fewer processes where the "
        "command has --workers.\n"
    )
