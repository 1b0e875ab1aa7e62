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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("render m --format pgn", "Did you mean 'png'?"),
        ("export m --to LabelMe --out o", "Did you mean 'labelme'?"),
        ("points d --clicks some", "'some' is not a valid whole number"),
        ("points d --wrong some", "'some' is not a valid number"),
        ("import s --from coco --out o", "Give either --dataset DIR, or --masks DIR"),
        ("import s --from coco --out o --dataset d --images i", "do not apply to --dataset DIR"),
    ],
)
def test_what_was_meant(words: str, expected: str) -> None:
    result = CliRunner().invoke(sparsekit, words.split())
    assert result.exit_code == 2 and expected in result.stderr


@pytest.mark.parametrize(
    "words",
    ["points {d} --clicks 3", "render {m}", "subset {m} --count 1", "split {m} --val 0.5", "merge {m}", "demo-data"],
)
def test_a_folder_to_make_that_is_a_file(tmp_path: Path, words: str) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    (tmp_path / "file").write_text("mine")
    arguments = words.format(d=tmp_path / "m" / "data", m=manifest.path).split()
    out = [] if words == "demo-data" else ["--out"]
    result = CliRunner().invoke(sparsekit, [*arguments, *out, str(tmp_path / "file")])
    assert result.exit_code == 1 and ".partial" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'file'}: is a file")
    assert (tmp_path / "file").read_text() == "mine"


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
