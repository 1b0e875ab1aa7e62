import shutil
import subprocess
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from cli.reporting import note, warn
from cli.sparsekit_cli import main
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image


def test_a_long_cell_of_a_stranger_makes_a_short_error(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        write_atomically(tmp_path / name / "a.png", encode_image(np.zeros((4, 4), np.uint8)))
    (tmp_path / "classes.csv").write_text(f"name,id\n{'x' * 70_000},0\n{'x' * 70_000},1\n")
    result = CliRunner().invoke(main, ["points", str(tmp_path), "--clicks", "1", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "classes.csv" in result.stderr and " characters] " in result.stderr and len(result.stderr) < 2100


@pytest.mark.parametrize("arguments", [["points", "--clicks"], ["points", "--clicks", "1"], [], ["points", "--none"]])
def test_a_long_argument_makes_a_short_error(tmp_path: Path, arguments: list[str]) -> None:
    out = ["--out", str(tmp_path / "out")] if arguments else []
    result = CliRunner().invoke(main, [*arguments, "x" * 70_000, *out])
    assert result.exit_code in (1, 2)
    assert "Error: " in result.stderr and len(result.stderr) < 2500
    assert not list(tmp_path.iterdir())


def test_terminals_obey_no_strangers_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)  # as on a terminal
    with click.Context(main):
        warn("a\x1b[31mb\x07\x9b")
        note("a\x1b]0;title\x07 \N{RIGHT-TO-LEFT OVERRIDE}b")
    warning, said = capsys.readouterr().err.splitlines()
    assert warning.endswith("a\\x1b[31mb\\x07\\x9b") and said == "Note: a\\x1b]0;title\\x07 \\u202eb"
    result = CliRunner().invoke(main, ["info", "no\x1b[31m such\nfolder"], color=True)
    assert "no\\x1b[31m such\nfolder" in result.stderr


def test_long_warnings_and_notes_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    with click.Context(main):
        warn("x" * 70_000)
        note("x" * 70_000)
    assert [len(line) < 2100 for line in capsys.readouterr().err.splitlines()] == [True, True]


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash to paste into")
def test_printed_paths_can_be_pasted_whatever_their_names_hold(tmp_path: Path) -> None:
    folder = tmp_path / "it's\\n\ta\n\x1b]0;b\x07\N{RIGHT-TO-LEFT OVERRIDE}\N{RIGHT-TO-LEFT MARK}c\x9b0"
    town = folder / "my town"
    made = CliRunner().invoke(main, ["demo-data", str(town), "--images", "2", "--size", "48x24"], color=True)
    annotated = CliRunner().invoke(main, ["points", str(town), "--clicks", "1", "--out", str(folder)], color=True)
    assert made.exit_code == annotated.exit_code == 0
    for text in (made.stdout, annotated.stdout):
        assert all(letter.isprintable() or letter == "\n" for letter in text)
    manifest = folder / "my town-1clicks/manifest.csv"
    for line, words in (
        (made.stdout.splitlines()[-1], ["Next:", "sparsekit", "points", str(town)]),
        (annotated.stdout.splitlines()[-1], ["Next:", "sparsekit", "render", str(manifest)]),
        (annotated.stdout.splitlines()[0], [str(manifest)]),
        (made.stdout.splitlines()[0].partition(": ")[0], [str(town)]),
    ):
        read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
        assert read.decode().split("\0")[:-1] == words
