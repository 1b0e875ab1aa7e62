"""Numbers far beyond any of use, and "nan", are wrong usage: none fills the memory, hangs or is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.agmm_cli import main as agmm
from cli.sparsekit_cli import main
from tests.agmm.conftest import tiny_manifest

_BILLION = str(10**9)


@pytest.mark.parametrize(
    ("command", "option", "value", "allowed"),
    [
        ("render m --out o", "--dot-size", _BILLION, "1<=x<=1000"),
        ("render m --out o", "--max-width", _BILLION, "8<=x<=65535"),
        ("render m --out o", "--sheet", f"{_BILLION}x1", "each at most 100"),
        ("render m --out o", "--sheet", "9" * 5000 + "x1", "each at most 100"),
        ("gallery m --out o", "--dot-size", _BILLION, "1<=x<=1000"),
        ("gallery m --out o", "--thumbnail-size", _BILLION, "16<=x<=16383"),
        ("import s --from coco --dataset d --out o", "--stroke-width", _BILLION, "1<=x<=1000"),
        ("demo-data o", "--images", _BILLION, "between 1 and 100000"),
        ("demo-data o --images 1", "--size", f"{_BILLION}x16", "at most 4096x4096"),
        ("demo-data o --images 1", "--size", "16x4097", "at most 4096x4096"),
        ("demo-data o --images 1", "--workers", _BILLION, "1<=x<=1024"),
        ("points d --out o", "--workers", _BILLION, "1<=x<=1024"),
        ("points d --out o", "--shard", f"1/{_BILLION}", "n <= 100000"),
        ("points d --out o", "--wrong", "nan", "0<=x<=1"),
        ("scribbles d --out o", "--width", _BILLION, "1<=x<=99"),
        ("scribbles d --out o", "--length", "nan", "0.01<=x<=1"),
        ("marks d --kind block --out o", "--share", "nan", "0.01<=x<=1"),
        ("split m --out o", "--test", "nan", "0<=x<=1"),
        ("diff m m", "--max-move", "nan", "x>=0"),
        ("cost m", "--seconds-per-click", "nan", "x>=0"),
    ],
)
def test_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, option: str, value: str, allowed: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*command.split(), option, value])
    assert result.exit_code == 2 and allowed in result.stderr, result.output
    assert result.stderr.splitlines()[-1].startswith("Error: ") and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        (f"stages m --stages {_BILLION}", "1<=x<=1000"),
        (f"rounds m --rounds {_BILLION}", "1<=x<=1000"),
        (f"train m --epochs {_BILLION}", "epochs must be at most 1000000"),
        ("ablate study.toml", "1,000 settings, 2 manifests and 100 seeds are 200,000 runs; the limit is 10,000"),
    ],
)
def test_are_wrong_usage_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, allowed: str
) -> None:
    pytest.importorskip("timm", reason="needs the extra 'train'")
    monkeypatch.chdir(tmp_path)
    tiny_manifest(tmp_path / "m")
    tiny_manifest(tmp_path / "n")
    names = "".join(f"[[setting]]\nname='{i}'\n" for i in range(1000))
    (tmp_path / "study.toml").write_text(f"manifests = ['m', 'n']\nseeds = {list(range(100))}\n{names}")
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(agmm, command.split())
    assert result.exit_code == 2 and allowed in result.stderr, result.output
    assert sorted(tmp_path.rglob("*")) == before
