"""What is wrong with a damaged manifest, and where."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from data_manifests import (
    MANIFEST_COLUMNS,
    ManifestError,
    ManifestInfo,
    known_label_space,
    read_manifest,
    write_manifest,
)
from data_manifests.manifest.io import load_manifest
from data_manifests.manifest.validate import check_manifest

INFO = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0, "clicks_per_image": 2})


def change_json(path, **changes):
    path = path.with_suffix(".json")
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


class TestDamagedManifest:
    def test_missing(self, tmp_path):
        with pytest.raises(ManifestError, match=r"x.csv: no such manifest. `sparsekit points DATASET` makes one"):
            read_manifest(tmp_path / "x.csv")
        with pytest.raises(ManifestError, match=r"manifest.csv: no such manifest"):
            read_manifest(tmp_path)

    def test_one_folder_too_high(self, manifest, tmp_path):
        for name in (".hidden", "20clicks", "50clicks"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "manifest.csv").touch()
        manifest.unlink()
        with pytest.raises(ManifestError, match=r"no such manifest.*: 20clicks, 50clicks\.$"):
            read_manifest(tmp_path)

    @pytest.mark.parametrize("name", ["manifest.json", "marks.csv", "marks.parquet"])
    def test_a_file_beside_the_manifest(self, manifest, name):
        (beside := manifest.with_name(name)).touch()
        with pytest.raises(ManifestError, match=rf"{name}: .*Give manifest.csv"):
            read_manifest(beside)

    def test_without_json(self, manifest):
        manifest.with_suffix(".json").unlink()
        with pytest.raises(ManifestError, match=r"manifest.json: missing; a manifest.csv needs its manifest.json"):
            read_manifest(manifest)

    @pytest.mark.parametrize("column", MANIFEST_COLUMNS)
    def test_missing_column(self, manifest, column):
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        table.drop(columns=column).to_csv(manifest, index=False)
        with pytest.raises(ManifestError, match=rf"manifest.csv: column {column} missing; expected image_id, split"):
            read_manifest(manifest)

    @pytest.mark.parametrize(("separator", "called"), [(";", "';'"), ("\t", "tabs")], ids=["semicolon", "tab"])
    def test_other_separators(self, manifest, separator, called):
        """As spreadsheets of many languages write a table; with a column too few as well."""
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        for shown in (table, table.drop(columns="split")):
            shown.to_csv(manifest, index=False, sep=separator, encoding="utf-8-sig")
            with pytest.raises(ManifestError, match=f"separated by {called}; expected commas") as caught:
                read_manifest(manifest)
            assert str(manifest) in str(caught.value) and "image_id" not in str(caught.value)

    @pytest.mark.parametrize(
        ("split", "message"), [("", "column split is empty"), ("Train", "'Train' \\(1\\), 'train'")]
    )
    def test_splits_that_would_leave_images_out(self, manifest, split, message):
        lines = manifest.read_text().splitlines()
        lines[2] = lines[2].replace("b,train,", f"b,{split},")
        manifest.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError, match=message):
            read_manifest(manifest)
        sound, _ = load_manifest(manifest)
        with pytest.raises(ManifestError, match=message):
            write_manifest(sound)

    def test_every_bad_row_is_named(self, manifest):
        lines = manifest.read_text().splitlines()
        lines[1] = lines[1].replace(",4,6,", ",four,6,")
        lines[3] = lines[3].replace(",4,6,0,,", ",4,6,0,1 x,")
        lines += [lines[2], lines[2]]
        manifest.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError) as caught:
            read_manifest(manifest)
        assert [line.split("manifest.csv, ")[1] for line in str(caught.value).splitlines()] == [
            "row 2 ('a'): invalid literal for int() with base 10: 'four'.",
            "row 4 ('c'): invalid literal for int() with base 10: 'x'.",
            "row 5: image_id 'b' occurs twice.",
            "row 6: image_id 'b' occurs twice.",
        ]
        sound, problems = load_manifest(manifest)
        assert [row.image_id for row in sound.rows] == ["b"] and len(problems) == 4

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            ("0,6,0,", "height and width must be at least 1, got 0 and 6"),
            ("4,-6,0,", "height and width must be at least 1, got 4 and -6"),
            ("4,6,1,0 11", "classes_labelled must lie between 0 and 10, got 0 11"),
            ("4,6,1,-1", "classes_labelled must lie between 0 and 10, got -1"),
        ],
        ids=["height", "width", "class", "negative class"],
    )
    def test_rows_that_cannot_be(self, manifest, cells, message):
        manifest.write_text(manifest.read_text() + f"d,train,d.png,,,{cells},,\n")
        with pytest.raises(ManifestError, match=rf"manifest.csv, image 'd': {message}\.$"):
            read_manifest(manifest)
        assert not load_manifest(manifest)[1]  # `validate` tells of them with all the others

    @pytest.mark.parametrize("name", ["../d", "/d", "C:/d", "a\\..\\..\\d", "a//d", "a/./d", "a/nul.x", "d\0", "d\x1b"])
    @pytest.mark.parametrize("column", ["image_id", "split"])
    def test_names_that_are_not_plain(self, manifest, column, name):
        id_, split = (name, "train") if column == "image_id" else ("d", name)
        manifest.write_text(manifest.read_text() + f"{id_},{split},d.png,,,4,6,0,,,\n")
        with pytest.raises(ManifestError, match=f"image .*: {column} .* is not a plain name"):
            read_manifest(manifest)
        sound, problems = load_manifest(manifest)
        assert len(sound.rows) == 4 and not problems  # `validate` tells of them with all the others
        assert [p.kind for p in check_manifest(sound, pixels=False) if column in p.message] == ["row"]
        with pytest.raises(ManifestError, match=column):
            write_manifest(replace(sound, path=manifest.with_name("again.csv")))
        assert not manifest.with_name("again.csv").exists() and not manifest.with_name("again.json").exists()

    def test_a_split_is_one_folder_and_an_id_may_be_several(self, manifest):
        manifest.write_text(manifest.read_text() + "train/d,train,d.png,,,4,6,0,,,\n")
        assert read_manifest(manifest).rows[-1].image_id == "train/d"
        manifest.write_text(manifest.read_text().replace("train/d,train", "d,train/x"))
        with pytest.raises(ManifestError, match="split 'train/x' is not a plain name"):
            read_manifest(manifest)

    def test_empty_lines_are_passed_over(self, manifest):
        expected = read_manifest(manifest).rows
        manifest.write_text(manifest.read_text().replace("\n", "\n\n"))
        assert read_manifest(manifest).rows == expected

    def test_more_than_ten_bad_rows_are_counted(self, manifest):
        manifest.write_text(manifest.read_text() + "d,train,d.png,,,x,6,0,,,\n" * 25)
        with pytest.raises(ManifestError, match="and 15 more"):
            read_manifest(manifest)

    def test_cut_off(self, manifest):
        manifest.write_bytes(manifest.read_bytes()[:-8])
        with pytest.raises(ManifestError, match=r"row 4: expected 11 cells, got \d+; is the file truncated"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "data", [b"", b"\xff\xfe", b"\x89PNG\r\n\x1a\n\0\0"], ids=["empty", "no UTF-8", "an image"]
    )
    def test_no_table(self, manifest, data):
        manifest.write_bytes(data)
        with pytest.raises(ManifestError, match=r"manifest.csv: (column image_id, .* missing|not a CSV table)"):
            read_manifest(manifest)

    def test_newer_version(self, manifest):
        change_json(manifest, schema_version=99, tool_version="7.1")
        with pytest.raises(ManifestError, match=r"schema version 99 is newer than 1.*Upgrade sparsekit.*version 7.1"):
            read_manifest(manifest)

    @pytest.mark.parametrize("name", ["image", "note"])
    def test_a_column_twice(self, manifest, name):
        lines = manifest.read_text().splitlines()
        manifest.write_text(
            "".join(f"{line},{name if i == 0 else 'x'},{name if i == 0 else 'y'}\n" for i, line in enumerate(lines))
        )
        with pytest.raises(ManifestError, match=f"column '{name}' occurs twice"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "changes",
        [
            {"schema_version": "two"},
            {"schema_version": None},
            {"schema_version": 0},
            {"schema_version": -1},
            {"schema_version": float("inf")},
            {"mask_encoding": "colours"},
            {"label_space": {"classes": []}},
            {"label_space": None},
            {"settings": 3},
            {"settings": {"seed": float("nan")}},
            {"dataset": "half a letter: \ud800"},
        ],
        ids=str,
    )
    def test_damaged_json(self, manifest, changes):
        change_json(manifest, **changes)
        with pytest.raises(ManifestError, match=r"manifest.json: (damaged|mask_encoding must be)"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "3", "[" * 100_000], ids=["empty", "open", "list", "number", "deep"]
    )
    def test_no_json(self, manifest, text):
        manifest.with_suffix(".json").write_text(text)
        with pytest.raises(ManifestError, match=r"manifest.json: damaged"):
            read_manifest(manifest)
