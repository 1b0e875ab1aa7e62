"""What all commands have in common: their line in the list, -q and -v, color, and a closed pipe."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.agmm_cli import main as agmm
from cli.command import Command, command, option_group
from cli.sparsekit_cli import main as sparsekit
from tests.sparsekit.conftest import tiny_manifest

GROUPS = {"sparsekit": sparsekit, "agmm": agmm}
ALL = [(group, name) for group, commands in GROUPS.items() for name in commands.commands]


@pytest.mark.parametrize("group", GROUPS)
def test_each_command_has_one_whole_line_in_the_list(group: str) -> None:
    text = CliRunner().invoke(GROUPS[group], ["--help"], terminal_width=80).stdout
    listed = text.partition("Commands:\n")[2].splitlines()
    for name, line in zip(sorted(GROUPS[group].commands), listed, strict=True):
        short_help = GROUPS[group].commands[name].short_help
        assert short_help and line.split(maxsplit=1) == [name, short_help]


@pytest.mark.parametrize(("group", "name"), ALL)
def test_every_command_takes_quiet_and_verbose_and_a_short_out(group: str, name: str) -> None:
    found = GROUPS[group].commands[name]
    assert isinstance(found, Command)
    spellings = {spelling for param in found.params for spelling in param.opts}
    assert {"-q", "--quiet", "-v", "--verbose"} <= spellings
    assert ("--out" in spellings) == ("-o" in spellings)


@pytest.mark.parametrize(("group", "name"), ALL)
def test_no_option_is_taken_and_forgotten(group: str, name: str) -> None:
    found = GROUPS[group].commands[name].callback
    assert found is not None
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(found)))).body
    assert isinstance(function, ast.FunctionDef)
    args = function.args
    taken = {arg.arg for arg in (*args.args, *args.kwonlyargs, *filter(None, [args.kwarg]))}
    used = {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}
    assert taken <= used


def test_torchrun_passes_every_option_but_log_on() -> None:
    """It takes the start of an option of its own for that option, and fails if it has several such."""
    run = pytest.importorskip("torch.distributed.run", reason="needs torch")
    theirs = run.get_args_parser()._option_string_actions
    ours = {name for found in agmm.commands.values() for param in found.params for name in param.opts}
    assert {name for name in ours for other in theirs if other.startswith(name) and other != name} <= {"--log", "-"}


def test_options_are_listed_in_their_groups() -> None:
    @command(short_help="")
    @option_group("Size", click.option("--width", help="Wide."), click.option("--height", help="High."))
    @click.option("--color", help="Blue.")
    @option_group("Place", click.option("--top", help="Up."))
    def draw() -> None:
        pass

    lines = CliRunner().invoke(draw, ["--help"]).stdout.splitlines()[1:]
    words = [line.split()[0].rstrip(",") for line in lines if line]
    assert words == ["Size:", "--width", "--height", "Place:", "--top", "Other", "--color", "-q", "-v", "--help"]


def test_quiet_leaves_results_and_verbose_lists_everything(tmp_path: Path) -> None:
    manifest = str(tiny_manifest(tmp_path / "m").path)
    quiet = CliRunner().invoke(sparsekit, ["subset", manifest, "-o", str(tmp_path / "few"), "--count", "1", "-q"])
    assert quiet.exit_code == 0, quiet.output
    assert quiet.output == "" and (tmp_path / "few" / "manifest.csv").is_file()
    assert CliRunner().invoke(sparsekit, ["cost", manifest, "-q"]).stdout  # a result
    failed = CliRunner().invoke(sparsekit, ["cost", str(tmp_path / "absent"), "-v"])
    assert failed.exit_code == 1 and "Traceback" in failed.stderr
    assert failed.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'absent'}")


def test_headings_and_errors_are_colored_on_terminals_unless_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for words in (["cost", "--help"], ["--help"], ["cost", "absent"], ["nothing"]):
        assert "\x1b[" in CliRunner().invoke(sparsekit, words, color=True).output, words
        assert "\x1b[" not in CliRunner().invoke(sparsekit, words).output, words
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[" not in CliRunner().invoke(sparsekit, words, color=True).output, words
        monkeypatch.delenv("NO_COLOR")


@pytest.mark.parametrize("group", GROUPS)
def test_without_a_command_the_help_is_shown_once(group: str) -> None:
    bare, asked = (CliRunner().invoke(GROUPS[group], words, color=False) for words in ([], ["--help"]))
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert bare.stderr == asked.stdout


@pytest.mark.parametrize("words", ["--help", "points --help", "cost m --json"])
def test_a_closed_pipe_is_no_error(tmp_path: Path, words: str) -> None:
    tiny_manifest(tmp_path / "m")
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "sparsekit", *words.split()],
        cwd=tmp_path, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
