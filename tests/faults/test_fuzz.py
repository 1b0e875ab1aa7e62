"""Damaged and hostile files: a reader returns or raises an error of ours, writes nowhere else, and stays small.

A few cases of each reader run with the suite; `make fuzz` runs 20,000. A case costs 2 to 5 milliseconds, of a network
80: all run in one process, whose limits of memory and of time on a core are set for each case.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.errors import DataError
from tests.faults.readers import Reader, write_readers

#: Of each reader.
CASES = int(os.environ.get("FUZZ_CASES", "6"))
#: Bytes, and seconds on a core, that a reader of these files of kilobytes may take at most.
MEMORY, SECONDS = 2 << 30, 20

WORDS = (
    b"", b"-1", b"0", b"1e999", b"NaN", b"inf", b"true", b"null", b"9" * 5000, b"2147483648", b"99999999999999999999",
    b"../../../escaped", b"/tmp/escaped", b"[" * 3000, b"{" * 3000, b'"', b"'", b"\x00", b"\xff\xfe", b"\n", b"\r",
    b",", b";", b"=HYPERLINK(1)", "\N{ZERO WIDTH SPACE}\u202e".encode(), b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b".a" * 3000, b"http://127.0.0.1:1/x", b"a" * 70_000, b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1e308, 2**31, 2**63, 10**30, 10**400, float("nan"), float("inf"), "", "x",
    "../../../escaped", [], {}, [[]], [1, 2], [[1, 2], [3]], "9" * 5000, ["a"] * 3,
)  # fmt: skip

edits = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 1 << 30), st.integers(0, 40), st.sampled_from(WORDS)),
    min_size=1,
    max_size=4,
)
replacements = st.lists(st.tuples(st.integers(0, 1 << 30), st.sampled_from(VALUES)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return write_readers(tmp_path_factory.mktemp("readers"))


@pytest.fixture(scope="module")
def command_readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    pytest.importorskip("pandas", reason="tables need pandas")
    from tests.faults.command_readers import write_command_readers

    return write_command_readers(tmp_path_factory.mktemp("commands"))


@pytest.fixture(scope="module")
def volume_readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    pytest.importorskip("nibabel", reason="needs nibabel, extra medical")
    pytest.importorskip("rasterio", reason="needs rasterio, extra geo")
    from tests.faults.volume_readers import write_volume_readers

    return write_volume_readers(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def run_readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    pytest.importorskip("torch", reason="runs need torch")
    from tests.faults.run_readers import write_run_readers

    return write_run_readers(tmp_path_factory.mktemp("runs"))


#: Readers by the fixture that writes their files.
NAMES = {
    "readers": (
        "classes.csv", "classes.json", "classes.toml", "map.toml", "cost.toml", "manifest.csv", "manifest.json",
        "marks.csv", "manifest.csv to agmm", "manifest.csv to coco", "manifest.csv to labelme", "labelme .json",
        "coco .json", "label-studio .json", "sam .json", "sam .npz", "cvat .xml", "image .png a", "image .png b",
        "image .jpg c", "image .tif d", "image .webp e", "image .gif f", "image .bmp g",
    ),
    "command_readers": (
        "manifest.csv to grow", "annotation to grow", "manifest.csv to agree", "annotation to agree",
        "manifest.json to agree", "manifest.csv to vote", "marks.csv to unite", "annotation to vote",
        "manifest.csv to add to", "marks.csv to add to", "manifest.json to add to", "manifest.csv to relocate",
        "probabilities", "predictions",
    ),
    "volume_readers": (
        "volume .nii", "volume .nii.gz", "volume .tif", "mask of volume .tif", "dataset.json", "volumes.json",
        "slice .tif", "scene geo", "scene plain", "scene without rasterio", "georeferenced",
    ),
    "run_readers": (
        "run.json", "log.csv", "evaluation.json", "config.toml", "weights", "weights to report", "study.toml",
        "terms.toml", "results.csv", "results.csv of a budget", "per_image.csv", "stages.json",
        "weights to start from", "config.json", "model.safetensors", "image to predict", "soft labels",
    ),
}  # fmt: skip
#: Those whose values are replaced as well, by values of another kind.
VALUED = {
    "readers": (
        "classes.json", "classes.toml", "map.toml", "cost.toml", "manifest.json", "labelme .json", "coco .json",
        "label-studio .json", "sam .json",
    ),
    "command_readers": ("manifest.json to agree", "manifest.json to add to", "frame.json"),
    "volume_readers": ("dataset.json", "volumes.json"),
    "run_readers": (
        "run.json", "evaluation.json", "config.toml", "study.toml", "terms.toml", "stages.json", "config.json",
        "weights", "weights to start from",
    ),
}  # fmt: skip


def each(names: dict[str, tuple[str, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in names for name in names[kind]])


@pytest.mark.timeout(3600)
@each(NAMES)
def test_bytes(request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: str) -> None:
    fuzz_bytes(request.getfixturevalue(kind)[name], tmp_path)


@pytest.mark.timeout(3600)
@each(VALUED)
def test_values(request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: str) -> None:
    fuzz_values(request.getfixturevalue(kind)[name], tmp_path)


def fuzz_bytes(reader: Reader, scratch: Path) -> None:
    whole = (reader.folder / reader.file).read_bytes()

    @settings(max_examples=CASES, database=None, suppress_health_check=list(HealthCheck))
    @given(edits)
    def check(edits: list[tuple[int, int, int, bytes]]) -> None:
        data = whole
        for kind, at, length, word in edits:
            # Headers are where readers go wrong: every other edit falls into the first kilobyte.
            start = at // 2 % (min(len(data), 1024) + 1) if at % 2 else at // 2 % (len(data) + 1)
            middle = (word, b"", word + data[start : start + length], data[start : start + length] * 2)[kind]
            data = data[:start] + middle + data[start + length :]
        survives(reader, data, scratch)

    check()


def fuzz_values(reader: Reader, scratch: Path) -> None:
    whole = (reader.folder / reader.file).read_bytes()
    prefix, text, rest = _parts(whole) if reader.file.endswith(".safetensors") else (b"", whole.decode(), b"")
    is_toml = reader.file.endswith(".toml")

    @settings(max_examples=CASES, database=None, suppress_health_check=list(HealthCheck))
    @given(replacements)
    def check(replacements: list[tuple[int, Any]]) -> None:
        data = tomllib.loads(text) if is_toml else json.loads(text)
        for at, value in replacements:
            places = list(_places(data))
            if places:
                holder, key = places[at % len(places)]
                holder[key] = deepcopy(value)
        written = _toml(data) if is_toml else json.dumps(data)
        survives(reader, _joined(prefix, written, rest) if rest else written.encode(), scratch)

    check()


def survives(reader: Reader, data: bytes, scratch: Path) -> None:
    """Read damaged data in a folder of its own, and check what the reader did."""
    folder = scratch / "case" / "inner" / "folder"
    if not folder.exists():
        shutil.copytree(reader.folder, folder)
    (folder / reader.file).write_bytes(data)
    try:
        with _bounded():
            reader.read(folder)
    except (DataError, OSError):
        pass
    except ValueError as error:  # of settings, which the command line reports as wrong usage
        if reader.file not in ("config.toml", "study.toml", "terms.toml", "stages.json"):
            raise AssertionError(f"{reader.file}: {error!r}") from error
    finally:
        for written in ("exported", "back"):
            shutil.rmtree(folder / written, ignore_errors=True)
    around = [*scratch.iterdir(), *(scratch / "case").iterdir(), *(scratch / "case/inner").iterdir()]
    assert [path.name for path in around] == ["case", "inner", "folder"], "written outside"
    assert not Path("/tmp/escaped").exists()


class TooSlowError(BaseException):
    """No ``Exception``, which a reader might take for damage of the file."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Let the process have no more than ``MEMORY`` beyond what it has, and ``SECONDS`` of time on a core."""

    def end(*_: object) -> None:
        raise TooSlowError(f"takes more than {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _toml(table: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {_inline(value)}\n" for key, value in table.items())


def _inline(value: Any) -> str:
    """A value of TOML in one line; text stands for nothing, which TOML lacks."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {_inline(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps("none" if value is None else value)


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value, as what holds it and its key."""
    for key in list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield data, key
        yield from _places(data[key])


def _parts(checkpoint: bytes) -> tuple[bytes, str, bytes]:
    """What is before our own header in a checkpoint, the header, and the rest."""
    length = int.from_bytes(checkpoint[:8], "little")
    outer = json.loads(checkpoint[8 : 8 + length])
    own = outer["__metadata__"]["agmm"]
    return json.dumps(outer).encode(), own, checkpoint[8 + length :]


def _joined(outer: bytes, own: str, rest: bytes) -> bytes:
    header = json.loads(outer)
    header["__metadata__"]["agmm"] = own
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest
