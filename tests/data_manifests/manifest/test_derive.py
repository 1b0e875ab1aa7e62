"""Subsets and unions of manifests: the same files, marks and history, wherever the new manifest lies."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_manifests import Manifest, ManifestError, Mark, read_manifest, read_marks, write_manifest, write_marks
from data_manifests.files.paths import as_path
from data_manifests.manifest.derive import derive_manifest, grown_folder, merge_manifests, rebase_row, subset_manifest
from data_manifests.manifest.marks import marks_fault
from data_manifests.manifest.validate import MINOR_KINDS, check_manifest
from sparsekit.geometry.rasterize import rasterize
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest


def scenes(start, stop):
    """Label maps of which no two are alike."""
    return [np.roll(SCENE, (i // 8, i % 8), axis=(0, 1)) for i in range(start, stop)]


@pytest.fixture
def manifest(tmp_path):
    """Eight images, the last two for evaluation."""
    return tiny_manifest(tmp_path / "made", scenes(0, 8), num_val=2)


def written(derived, **options):
    """Write, read again, and make sure that every file is found and the marks draw the annotations."""
    derived.write(**options)
    manifest = read_manifest(derived.manifest.path)
    assert manifest.rows == tuple(sorted(derived.manifest.rows, key=lambda row: row.image_id))
    assert {p.kind for p in check_manifest(manifest, draw=rasterize)} <= MINOR_KINDS
    return manifest


def same_files(new, old):
    """Every row of a manifest names the files that its row in another names."""
    rows = {row.image_id: row for row in old.rows}
    for row in new.rows:
        for column in ("image", "full_mask", "annotation"):
            here, there = getattr(row, column), getattr(rows[row.image_id], column)
            assert bool(here) == bool(there)
            assert not here or new.resolve(here).resolve() == old.resolve(there).resolve()
    return True


def files_of(folder):
    """What the files of a manifest hold, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".csv", ".json")}


def restore(backup, folder):
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def killed_after(steps, patch, call):
    """Whether a call ended before its end, since it was stopped when it changed names of files once too often."""

    class KilledError(BaseException):
        pass

    def counted(real):
        def step(*args, **kwargs):
            nonlocal steps
            steps -= 1
            if steps < 0:
                raise KilledError
            return real(*args, **kwargs)

        return step

    for name in ("rename", "replace", "unlink", "rmdir"):
        patch.setattr(Path, name, counted(getattr(Path, name)))
    try:
        call()
    except KilledError:
        return True
    return False


class TestRebase:
    @pytest.mark.parametrize("path", ["/data/a.png", "s3://bucket/a.png", "https://x.org/a.png", ""])
    def test_absolute_paths_and_urls_stay(self, manifest, path):
        assert rebase_row(manifest, replace(manifest.rows[0], image=path), Path("/elsewhere")).image == path

    def test_urls_stay_in_their_own_bucket_too(self, manifest):
        row = replace(manifest.rows[0], image="memory://bucket/a.png", full_mask="", annotation="")
        assert rebase_row(manifest, row, as_path("memory://bucket/new")) == row

    def test_relative_paths_lead_from_the_new_folder(self, manifest):
        row = rebase_row(manifest, manifest.rows[0], manifest.path.parent.parent / "new" / "deep")
        assert row.image == "../../made/data/images/image_0.png"
        assert rebase_row(manifest, manifest.rows[0], manifest.path.parent) == manifest.rows[0]


