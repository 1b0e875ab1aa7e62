"""A manifest from somebody else: whatever its cells say, nothing is written outside the folder that a user names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Manifest, write_manifest
from data_manifests.errors import DataError
from sparsekit.formats import EXPORTED
from sparsekit.formats.export import export_manifest
from tests.sparsekit.conftest import SCENE, tiny_manifest

#: Each leads out of a folder in its own way; `{here}` is the test's folder.
LEADING_OUT = ("{here}/evil", "../../../evil", "a/../../../evil", "..\\..\\evil", "C:\\evil")

WRITERS = [
    *(("export", "{m}", "--to", target, "--lossy", "--out", "{out}") for target in EXPORTED if target != "s4a"),
    ("render", "{m}", "--out", "{out}"),
    ("gallery", "{m}", "--out", "{out}/page.html"),
    ("subset", "{m}", "--out", "{out}"),
    ("split", "{m}", "--out", "{out}"),
    ("merge", "{m}", "--prefix", "--out", "{out}"),
]


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.fixture
def evil(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A manifest whose column ``request.param[0]`` leads out; at the end only the result folder may have changed."""
    column, name = request.param
    manifest = tiny_manifest(tmp_path / "deep/er/m", [SCENE])
    text = manifest.path.read_text()
    old = {"image_id": "\nimage_0,", "split": ",train,"}[column]
    cell = name.format(here=tmp_path)
    manifest.path.write_text(text.replace(old, old.replace("image_0", cell).replace("train", cell), 1))
    if column == "image_id":
        marks = manifest.marks_path.read_text()
        manifest.marks_path.write_text(marks.replace("\nimage_0,", f"\n{cell},"))
    before = _files(tmp_path)
    yield manifest.path
    assert [path for path in _files(tmp_path) if path not in before] == []


@pytest.mark.parametrize("evil", [(c, n) for c in ("image_id", "split") for n in LEADING_OUT], indirect=True)
def test_every_command_refuses_it(evil: Path, tmp_path: Path) -> None:
    for command in WRITERS:
        words = [word.format(m=evil, out=tmp_path / "deep/er/out") for word in command]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1 and "is not a plain name" in result.stderr, (words, result.output)


@pytest.mark.parametrize("name", ["../../evil", "/evil"])
@pytest.mark.parametrize("target", [target for target in EXPORTED if target != "s4a"])
def test_manifests_in_memory_write_nothing_outside_either(tmp_path: Path, target: str, name: str) -> None:
    """Of a manifest that was never read, the writers themselves look where a file goes."""
    manifest = tiny_manifest(tmp_path / "deep/er/m", num_val=1)
    split = f"{tmp_path}{name}" if name.startswith("/") else name
    stranger = Manifest(manifest.path, tuple(replace(row, split=split) for row in manifest.rows), manifest.info)
    before = _files(tmp_path)
    out = tmp_path / "deep/er/out"
    try:
        export_manifest(stranger, target, out, lossy=True)
    except DataError as error:
        assert "lies outside" in str(error)
    assert [path for path in _files(tmp_path) if path not in before and out not in (path, *path.parents)] == []


def test_a_datasets_name_that_leads_out(tmp_path: Path) -> None:
    """`merge --prefix` puts it before the ids."""
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    text = manifest.path.with_suffix(".json").read_text()
    manifest.path.with_suffix(".json").write_text(text.replace('"dataset": "tiny"', '"dataset": "../../evil"'))
    before = _files(tmp_path)
    result = CliRunner().invoke(main, ["merge", str(manifest.path), "--prefix", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and "image_id '../../evil/image_0' is not a plain name" in result.stderr
    assert [
        path for path in _files(tmp_path) if path not in before and tmp_path / "out" not in (path, *path.parents)
    ] == []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Connections that were opened, none of which succeeds."""
    found: list[object] = []

    def connect(*address: object) -> None:
        found.append(address)
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", connect)
    monkeypatch.setattr("socket.getaddrinfo", connect)
    return found


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "HTTP", "sftp"])
@pytest.mark.parametrize("column", ["image", "full_mask", "annotation"])
def test_no_connection_is_opened_unasked(tmp_path: Path, scheme: str, column: str, opened: list[object]) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    old = getattr(manifest.rows[0], column)
    manifest.path.write_text(manifest.path.read_text().replace(old, f"{scheme}://evil.example/{old}"))
    for words in ("stats", "validate", "verify", "render --out {out}", "export --to mmseg --out {out}", "info"):
        command, *options = words.format(out=tmp_path / "out").split()
        result = CliRunner().invoke(main, [command, str(manifest.path), *options])
        assert result.exit_code == 1 and "--allow-remote" in result.stderr, result.output
        assert f"{scheme}://evil.example" in result.stderr
    assert not opened
    result = CliRunner().invoke(main, ["info", str(manifest.path), "--allow-remote"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("is_near", [True, False])
def test_no_connection_to_a_source_is_opened_unasked(tmp_path: Path, is_near: bool, opened: list[object]) -> None:
    """Neither to the source that ``manifest.json`` names, nor to that of a source on this disk."""
    web = {"source": "http://evil.example/manifest.csv", "method": "superpixels"}
    near = {"source": "../far/manifest.csv", "method": "superpixels"}
    for name, settings in (("far", web), ("near", near)):
        manifest = tiny_manifest(tmp_path / name, [SCENE])
        write_manifest(replace(manifest, info=replace(manifest.info, command="grow", settings=settings)))
    for command in ("verify", "cost"):
        result = CliRunner().invoke(main, [command, str(tmp_path / ("near" if is_near else "far"))])
        assert result.exit_code == 1 and "http://evil.example" in result.stderr, result.output
        assert "--allow-remote" in result.stderr
    assert not opened


def test_messages_stay_short(tmp_path: Path) -> None:
    """A value of a stranger may be as long as a file: the message keeps its place and its advice."""
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    manifest.path.write_text(manifest.path.read_text().replace("\nimage_0,", f"\n../{'x' * 70_000},"))
    result = CliRunner().invoke(main, ["stats", str(manifest.path)])
    assert result.exit_code == 1 and len(result.stderr) < 5000
    assert str(manifest.path) in result.stderr and "has the part '..'" in result.stderr


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("points", {"clicks_per_image": 5, "minutes": "five"}),
        ("points", {"clicks_added": "many"}),
        ("marks", {"kind": ["block"]}),
        ("grow", {"source_command": "points", "source_settings": 5}),
        ("scribbles", {"length": 0.8, "minutes": {}}),
    ],
)
def test_settings_that_no_command_writes_do_not_keep_a_page_from_being_made(
    tmp_path: Path, command: str, settings: dict[str, object]
) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    path = manifest.path.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "command": command, "settings": settings}))
    page = tmp_path / "page.html"
    result = CliRunner().invoke(main, ["gallery", str(manifest.path), "--out", str(page)])
    assert result.exit_code == 0 and command in page.read_text(), result.output
