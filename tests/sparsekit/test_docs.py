"""The Python code of the pages runs as a reader runs it: saved as a script, beside the folders that the page names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.helpers import miniature_datasets as mini

DOCS = Path(__file__).parents[2] / "docs"

#: Pages whose code needs folders of annotations and nothing else. Those of layouts and scale have tests of their own;
#: those of networks are in tests/agmm/test_docs.py.
PAGES = ["audit", "figures", "manifest"]
TESTED_ELSEWHERE = {"formats", "integrations", "layouts", "scale", "training", "reports", "evaluation", "python"}


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
