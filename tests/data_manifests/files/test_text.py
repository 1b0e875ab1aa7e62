"""Every reader of text, JSON and TOML is bounded; the limits are those of docs/security.md."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manifests.errors import ManifestError
from data_manifests.files.csv import read_table, read_whole_table
from data_manifests.files.text import MAX_BYTES, MAX_DOTS, MAX_LINE, parse_json, parse_toml, read_json, read_toml


@pytest.mark.parametrize(
    ("parse", "text", "told"),
    [
        (parse_toml, ".".join("a" * 50_000) + " = 1", "more than 100 dots in line 1"),
        (parse_toml, f"a = {'[' * 1500}{']' * 1500}", "nested too deeply"),
        (parse_toml, f"a = '{'x' * 300_000}'", "larger than 256 KiB"),
        (parse_toml, "a = 1\na = 2", "overwrite"),
        (parse_toml, f"a = {'9' * 5000}", "4300 digits"),
        (parse_json, "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        (parse_json, '{"a": Infinity}', "Infinity is not finite"),
        (parse_json, "[1e999]", "1e999 is not finite"),
        (parse_json, "9" * 5000, "4300 digits"),
    ],
    ids=["dots", "deep-toml", "large", "twice", "digits-toml", "deep", "infinity", "1e999", "digits"],
)
def test_what_is_refused(parse: Callable[[str], Any], text: str, told: str) -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match=told):
        parse(text)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_what_is_within_the_limits() -> None:
    assert parse_toml(f"a.{'b.' * (MAX_DOTS - 1)}c = 1")["a"]
    assert parse_json('{"a": [1, 2.5, 1e300, -0.0]}') == {"a": [1, 2.5, 1e300, 0.0]}


@pytest.mark.parametrize("read", [read_json, read_toml, read_whole_table])
def test_endless_and_large_files(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="not a regular file"):
        read(tmp_path / "endless")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 * MAX_BYTES)
    tracemalloc.start()
    with pytest.raises(ValueError, match="larger than"):
        read(tmp_path / "large")
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_BYTES
    tracemalloc.stop()
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_a_line_without_end(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "x" * (MAX_LINE + 2))
    with pytest.raises(ManifestError, match=r"t\.csv: .*more than 16,777,216 characters"):
        list(read_table(tmp_path / "t.csv", ["a"]))


def test_whole_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"")
    assert read_whole_table(path) == ([], [])
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,"2\n"\r\n\r\n')
    assert read_whole_table(path) == (["a", "b"], [{"a": "1", "b": "2\n"}])
    for damage in (b"a,b\n1\n", b"a,b\n1,2,3\n", b'a\n"1', b"\xff"):
        path.write_bytes(damage)
        with pytest.raises(ValueError):
            read_whole_table(path)


@pytest.mark.parametrize("read", [read_json, read_toml, read_whole_table])
def test_an_error_does_not_show_the_bytes_of_the_file(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    (tmp_path / "binary").write_bytes(b"a" + b"\xff" * 1000)
    with pytest.raises(ValueError, match="can't decode byte 0xff in position 1") as error:
        read(tmp_path / "binary")
    assert len(repr(error.value)) < 200
