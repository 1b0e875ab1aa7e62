"""Files are whole or absent."""

from __future__ import annotations

import errno

import pytest

from data_manifests.errors import DataError
from data_manifests.files.atomic import atomic_path, write_atomically


class TestWriting:
    def test_makes_folders_and_replaces(self, tmp_path):
        path = tmp_path / "a" / "b" / "f.txt"
        write_atomically(path, b"1")
        write_atomically(path, b"22")
        assert path.read_bytes() == b"22" and [p.name for p in path.parent.iterdir()] == ["f.txt"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_nothing_and_keeps_the_old(self, tmp_path, error):
        path = tmp_path / "f.txt"
        path.write_bytes(b"old")
        with pytest.raises(error), atomic_path(path) as partial:
            partial.write_bytes(b"new, but only ha")
            raise error
        assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f.txt"]

    def test_a_full_disk_says_where(self, tmp_path):
        with pytest.raises(OSError, match="No space left") as caught, atomic_path(tmp_path / "a.csv"):
            raise OSError(errno.ENOSPC, "No space left on device")  # as writing to a file does: without a name
        assert caught.value.filename == str(tmp_path / "a.csv")

    @pytest.mark.parametrize("name", ["x" * 251 + ".png", "\N{CJK UNIFIED IDEOGRAPH-732B}" * 83 + ".png"])
    def test_names_as_long_as_the_system_allows(self, tmp_path, name):
        write_atomically(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"

    def test_a_folder_in_the_way_is_named(self, tmp_path):
        (tmp_path / "a.csv").mkdir()
        with pytest.raises(DataError, match=r"a\.csv: is not a file"):
            write_atomically(tmp_path / "a.csv", b"1")
        assert not list(tmp_path.glob(".*"))

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "a").write_text("")
        with pytest.raises(OSError, match="a"):
            write_atomically(tmp_path / "a" / "f.txt", b"1")
