import os
from pathlib import Path
from typing import Any

import pytest

from data_manifests.files.lock import FolderLock


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


def test_a_folder_that_was_replaced_is_not_held(tmp_path: Path) -> None:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
