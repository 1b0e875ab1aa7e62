"""A pipe, a device or a folder in place of a file that a command writes is refused; none waits for a reader."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.agmm_cli import main as agmm
from cli.sparsekit_cli import main as sparsekit
from tests.helpers.faults import run

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")

ALL = os.environ.get("FAULTS") == "all"
KINDS = ["pipe", "device", "folder"]
NAMES = ["config.toml", "run.json", "log.csv", "validation.json", "evaluation.csv"]
REFUSED = "is not a file (it is a folder, a pipe or a device)"


def put(path: Path, kind: str) -> None:
    """Put something that is no file in the place of one."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in NAMES for kind in KINDS] if ALL else [*zip(NAMES, KINDS * 2, strict=False)],
)
@pytest.mark.parametrize("how", ["resumed", "replaced"])
def test_in_a_run_folder(
    clicked: Path, config_path: Path, trained: Path, tmp_path: Path, name: str, kind: str, how: str
) -> None:
    shutil.copytree(trained, out := tmp_path / "run")
    put(out / name, kind)
    before = (out / "weights.safetensors").read_bytes()
    words = ["--resume", out] if how == "resumed" else ["--config", config_path, "--out", out, "--overwrite"]
    result = CliRunner().invoke(agmm, [*map(str, ["train", clicked, *words])])
    assert result.exit_code == 1 and f"Error: {out / name}: " in result.stderr
    assert REFUSED in result.stderr or "not a regular file" in result.stderr or "Is a directory" in result.stderr
    assert (out / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("kind", KINDS if ALL else ["pipe"])
def test_scores_predictions_and_reports(clicked: Path, trained: Path, tmp_path: Path, kind: str) -> None:
    commands = {
        "s/confusion.csv": f"evaluate {trained} {clicked} --out s",
        "p/label_maps/a00.png": f"predict {trained} {clicked} --out p",
        "r/index.html": f"report {trained} --out r --limit 1 --overwrite",
    }
    for name, command in commands.items():
        put(tmp_path / name, kind)
        words = [str(tmp_path / word) if word in ("s", "p", "r") else word for word in command.split()]
        result = CliRunner().invoke(agmm, words)
        assert result.exit_code == 1 and f"Error: {tmp_path / name}: {REFUSED}" in result.stderr, result.output


def test_in_place_of_an_output_folder(clicked: Path, config_path: Path, tmp_path: Path) -> None:
    put(pipe := tmp_path / "out", "pipe")
    for command in (f"agmm train {clicked} --config {config_path}", f"sparsekit render {clicked}"):
        answer = run(*command.split(), "--out", pipe)
        assert answer.returncode == 1, answer.stderr
        assert answer.stderr.startswith(f"Error: {pipe}: ") and "a folder is needed" in answer.stderr


@pytest.mark.parametrize("name", ["town-2clicks", ".town-2clicks.replaced", ".town-2clicks.partial"])
def test_in_place_of_an_annotation_folder(scenes: Path, tmp_path: Path, name: str) -> None:
    put(tmp_path / name, "pipe")
    answer = run("sparsekit", "points", scenes, "--clicks", 2, "--out", tmp_path)
    assert "Traceback" not in answer.stderr and answer.stderr.count("\n") <= 1
    assert answer.returncode == (0 if name.endswith("replaced") else 1), answer.stderr


def test_figures_and_pages(scenes: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(sparsekit, ["points", str(scenes), "--clicks", "2", "--out", str(tmp_path / "sparse")])
    assert made.exit_code == 0, made.output
    manifest = next((tmp_path / "sparse").iterdir())
    page = tmp_path / "page.html"
    put(page, "pipe")
    for more in ((), ("--overwrite",)):
        result = CliRunner().invoke(sparsekit, ["gallery", str(manifest), "--out", str(page), *more])
        assert result.exit_code == 1 and f"Error: {page}: {REFUSED}" in result.stderr
    put(table := tmp_path / "manifest.csv", "pipe")
    answer = run("sparsekit", "stats", table)  # in a process of its own, with a limit of time
    assert answer.returncode == 1 and answer.stderr.startswith("Error: "), answer.stderr


def test_standard_output_is_written_and_not_replaced(tmp_path: Path) -> None:
    code = "from pathlib import Path; from data_manifests.files.atomic import write_atomically as write; "
    code += "write(Path('/dev/stdout'), b'table', to_streams=True)"
    is_link = Path("/dev/stdout").is_symlink()
    with (tmp_path / "table").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True, timeout=120)
    assert (tmp_path / "table").read_bytes() == b"table" and Path("/dev/stdout").is_symlink() == is_link
