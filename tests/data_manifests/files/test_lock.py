from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_manifests.files import lock as locks
from data_manifests.files.lock import FolderLock, PathLock


@pytest.fixture(params=["locks of the system", "stand-ins, as on Windows"], autouse=True)
def way(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Each test runs with the locks of this system, and with those for Windows."""
    if "stand-ins" in request.param:
        pytest.importorskip("filelock", reason="locks on Windows alone")
        monkeypatch.setattr(locks, "fcntl", None)
        temporary = str(tmp_path_factory.mktemp("temporary"))
        monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: temporary)
    return str(request.param)


HOLD = """
import sys, time
from data_manifests.files import lock
if sys.argv[1]:
    lock.fcntl, lock.tempfile.tempdir = None, sys.argv[1]
held = lock.FolderLock(lock.Path(sys.argv[2]))
print(held.try_acquire(), flush=True)
time.sleep(60)
"""


def test_a_killed_process_holds_nothing(way: str, tmp_path: Path) -> None:
    temporary = locks.tempfile.gettempdir() if "stand-ins" in way else ""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, temporary, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        assert not FolderLock(tmp_path / "a").try_acquire()
        assert FolderLock(tmp_path / "b").try_acquire()
        other.kill()
    assert FolderLock(tmp_path / "a").try_acquire()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("line\n")
    first, second = PathLock(tmp_path / "journal"), PathLock(tmp_path / "journal")
    assert first.try_acquire() and not second.try_acquire()
    assert (tmp_path / "journal").read_text() == "line\n"
    first.release()
    assert second.try_acquire()


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "a"), FolderLock(tmp_path / "a")
    assert first.try_acquire() and not second.try_acquire()
    assert (tmp_path / "a").is_dir()  # the one who was refused has not taken it away
    first.release()
    assert second.try_acquire()


def test_folders_made_for_nothing_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "full").mkdir()
    for folder, stays in (("there", True), ("there/new", False), ("new/deep", False), ("full/new", True)):
        lock = FolderLock(tmp_path / folder)
        assert lock.try_acquire()
        if folder == "full/new":
            (tmp_path / folder / "file").touch()
        lock.release()
        assert (tmp_path / folder).exists() == stays
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "there"]


def test_a_folder_that_was_replaced_is_not_held(way: str, tmp_path: Path) -> None:
    if "stand-ins" in way:
        pytest.skip("a stand-in is held for the name, whatever becomes of the folder")
    folder = tmp_path / "a"
    first, second = FolderLock(folder), FolderLock(folder)
    assert first.try_acquire()
    folder.rename(tmp_path / "b")
    assert second.try_acquire()
    (tmp_path / "a/file").touch()
    first.release()
    assert (tmp_path / "a/file").exists()


@pytest.mark.parametrize("when", ["as it is made", "as it is opened"])
def test_a_folder_that_another_process_takes_away(when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, mkdir, taken = tmp_path / "a", Path.mkdir, []

    def mkdir_and_lose(path: Path, *args: Any, **options: Any) -> None:
        mkdir(path, *args, **options)
        if not taken:
            taken.append(path)
            path.rmdir()
            if when == "as it is made":
                raise FileExistsError(path)

    monkeypatch.setattr(Path, "mkdir", mkdir_and_lose)
    lock = FolderLock(folder)
    assert lock.try_acquire() and taken == [folder] and folder.is_dir()
    lock.release()
    assert not folder.exists()


def test_a_folder_that_was_moved_away_as_it_was_opened_is_not_held(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "stand-ins" in way:
        pytest.skip("no folder is opened")
    folder, open_folder = tmp_path / "a", os.open

    def open_and_lose(path: Path, flags: int) -> int:
        descriptor = open_folder(path, flags)
        folder.rename(tmp_path / "b")
        folder.mkdir()
        return descriptor

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_and_lose)
        assert not FolderLock(folder).try_acquire()
    assert FolderLock(folder).try_acquire()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        FolderLock(tmp_path / "a").try_acquire()