class TestSubset:
    def test_nothing_asked_for_keeps_all(self, manifest, tmp_path):
        new = written(subset_manifest(manifest, tmp_path / "new"))
        assert len(new.rows) == 8 and same_files(new, manifest)
        assert new.info.command == "points" and [s["command"] for s in new.info.settings["history"]] == ["subset"]
        assert list(read_marks(new.marks_path)) == list(read_marks(manifest.marks_path))

    def test_counts_nest_and_do_not_depend_on_other_images(self, manifest, tmp_path):
        def chosen(source, count, seed=0):
            derived = subset_manifest(source, tmp_path / "new", count=count, seed=seed)
            return {row.image_id for row in derived.manifest.rows}

        for count in range(1, 8):
            assert len(chosen(manifest, count)) == count and chosen(manifest, count) < chosen(manifest, count + 1)
        assert len({frozenset(chosen(manifest, 4, seed)) for seed in range(10)}) > 5
        fewer = replace(manifest, rows=manifest.rows[2:])
        assert chosen(manifest, 4) - {"image_0", "image_1"} <= chosen(fewer, 4)

    def test_other_splits_are_kept(self, manifest, tmp_path):
        new = written(subset_manifest(manifest, tmp_path / "new", split="train", count=2))
        assert new.splits == {"train": 2, "val": 2} and same_files(new, manifest)
        kept = {row.image_id for row in new.rows_of("train")}
        assert [image_id for image_id, _ in read_marks(new.marks_path)] == sorted(kept)

    def test_ids_and_classes(self, manifest, tmp_path):
        new = written(subset_manifest(manifest, tmp_path / "a", image_ids=["image_3", "image_7"]))
        assert [row.image_id for row in new.rows] == ["image_3", "image_7"]
        new = written(subset_manifest(manifest, tmp_path / "b", classes=["class_1"]))
        assert [row.image_id for row in new.rows] == [f"image_{i}" for i in range(6)]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"classes": ["car"]}, "no class car. Classes: class_0, class_1, class_2"),
            ({"image_ids": ["x", "image_0"]}, "no image x"),
            ({"split": "test"}, "split 'test' has no rows"),
            ({"classes": ["class_2"]}, "no rows are left"),
        ],
    )
    def test_what_there_is_not(self, manifest, tmp_path, options, message):
        with pytest.raises(ManifestError, match=message):
            subset_manifest(manifest, tmp_path / "new", **options)
        for count in (0, -1):
            with pytest.raises(ValueError, match="count must be at least 1"):
                subset_manifest(manifest, tmp_path / "new", count=count)
        assert not (tmp_path / "new").exists()

    def test_nothing_is_replaced_unasked(self, manifest, tmp_path):
        derived = subset_manifest(manifest, tmp_path / "new", count=3)
        derived.write()
        with pytest.raises(ManifestError, match=r"exists. Give --overwrite to replace it, or another --out"):
            derived.write()
        assert len(written(subset_manifest(manifest, tmp_path / "new", count=5), overwrite=True).rows) == 5

    def test_in_place(self, manifest):
        there = set(manifest.path.parent.rglob("*"))
        new = written(subset_manifest(manifest, manifest.path.parent, count=3), overwrite=True)
        assert len(new.rows) == 3 and same_files(new, manifest)
        assert set(manifest.path.parent.rglob("*")) == there

    @pytest.mark.parametrize("in_place", [False, True])
    def test_a_call_that_is_killed_leaves_no_manifest_beside_foreign_marks(self, tmp_path, monkeypatch, in_place):
        """Stopped before each of its steps it leaves the old files, or none that pass for a manifest; all are kept."""
        manifest = tiny_manifest(tmp_path / "made", scenes(0, 8))
        write_manifest(manifest)  # again, with the hash of the marks
        out = manifest.path.parent if in_place else tmp_path / "new"
        if not in_place:
            subset_manifest(manifest, out, count=2).write()
        (out / "note.txt").touch()  # a file of the user's own
        shutil.copytree(out, tmp_path / "backup")
        before, after = (
            files_of(out),
            files_of(written(subset_manifest(manifest, out, count=5), overwrite=True).path.parent),
        )
        restore(tmp_path / "backup", out)
        derived, found = subset_manifest(read_manifest(manifest.path), out, count=5), []
        for steps in range(40):
            with monkeypatch.context() as patch:
                if not killed_after(steps, patch, lambda: derived.write(overwrite=True)):
                    break
            try:
                now = read_manifest(out)
                found.append("old" if files_of(out) == before else "new")
                assert not marks_fault(now) and files_of(out) in (before, after)
            except ManifestError as error:
                found.append("none")
                assert "was killed while it replaced this manifest" in str(error)
                kept = files_of(out) | files_of(out / ".manifest.partial")
                assert {name: kept[name] for name in after} == after
            restore(tmp_path / "backup", out)
        assert set(found) == {"old", "none"} or set(found) == {"old", "none", "new"}
        assert files_of(out) == after and not (out / ".manifest.partial").exists() and (out / "note.txt").exists()

    def test_subset_of_a_subset_keeps_its_history(self, manifest, tmp_path):
        first = written(subset_manifest(manifest, tmp_path / "a", count=6, seed=1))
        second = written(subset_manifest(first, tmp_path / "b" / "c", split="train", count=1))
        assert [(s["count"], s["seed"]) for s in second.info.settings["history"]] == [(6, 1), (1, 0)]
        assert same_files(second, manifest)

    def test_a_history_that_was_edited_is_kept_as_it_is(self, manifest, tmp_path):
        edited = replace(manifest, info=replace(manifest.info, settings={"history": "by hand"}))
        first, second = written(subset_manifest(edited, tmp_path / "new", count=3)).info.settings["history"]
        assert first == "by hand" and second["command"] == "subset"

    def test_without_marks(self, manifest, tmp_path):
        manifest.marks_path.unlink()
        written(subset_manifest(manifest, tmp_path / "new"))
        assert not (tmp_path / "new" / "marks.csv").exists()

    @pytest.mark.parametrize("name", ["marks.csv", "marks.parquet"])
    @pytest.mark.parametrize("has_marks", [True, False])
    def test_marks_of_a_manifest_that_is_replaced_do_not_stay(self, manifest, tmp_path, name, has_marks):
        (tmp_path / "new").mkdir()
        write_marks(tmp_path / "new" / name, [("image_0", [Mark("click", 0, 0, 0)])])
        subset_manifest(manifest, tmp_path / "new").write()
        if not has_marks:
            manifest.marks_path.unlink()
        new = written(subset_manifest(manifest, tmp_path / "new"), overwrite=True)
        assert new.marks_path.is_file() == has_marks
        assert not has_marks or list(read_marks(new.marks_path)) == list(read_marks(manifest.marks_path))

    def test_no_rows(self, manifest, tmp_path):
        with pytest.raises(ManifestError, match=r"no rows are left. Splits of this manifest: train \(6\), val \(2\)\."):
            derive_manifest(manifest, [], tmp_path / "new", {"command": "x"})


