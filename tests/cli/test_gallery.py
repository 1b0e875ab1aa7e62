"""``sparsekit gallery``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, tiny_manifest

pytest.importorskip("jinja2", reason="the gallery needs jinja2")


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["gallery", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_writes_one_page_and_never_replaces_it_unasked(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 4).path
    page = tmp_path / "out/gallery.html"
    code, out, _ = run(manifest, "--out", page, "--limit", 3)
    assert code == 0 and out.startswith(f"{page}\n  3 of 4 images, ") and page.read_text().startswith("<!DOCTYPE html>")
    before = page.read_bytes()
    code, out, err = run(manifest, "--out", page, "--limit", 3)
    assert (code, err) == (0, "")
    assert out == f"{page}\n  existed already for the same annotations; --overwrite makes it again\n"
    other = tiny_manifest(tmp_path / "other", [SCENE] * 4, marks=[[]] * 4).path
    for arguments in ([other, "--limit", 3], [manifest, other, "--limit", 3], [manifest], [manifest, "--dot-size", 9]):
        code, _, err = run(*arguments, "--out", page)
        assert code == 1 and err.startswith(f"Error: {page}: already exists, but")
    assert page.read_bytes() == before
    code, _, err = run(tmp_path / "none.csv", "--out", page)  # what is wrong is told all the same
    assert code == 1 and "no such manifest" in err
    code, out, _ = run(manifest, "--out", page, "--overwrite", "--limit", 0, "--dot-size", 3, "--thumbnail-size", 16)
    assert code == 0 and "  4 images, " in out
    assert [path.name for path in page.parent.iterdir()] == ["gallery.html"]


def test_missing_images_are_warned_of(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 12)
    for row in manifest.rows:
        manifest.resolve(row.image).unlink()
    code, out, err = run(manifest.path, "--out", tmp_path / "g.html")
    assert code == 0 and "12 images" in out
    lines = err.splitlines()
    assert len(lines) == 11 and lines[0].startswith("Warning: ") and "image_0.png: no such file" in lines[0]
    assert lines[-1] == "Warning: and 2 more; -v lists all"
    code, _, err = run(manifest.path, "--out", tmp_path / "g.html")  # perhaps the images are there by now
    assert code == 0 and err.splitlines() == lines


def test_bad_input(tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "none.csv", "--out", tmp_path / "g.html")
    assert code == 1 and "no such manifest" in err
    code, _, err = run(tiny_manifest(tmp_path / "m").path, "--split", "test", "--out", tmp_path / "g.html")
    assert code == 1 and "split 'test' has no rows" in err
    code, _, err = run(tmp_path / "m", "--thumbnail-size", 1)
    assert code == 2 and "--thumbnail-size" in err
    assert not (tmp_path / "g.html").exists()


def test_fifty_real_images_stay_below_ten_megabytes(tmp_path: Path) -> None:
    data = real_data("camvid")
    made = CliRunner().invoke(main, ["points", str(data), "--clicks", "50", "--limit", "50", "--out", str(tmp_path)])
    assert made.exit_code == 0, made.stderr
    code, out, err = run(tmp_path / "camvid-50clicks", "--out", tmp_path / "g.html")
    assert code == 0, err
    assert "50 images" in out and (tmp_path / "g.html").stat().st_size < 10e6
