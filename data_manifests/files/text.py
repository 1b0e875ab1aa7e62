"""Read untrusted text, JSON and TOML in bounded memory and time; docs/security.md lists the limits.

Invalid contents raise ``ValueError`` with a phrase that fits in brackets; the caller names the file and the remedy.
"""

from __future__ import annotations

import json
import math
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from data_manifests.files.paths import is_remote

#: Maximum bytes of a text or JSON file: a manifest.json, a list of ids, the scores of a run. Parsed JSON takes up to 25
#: times as much memory.
MAX_BYTES = 32 << 20

#: Maximum bytes of a TOML file, and dots per line: the memory of Python's parser grows with the square of the number of
#: parts of a dotted key.
MAX_TOML_BYTES = 256 << 10
MAX_DOTS = 100

#: Maximum characters in a line of a table, such as one with a long polygon.
MAX_LINE = 16 << 20


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        ValueError: If it is a device or a pipe, which may never end.
        OSError: If it cannot be opened.
    """
    if not is_remote(path) and path.exists() and not stat.S_ISREG(path.stat().st_mode):
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory", str(path))
        raise ValueError("not a regular file")
    return path.open("rb")


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Read a file.

    Args:
        path: The file.
        limit: Maximum size in bytes.

    Raises:
        ValueError: If it is larger, or not a regular file.
        OSError: If it cannot be read.
    """
    with open_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"larger than {_size(limit)}")
    return data


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Read text in UTF-8, with or without a byte order mark; raises as :func:`read_bytes`."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(str(error)) from None  # its repr would show the whole file


def read_json(path: Path, limit: int = MAX_BYTES) -> Any:
    """Read a JSON file; raises as :func:`read_bytes` and :func:`parse_json`."""
    return parse_json(read_text(path, limit))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises as :func:`read_bytes` and :func:`parse_toml`."""
    return parse_toml(read_text(path, MAX_TOML_BYTES))


def parse_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: If it is not JSON, is nested too deeply, or holds a number that is not finite.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError: If it is not TOML, is too large or nested too deeply.
    """
    if len(text) > MAX_TOML_BYTES:
        raise ValueError(f"larger than {_size(MAX_TOML_BYTES)}")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > MAX_DOTS:
            raise ValueError(f"more than {MAX_DOTS} dots in line {number}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def bounded_lines(file: TextIO) -> Iterator[str]:
    """Lines of an open file, including line ends.

    Raises:
        ValueError: If one has more than ``MAX_LINE`` characters.
    """
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE:,} characters")
        yield line


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"
