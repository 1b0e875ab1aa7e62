"""Killed commands leave nothing torn: the same command again comes to the same bytes, and no process outlives it.

A few moments run with the suite; with FAULTS=all, as `make fuzz` sets, each command is killed at many.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.faults import Fault, run

ALL = os.environ.get("FAULTS") == "all"
KILL, INT = signal.SIGKILL, signal.SIGINT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals reach processes in another way here")

#: What writes an annotation folder or one of another tool's, and workers that it can have.
COMMANDS = {
    "points": (("sparsekit", "points", "{scenes}", "--clicks", 2, "--clicks", 5, "--out", "{out}"), (1, 2)),
    "scribbles": (("sparsekit", "scribbles", "{scenes}", "--out", "{out}"), (1, 2)),
    "marks": (("sparsekit", "marks", "{scenes}", "--kind", "box", "--out", "{out}"), (1, 2)),
    "export": (("sparsekit", "export", "{annotated}", "--to", "coco", "--out", "{out}/coco"), (0,)),
    "split": (("sparsekit", "split", "{annotated}", "--out", "{out}/split"), (0,)),
}
MOMENTS = [
    (name, Fault(number, "os.rename", nth=nth, group=group), workers)
    for name, (_, all_workers) in COMMANDS.items()
    for workers in all_workers
    for number in (KILL, INT)
    for group in (False, True)
    for nth in (1, 2, 4, 7)
]
SAMPLE = [
    ("points", Fault(KILL, "os.rename", nth=4), 2),
    ("scribbles", Fault(KILL, "os.rename", nth=2), 1),
    ("export", Fault(KILL, "os.rename", nth=2), 0),
    ("split", Fault(INT, "os.rename", nth=1), 0),
]


def files(folder: Path) -> dict[str, bytes]:
    """Bytes of the files in a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def words(name: str, workers: int, **places: Path) -> list[object]:
    command, _ = COMMANDS[name]
    filled = [word.format(**places) if isinstance(word, str) else word for word in command]
    return [*filled, "--workers", workers] if workers else filled


@pytest.fixture(scope="session")
def annotated(scenes: Path) -> Path:
    out = scenes.parent / "annotated"
    assert run("sparsekit", "points", scenes, "--clicks", 3, "--out", out).returncode == 0
    return next(out.iterdir()) / "manifest.csv"


@pytest.fixture(scope="session")
def wanted(scenes: Path, annotated: Path) -> dict[str, dict[str, bytes]]:
    """What the commands come to undisturbed, filled as it is asked for."""
    return {}


@pytest.mark.parametrize(("name", "fault", "workers"), MOMENTS if ALL else SAMPLE, ids=str)
def test_the_same_command_again(
    scenes: Path, annotated: Path, wanted: dict[str, dict[str, bytes]], tmp_path: Path, name: str, fault: Fault,
    workers: int,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    command = words(name, workers, scenes=scenes, annotated=annotated, out=out)
    if name not in wanted:
        assert run(*command).returncode == 0
        wanted[name] = files(out)
        shutil.rmtree(out)
    killed = run(*command, fault=fault)
    assert "left over" not in killed.stderr and "Traceback" not in killed.stderr
    # Few files are written by so small a command: it may be done before the moment comes.
    assert killed.returncode in (-9, 130) or (killed.returncode == 0 and fault.nth > 2)
    again = run(*command, *(["--overwrite"] if killed.returncode == 0 else []))
    assert again.returncode == 0, again.stderr
    assert files(out) == wanted[name]


@pytest.mark.parametrize("name", COMMANDS if ALL else ["points", "export"])
def test_a_full_disk_names_the_file_and_leaves_nothing_torn(
    scenes: Path, annotated: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    command = words(name, min(1, COMMANDS[name][1][0]), scenes=scenes, annotated=annotated, out=out)
    full = f"""
import errno, runpy, sys
from pathlib import Path
left, write = [3], Path.write_bytes
def write_bytes(self, data):
    left[0] -= 1
    if left[0] < 0:
        raise OSError(errno.ENOSPC, "No space left on device")
    return write(self, data)
Path.write_bytes = write_bytes
sys.argv = {["sparsekit", *map(str, command[1:])]!r}
runpy.run_module("sparsekit", run_name="__main__")
"""
    failed = subprocess.run([sys.executable, "-c", full], capture_output=True, text=True, timeout=120)
    if failed.returncode == 0:
        pytest.skip("writes fewer files than fit")
    assert failed.returncode == 1, failed.stderr
    assert failed.stderr.startswith("Error: /") and "No space left on device" in failed.stderr
    assert failed.stderr.count("\n") == 1
    again = run(*command)
    assert again.returncode == 0, again.stderr


def test_two_processes_on_one_folder(scenes: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", *map(str, words("points", 1, scenes=scenes, annotated=scenes, out=tmp_path / "o"))]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[1] for process in both]
    assert 0 in [process.returncode for process in both]
    for process, answer in zip(both, answers, strict=True):
        assert process.returncode == 0 or answer.startswith("Error: "), answer
    alone = run(*words("points", 1, scenes=scenes, annotated=scenes, out=tmp_path / "alone"))
    assert alone.returncode == 0 and files(tmp_path / "alone") == files(tmp_path / "o")


def test_an_input_that_vanishes(scenes: Path, tmp_path: Path) -> None:
    town = shutil.copytree(scenes, tmp_path / "town")
    masks = sorted(town.rglob("*labelIds.png"))
    moved = masks[-1].rename(tmp_path / "moved.png")
    masks[-1].symlink_to(tmp_path / "nowhere.png")
    command = words("points", 1, scenes=town, annotated=town, out=tmp_path / "out")
    failed = run(*command)
    assert failed.returncode == 1 and failed.stderr.startswith("Error: ") and failed.stderr.count("\n") == 1
    masks[-1].unlink()
    moved.rename(masks[-1])
    assert run(*command).returncode == 0


def test_a_folder_that_cannot_be_written(scenes: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    command = words("points", 1, scenes=scenes, annotated=scenes, out=closed / "out")
    if os.geteuid() == 0:  # root may write anywhere: without that power it may not, though the folder is its own
        if not (setpriv := shutil.which("setpriv")):
            pytest.skip("root may write anywhere, and setpriv (util-linux) is not here to take that away")
        failed = run(*command, before=(setpriv, "--bounding-set=-dac_override", "--inh-caps=-dac_override"))
    else:
        failed = run(*command)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1, failed.stderr
    assert failed.stderr.startswith(f"Error: {closed}") and "Permission denied" in failed.stderr
    assert not list(closed.iterdir())


@pytest.mark.skipif(not ALL, reason="takes minutes: FAULTS=all")
@pytest.mark.parametrize("command", ["train", "stages", "ablate"])
def test_runs(clicked: Path, config_path: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    arguments: list[object] = ["agmm", command, clicked, "--config", config_path, "--out", out]
    if command == "ablate":
        arguments = ["agmm", command, clicked, "--table", 1, "--config", config_path, "--out", out]
    killed = run(*arguments, fault=Fault(KILL, "os.rename", "weights.safetensors"))
    assert killed.returncode == -9 and "left over" not in killed.stderr
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
