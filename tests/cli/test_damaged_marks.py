"""Marks that somebody has edited, or that are of another image, end every command that draws them in one line."""

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.sparsekit.conftest import tiny_manifest

FAR = 10**12


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (f"click,0,{FAR},1,,,", "lies outside the image of 8x8"),
        ("click,0,-1,1,,,", "lies outside the image of 8x8"),
        (f"polygon,0,1,1,,,1 1;{2**31 - 1} 3;4 4", "lies outside the image of 8x8"),
        ("stroke,0,1,1,3,,1 1;8 2", "lies outside the image of 8x8"),
        ("stroke,0,1,1,,,", "is a stroke of 0 points"),
        ("stroke,0,1,1,,,1 1;2 2", "is a stroke of 2 points and 0 widths"),
        ("stroke,0,1,1,0,,1 1;2 2", "is a stroke 0 to 0 pixels wide"),
        (f"stroke,0,1,1,{FAR},,1 1;2 2", f"is a stroke {FAR} to {FAR} pixels wide"),
        ("box,0,1,1,,,1 1", "is a box of 1 point"),
        ("box,0,4,4,,,4 4;1 1", "is a box whose first corner is not the upper left one"),
        ("polygon,0,1,1,,,", "is a polygon of 0 points"),
        ("star,0,1,1,,,", "is of the unknown kind 'star'"),
    ],
)
def test_marks_that_cannot_be_drawn(tmp_path, line, fault):
    manifest = tiny_manifest(tmp_path / "made")
    header = manifest.marks_path.read_text().splitlines()[0]
    manifest.marks_path.write_text(f"{header}\nimage_0,0,{line}\n")
    out = tmp_path / "out"
    said = f"{manifest.marks_path}: a mark of image 'image_0' {fault}"
    commands = [["export", "--to", to, "--out", out, "--lossy"] for to in ("coco", "cvat", "labelme")]
    for command, *options in (*commands, ["render", "--out", out], ["stats"], ["cost"]):
        result = CliRunner().invoke(main, [command, str(manifest.path), *map(str, options)])
        assert result.exit_code == 1 and said in result.stderr and "sparsekit validate" in result.stderr
    assert CliRunner().invoke(main, ["validate", str(manifest.path)]).exit_code == 1
    assert not out.exists()
    pytest.importorskip("jinja2", reason="the gallery needs jinja2")
    result = CliRunner().invoke(main, ["gallery", str(manifest.path), "--out", str(tmp_path / "page.html")])
    assert result.exit_code == 0 and f"Warning: {said}" in result.stderr


@pytest.mark.parametrize("class_id", [3, -1])
def test_a_gallery_of_marks_of_no_class(tmp_path, class_id):
    pytest.importorskip("jinja2", reason="the gallery needs jinja2")
    manifest = tiny_manifest(tmp_path / "made")  # of three classes
    text = manifest.marks_path.read_text()
    manifest.marks_path.write_text(text.replace("image_0,0,click,0,", f"image_0,0,click,{class_id},"))
    result = CliRunner().invoke(main, ["gallery", str(manifest.path), "--out", str(tmp_path / "page.html")])
    assert result.exit_code == 0 and f"has class {class_id}; the classes" in result.stderr
    assert ">3</td>" in (tmp_path / "page.html").read_text()  # of four marks those that count
