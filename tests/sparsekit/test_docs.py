"""The Python code of the pages runs as a reader runs it: saved as a script, beside the folders that the page names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import ExifTags, Image

from cli.sparsekit_cli import main
from data_manifests.files.masks import read_mask
from tests.helpers import miniature_datasets as mini

DOCS = Path(__file__).parents[2] / "docs"

#: Pages whose code needs folders of annotations and nothing else. Those of layouts and scale have tests of their own;
#: those of networks are in tests/agmm/test_docs.py, and that of tutorials below.
PAGES = ["audit", "figures", "manifest"]
TESTED_ELSEWHERE = {
    "formats", "integrations", "layouts", "scale", "training", "reports", "evaluation", "python", "tutorials"
}  # fmt: skip


def code_of(page: str) -> str:
    """The Python code of a page, in one piece."""
    return "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL))


def test_no_page_is_left_out() -> None:
    assert {path.stem for path in DOCS.glob("*.md") if code_of(path.stem)} == {*PAGES, *TESTED_ELSEWHERE}


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_is_a_script(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mini.make_cityscapes(tmp_path / "cityscapes")
    mini.make_camvid(tmp_path / "camvid")
    monkeypatch.chdir(tmp_path)
    for dataset in ("cityscapes", "camvid"):
        assert CliRunner().invoke(main, ["points", "--clicks", "50", dataset]).exit_code == 0
    Path("script.py").write_text(code_of(page), encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    if page == "figures":
        assert len(list(Path("figures/first-ten").glob("*.png"))) == 2


def test_the_tutorial_writes_void_masks_for_new_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mini.save_image(Path("newdata/images/a.jpg"), (20, 30))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (30, 20)).save("newdata/images/b.jpg", exif=turned)
    exec(code_of("tutorials"), {})
    masks = [read_mask(Path(f"newdata/masks/{name}.png")) for name in "ab"]
    assert [mask.shape for mask in masks] == [(20, 30), (30, 20)] and all((mask == 255).all() for mask in masks)
