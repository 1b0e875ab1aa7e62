"""Lists with commas, repeated options and both; sizes as WIDTHxHEIGHT, in every command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.agmm_cli import main as agmm
from cli.command import command
from cli.sparsekit_cli import main as sparsekit
from cli.types import IntRange, SizeType, list_option
from data_manifests import read_manifest
from tests.sparsekit.conftest import tiny_manifest


@command(short_help="")
@list_option("--clicks", type=IntRange(min=1), metavar="N", help="", default=("7",))
@click.option("--size", type=SizeType(most=4096))
def values(clicks: tuple[int, ...], size: tuple[int, int] | None) -> None:
    click.echo(json.dumps([clicks, size]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", [[7], None]),
        ("--clicks 20,50,100", [[20, 50, 100], None]),
        ("--clicks 20 --clicks 50", [[20, 50], None]),
        ("--clicks 20,50 --clicks 100", [[20, 50, 100], None]),
        ("--size 1024x512", [[7], [1024, 512]]),
        ("--size 8X4096", [[7], [8, 4096]]),
    ],
)
def test_values(words: str, expected: object) -> None:
    assert json.loads(CliRunner().invoke(values, words.split()).stdout) == expected


@pytest.mark.parametrize(
    "words",
    ["--clicks 20,,50", "--clicks 0,5", "--clicks a", "--size 512", "--size 0x4", "--size 4x4097", "--size 1x2x3"],
)
def test_wrong_values(words: str) -> None:
    result = CliRunner().invoke(values, words.split())
    assert result.exit_code == 2 and words.split()[0] in result.stderr


@pytest.mark.parametrize("group", [sparsekit, agmm])
def test_no_option_takes_a_size_in_another_way(group: click.Group) -> None:
    for found in group.commands.values():
        for param in found.params:
            assert param.nargs in (1, -1), param.name
            if "--size" in param.opts or "--crop-size" in param.opts:
                assert isinstance(param.type, SizeType)


def test_a_crop_is_wide_and_high(tmp_path: Path) -> None:
    from cli.agmm_commands.options import read_settings

    manifest = tiny_manifest(tmp_path / "m")
    with agmm.commands["train"].make_context("train", [str(manifest.path), "--crop-size", "64x32"]) as context:
        own = ("manifest", "out_dir", "resume", "overwrite", "as_json")
        flags = {name: value for name, value in context.params.items() if name not in own}
    assert read_settings(flags).crop_size == (32, 64)


def test_results_are_json_wherever_there_are_some(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    words = ["subset", str(manifest.path), "--count", "1", "-o", str(tmp_path / "few"), "--json"]
    printed = json.loads(CliRunner().invoke(sparsekit, words).stdout)
    assert printed == {"manifest": str(tmp_path / "few" / "manifest.csv"), "images": {"train": 1}}
    assert len(read_manifest(printed["manifest"]).rows) == 1
    for group in (sparsekit, agmm):
        for name, found in group.commands.items():
            assert any("--json" in param.opts for param in found.params), name
