"""A second command on an output folder is refused with one line, and changes nothing there."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.agmm_cli import main as agmm
from cli.sparsekit_cli import main as sparsekit
from data_manifests.files.lock import FolderLock

SPARSEKIT = {
    "points": "{scenes} --clicks 2",
    "scribbles": "{scenes}",
    "marks": "{scenes} --kind box",
    "export": "{clicks} --to tel",
    "subset": "{clicks} --count 2",
    "split": "{clicks}",
    "merge": "{clicks}",
    "grow": "{clicks}",
    "render": "{clicks}",
}
AGMM = {
    "train": "{data} --config {config}",
    "stages": "{data} --config {config}",
    "rounds": "{clicks} --config {config} --strategy uniform",
    "predict": "{run} {data}",
    "report": "{run}",
}
#: What is locked instead of the output folder: the folder aside, which is renamed into place.
ASIDE = {
    "points": "out/.town-2clicks.partial",
    "scribbles": "out/.town-scribbles80.partial",
    "marks": "out/.town-boxes.partial",
    "export": ".out.partial",
    "grow": ".out.partial",
} | dict.fromkeys(("subset", "split", "merge"), "out/.manifest.partial")


@pytest.fixture(scope="module")
def clicks(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clicks")
    made = CliRunner().invoke(sparsekit, ["points", str(scenes), "--clicks", "3", "--out", str(out)])
    assert made.exit_code == 0, made.output
    return next(out.iterdir())


@pytest.mark.parametrize("name", SPARSEKIT)
def test_of_sparsekit(scenes: Path, clicks: Path, tmp_path: Path, name: str) -> None:
    words = SPARSEKIT[name].format(scenes=scenes, clicks=clicks).split()
    refused(sparsekit, [name, *words], tmp_path, ASIDE.get(name, "out"))


@pytest.mark.parametrize("name", AGMM)
def test_of_agmm(clicked: Path, clicks: Path, config_path: Path, trained: Path, tmp_path: Path, name: str) -> None:
    words = AGMM[name].format(data=clicked, clicks=clicks, config=config_path, run=trained).split()
    refused(agmm, [name, *words], tmp_path, "out")


def refused(main: object, words: list[str], tmp_path: Path, locked: str) -> None:
    """Run a command while another process has its folder."""
    lock = FolderLock(tmp_path / locked)
    lock.acquire(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    try:
        result = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "out")])  # type: ignore[arg-type]
    finally:
        after = sorted(tmp_path.rglob("*"))
        lock.release()
    assert result.exit_code == 1 and "another process is" in result.stderr.splitlines()[-1], result.output
    assert after == before
