"""A quoted variable that is not set leaves an empty word, which is neither the working folder nor all splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from tests.sparsekit.conftest import tiny_manifest


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words)
    return result.exit_code, result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    [
        "points data --out @",
        "points @ --out out",
        "demo-data @ --images 1",
        "render m @ --out out",
        "render m --out @",
        "gallery m --out @",
        "stats m --csv @",
        "stats m --figure @",
        "export m --to hf --out @",
        "import @ --from coco --dataset data --out out",
        "import s --from coco --dataset data --out @",
        "subset m --out @",
        "compare m @",
        "cost m --model @",
    ],
)
def test_a_path_is_not_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = run(*command.replace("@", "").split(" "))
    assert code == 2 and error.endswith("the path is empty; is a variable not set?"), error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    ["render m --out out", "gallery m --out out.html", "subset m --out out", "split m --out out", "stats m", "cost m",
     "export m --to hf --out out"],
)  # fmt: skip
def test_a_split_is_not_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_manifest(tmp_path / "m")
    code, error = run(*command.split(), "--split", "")
    assert code == 1 and "split '' has no rows. Splits of this manifest: train (2)" in error, error
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("command", ["export m --to hf --out @", "gallery m --out @", "demo-data @", "stats m --csv @"])
def test_what_no_object_store_holds_is_no_folder_called_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = run(*command.replace("@", "memory://bucket/x").split())
    assert code == 2 and "memory://bucket/x is a URL; only a path of this machine will do here" in error
    assert not list(tmp_path.iterdir())