class TestMerge:
    def other(self, tmp_path, name="other", **changes):
        """Three more images, m_0.. in a folder of their own."""
        manifest = tiny_manifest(tmp_path / name, scenes(8, 11))
        renamed = {row.image_id: row.image_id.replace("image", "h") for row in manifest.rows}
        text = manifest.marks_path.read_text()
        manifest.marks_path.write_text(
            text.replace("image_0", "h_0").replace("image_1", "h_1").replace("image_2", "h_2")
        )
        rows = tuple(replace(row, image_id=renamed[row.image_id]) for row in manifest.rows)
        manifest = Manifest(manifest.path, rows, replace(manifest.info, **changes))
        write_manifest(manifest)
        return manifest

    def test_two_parts_of_one_run(self, manifest, tmp_path):
        other = self.other(tmp_path)
        new = written(merge_manifests([manifest, other], tmp_path / "new"))
        assert [row.image_id for row in new.rows] == [*(f"h_{i}" for i in range(3)), *(f"image_{i}" for i in range(8))]
        expected = sorted([*read_marks(manifest.marks_path), *read_marks(other.marks_path)])
        assert list(read_marks(new.marks_path)) == expected
        assert new.info.command == "points" and new.info.dataset == "tiny"
        assert new.info.settings["history"] == [{"command": "merge", "num_sources": 2, "prefix": False}]

    def test_marks_of_some_never_pass_for_those_of_all(self, manifest, tmp_path):
        other = self.other(tmp_path)
        other.marks_path.unlink()
        derived = merge_manifests([manifest, other], tmp_path / "new")
        assert derived.without_marks == (other,)
        assert not written(derived).marks_path.exists()
        nothing = {"annotation": "", "annotation_sha256": "", "num_labelled": 0, "classes_labelled": ()}
        unannotated = Manifest(other.path, tuple(replace(row, **nothing) for row in other.rows), other.info)
        new = written(merge_manifests([manifest, unannotated], tmp_path / "newer"))
        assert list(read_marks(new.marks_path)) == list(read_marks(manifest.marks_path))

    def test_order_changes_nothing(self, manifest, tmp_path):
        other = self.other(tmp_path)
        for name, sources in {"a": [manifest, other], "b": [other, manifest]}.items():
            merge_manifests(sources, tmp_path / name).write()
        for file in ("manifest.csv", "manifest.json", "marks.csv"):
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

    def test_different_origins_are_all_recorded(self, manifest, tmp_path):
        other = self.other(tmp_path, dataset="city", command="scribbles", settings={"seed": 5})
        new = written(merge_manifests([manifest, other], tmp_path / "new"))
        assert new.info.command == "merge" and new.info.dataset == "city+tiny"
        assert [s["command"] for s in new.info.settings["sources"]] == ["points", "scribbles"]
        assert new.info.settings["sources"][1]["settings"] == {"seed": 5}
        assert new.info.layout == manifest.info.layout

    def test_no_layout_is_that_of_two(self, manifest, tmp_path):
        other = self.other(tmp_path, layout="camvid")
        assert merge_manifests([other, manifest], tmp_path / "new").manifest.info.layout == ""

    def test_equal_rows_are_taken_once(self, manifest, tmp_path):
        part = written(subset_manifest(manifest, tmp_path / "part", count=4))
        new = written(merge_manifests([part, manifest], tmp_path / "new"))
        assert len(new.rows) == 8 and same_files(new, manifest)
        assert list(read_marks(new.marks_path)) == list(read_marks(manifest.marks_path))

    def test_different_rows_of_one_id(self, manifest, tmp_path):
        other = tiny_manifest(tmp_path / "other", scenes(8, 10))
        message = r"2 images are in several manifests.*: image_0, image_1\..*--prefix.*--vote"
        with pytest.raises(ManifestError, match=message):
            merge_manifests([manifest, other], tmp_path / "new")

    def test_prefix(self, manifest, tmp_path):
        other = tiny_manifest(tmp_path / "other", scenes(8, 10))
        other = Manifest(other.path, other.rows, replace(other.info, dataset="city"))
        new = written(merge_manifests([manifest, other], tmp_path / "new", prefix=True))
        assert [row.image_id for row in new.rows][:3] == ["city/image_0", "city/image_1", "tiny/image_0"]
        assert new.info.command == "merge"

    def test_other_classes_or_encodings(self, manifest, tmp_path):
        other = tiny_manifest(tmp_path / "other", [SCENE], label_space=numbered_space(4))
        with pytest.raises(ManifestError, match="have different classes: "):
            merge_manifests([manifest, other], tmp_path / "new")
        other = self.other(tmp_path, "third", mask_encoding="class_ids")
        with pytest.raises(ManifestError, match="names full masks of class ids, .* of train ids"):
            merge_manifests([manifest, other], tmp_path / "new")


@pytest.mark.parametrize(
    ("path", "folder"),
    [("sparse/town/manifest.csv", "sparse/town-features"), ("/a/town/manifest.csv", "/a/town-features")],
)
def test_grown_labels_lie_beside_their_source_as_it_was_given(manifest, path, folder):
    assert grown_folder(Manifest(Path(path), manifest.rows, manifest.info), "features") == Path(folder)


def test_grown_labels_of_the_manifest_here(manifest, tmp_path, monkeypatch):
    (tmp_path / "town").mkdir()
    monkeypatch.chdir(tmp_path / "town")
    here = Manifest(Path("manifest.csv"), manifest.rows, manifest.info)
    assert grown_folder(here, "features") == tmp_path / "town-features"
