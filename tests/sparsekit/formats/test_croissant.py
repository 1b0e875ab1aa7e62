"""``croissant.json``: its own references hold, and mlcroissant reads the tables through it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import MANIFEST_COLUMNS, read_manifest, read_marks, write_manifest
from sparsekit.errors import AnnotationError
from sparsekit.formats.croissant import write_croissant
from tests.helpers.annotation_folders import CLICKS, SCRIBBLES, camvid
from tests.sparsekit.conftest import tiny_manifest


def test_describes_the_files_beside_it(tmp_path: Path) -> None:
    manifest = camvid(tmp_path)
    data = json.loads(write_croissant(manifest).read_text())
    files = {file["@id"]: file for file in data["distribution"]}
    for file in files.values():
        assert file["sha256"] == hashlib.sha256((manifest.path.parent / file["contentUrl"]).read_bytes()).hexdigest()
    ids = set(files)
    for records in data["recordSet"]:
        ids |= {records["@id"], *(field["@id"] for field in records["field"])}
        for field in records["field"]:
            if "source" in field:
                assert field["source"]["fileObject"]["@id"] in files
                table = manifest.path.parent / files[field["source"]["fileObject"]["@id"]]["contentUrl"]
                assert field["source"]["extract"]["column"] in table.read_text().splitlines()[0].split(",")
        keys = records["key"] if isinstance(records["key"], list) else [records["key"]]
        assert {key["@id"] for key in keys} <= ids
    assert [c["classes/class"] for c in data["recordSet"][-1]["data"]] == list(manifest.label_space.class_names)


@pytest.mark.parametrize("annotator", [CLICKS, SCRIBBLES], ids=["clicks", "scribbles"])
@pytest.mark.filterwarnings("ignore")  # of mlcroissant's own dependencies
def test_mlcroissant_reads_it(tmp_path: Path, annotator: object, caplog: pytest.LogCaptureFixture) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant")
    manifest = camvid(tmp_path, annotator)  # type: ignore[arg-type]
    dataset = mlcroissant.Dataset(jsonld=write_croissant(manifest))
    assert not dataset.metadata.issues.errors
    rows = list(dataset.records("manifest"))
    assert [row["manifest/image_id"].decode() for row in rows] == [row.image_id for row in manifest.rows]
    assert set(rows[0]) == {f"manifest/{column}" for column in MANIFEST_COLUMNS}
    assert [row["manifest/num_labelled"] for row in rows] == [row.num_labelled for row in manifest.rows]
    marks = [(m["marks/image_id"].decode(), m["marks/row"], m["marks/col"]) for m in dataset.records("marks")]
    assert marks == [(i, m.row, m.col) for i, of_image in read_marks(manifest.marks_path) for m in of_image]
    classes = [c["classes/class"] for c in dataset.records("classes")]
    assert len(classes) == manifest.label_space.num_classes


def test_columns_of_the_user_are_described(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    row = replace(manifest.rows[0], extra=(("weather", "rain, fog"),))
    write_manifest(replace(manifest, rows=(row, *manifest.rows[1:])))
    data = json.loads(write_croissant(read_manifest(manifest.path)).read_text())
    fields = {field["name"]: field["dataType"] for field in data["recordSet"][0]["field"]}
    assert list(fields) == manifest.path.read_text().splitlines()[0].split(",")
    assert fields["weather"] == "sc:Text" and fields["num_labelled"] == "sc:Integer"


def test_without_marks(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    manifest.marks_path.unlink()
    data = json.loads(write_croissant(manifest).read_text())
    assert [records["name"] for records in data["recordSet"]] == ["manifest", "classes"]


def test_what_was_added_by_hand_is_kept(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    path = write_croissant(manifest)
    assert write_croissant(manifest) == path  # equal
    path.write_text(path.read_text().replace('"version"', '"license": "CC0", "version"'))
    with pytest.raises(AnnotationError, match="Give --overwrite"):
        write_croissant(manifest)
    assert "CC0" in path.read_text()
    write_croissant(manifest, overwrite=True)
    assert "CC0" not in path.read_text()


def test_command(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m").path
    result = CliRunner().invoke(main, ["export", str(manifest), "--to", "croissant"])
    assert (result.exit_code, result.stdout) == (0, f"{manifest.with_name('croissant.json')}\n")
    result = CliRunner().invoke(main, ["export", str(manifest), "--to", "croissant", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "takes no --out" in result.stderr
    result = CliRunner().invoke(main, ["export", str(manifest), "--to", "hf"])
    assert result.exit_code == 2 and "--out" in result.stderr
