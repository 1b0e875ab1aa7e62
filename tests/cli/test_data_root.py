"""``--data-root`` and ``sparsekit relocate``: commands on a manifest that has moved away from its dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli import agmm_cli, sparsekit_cli
from tests.sparsekit.conftest import SCENE, tiny_manifest

#: Commands that read a manifest and files of its dataset, and what they write.
COMMANDS = [
    ["export", "{m}", "--to", "mmseg", "--out", "{out}"],
    ["export", "{m}", "--to", "labelme", "--out", "{out}"],
    ["render", "{m}", "--out", "{out}"],
    ["gallery", "{m}", "--out", "{out}/page.html"],
    ["stats", "{m}"],
    ["score", "{m}"],
    ["compare", "{m}", "{m}"],
    ["verify", "{m}"],
    ["validate", "{m}"],
    ["split", "{m}", "--by", "class", "--out", "{out}"],
]


def run(*words: object) -> Result:
    return CliRunner().invoke(sparsekit_cli.main, [str(word) for word in words])


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    manifest = tiny_manifest(tmp_path / "old/made", [SCENE, SCENE.T], num_val=1)
    shutil.move(tmp_path / "old/made/data", tmp_path / "disk/data")
    return manifest.path


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words[:1] + words[3:4]))
def test_commands_find_the_dataset(moved: Path, tmp_path: Path, words: list[str]) -> None:
    words = [word.format(m=moved, out=tmp_path / "out") for word in words]
    result = run(*words)
    assert result.exit_code == (words[0] != "gallery"), result.output  # which warns of each image
    assert words[0] == "verify" or "--data-root" in result.output, result.output
    result = run(*words, "--data-root", tmp_path / "disk/data")
    expected = 1 if words[0] == "verify" else 0  # annotations of the miniature were not made by the command
    assert result.exit_code == expected, result.output
    assert "no such file" not in result.output


@pytest.mark.parametrize("words", [["subset", "--count", "1"], ["merge"], ["split"]])
def test_derived_manifests_name_the_new_place(moved: Path, tmp_path: Path, words: list[str]) -> None:
    result = run(*words, moved, "--out", tmp_path / "new", "--data-root", tmp_path / "disk/data")
    assert result.exit_code == 0, result.output
    assert run("validate", tmp_path / "new", "--quick").exit_code == 0


def test_relocate(moved: Path, tmp_path: Path) -> None:
    result = run("relocate", moved, "--data-root", tmp_path / "none")
    assert result.exit_code == 1 and "no such folder" in result.stderr
    result = run("relocate", moved, "--data-root", tmp_path / "disk/data")
    assert result.exit_code == 0 and "2 images" in result.output
    assert run("validate", moved).exit_code == 0


def _commands(group: click.Group) -> list[click.Command]:
    return [command for command in group.commands.values() if not isinstance(command, click.Group)]


@pytest.mark.parametrize(
    "command", [*_commands(sparsekit_cli.main), *_commands(agmm_cli.main)], ids=lambda command: str(command.name)
)
def test_every_command_that_takes_a_manifest_has_it(command: click.Command) -> None:
    names = {param.name for param in command.params}
    takes = names & {"manifest", "manifests", "manifest_path", "gmm_manifest", "human"}  # the last is of compare
    takes |= {command.name} & {"diff", "info", "ablate", "agreement", "points"}
    assert bool(takes) == ("data_root" in names), command.name
