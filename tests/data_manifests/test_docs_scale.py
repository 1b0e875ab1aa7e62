"""The code of docs/scale.md makes the annotations again from the marks alone."""

import re
import shutil
from pathlib import Path

from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.helpers.miniature_datasets import make_camvid

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")


def test_annotations_are_made_again(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    make_camvid(tmp_path / "camvid")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["points", "--clicks", "20", "camvid"]).exit_code == 0
    folder = tmp_path / "sparse" / "camvid-20clicks"
    before = {path.name: path.read_bytes() for path in folder.rglob("*.png")}
    shutil.rmtree(folder / "annotations")
    exec(code, {})
    assert {path.name: path.read_bytes() for path in folder.rglob("*.png")} == before and before
    assert (folder / "marks.parquet").is_file()
