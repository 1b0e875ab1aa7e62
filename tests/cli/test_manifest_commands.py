"""``sparsekit split``, ``merge``, ``subset`` and ``diff``, one after the other as a user would."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Mark, read_manifest
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, tiny_manifest


def sparsekit(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.stdout if code == 0 else result.stderr


@pytest.fixture
def folder(tmp_path):
    tiny_manifest(tmp_path / "made", [np.roll(SCENE, (i // 8, i % 8), axis=(0, 1)) for i in range(10)])
    return tmp_path


def test_split_subset_merge_and_back(folder):
    made, new = folder / "made", folder / "new"
    out = sparsekit("split", made, "--val", 0.3, "--test", 0.2, "--out", new / "split")
    assert out == f"{new / 'split' / 'manifest.csv'}: 2 test, 5 train, 3 val\n"
    parts = []
    for split in ("train", "val", "test"):
        ids = [row.image_id for row in read_manifest(new / "split").rows_of(split)]
        (folder / f"{split}.txt").write_text("\n".join(ids) + "\n\n")
        parts.append(new / split)
        sparsekit("subset", new / "split", "--ids", folder / f"{split}.txt", "--out", parts[-1])
    sparsekit("merge", *parts, "--out", new / "merged")
    assert read_manifest(new / "merged").rows == read_manifest(new / "split").rows
    assert (new / "merged" / "marks.csv").read_bytes() == (made / "marks.csv").read_bytes()
    assert "The annotations are the same." in sparsekit("diff", made, new / "merged")
    assert "outside (1)" in sparsekit("validate", new / "merged")


def test_merge_puts_the_dataset_before_the_ids(folder):
    sparsekit("merge", folder / "made", "--prefix", "--out", folder / "new")
    assert {row.image_id.partition("/")[0] for row in read_manifest(folder / "new").rows} == {"tiny"}


def test_how_far_a_moved_mark_may_lie(tmp_path):
    for name, col in (("before", 0), ("after", 3)):
        tiny_manifest(tmp_path / name, [SCENE], [[Mark("click", 0, 0, col)]])
    for most, moved in ((2.9, 0), (3, 1)):
        out = sparsekit("diff", tmp_path / "before", tmp_path / "after", "--max-move", most, "--json")
        summary = json.loads(out)["summary"]
        assert [summary[f"marks_{what}"] for what in ("moved", "added", "removed")] == [moved, 1 - moved, 1 - moved]


@pytest.mark.parametrize("words", [("split", "--val", 0.3), ("subset", "--count", 4)], ids=["split", "subset"])
def test_the_seed_decides_which_images(folder, words):
    chosen = {}
    for seed in (None, 0, 1, 2):
        out = folder / f"new{seed}"
        sparsekit(words[0], folder / "made", *words[1:], *(() if seed is None else ("--seed", seed)), "--out", out)
        chosen[seed] = frozenset((row.image_id, row.split) for row in read_manifest(out).rows)
    assert chosen[None] == chosen[0] and len({chosen[0], chosen[1], chosen[2]}) == 3


def test_split_tells_of_images_to_train_on_without_an_annotation(tmp_path):
    tiny_manifest(tmp_path / "made", [SCENE] * 10, num_val=5)
    for options in ((), ("--split", "train")):
        out = tmp_path / f"new{len(options)}"
        result = CliRunner().invoke(main, ["split", str(tmp_path / "made"), "--out", str(out), *options])
        bare = sum(not row.annotation for row in read_manifest(out).rows_of("train"))
        assert bool(bare) == (not options)
        note = f"Note: {bare} images of train without an annotation" if bare else ""
        assert result.stderr.startswith(note) and bool(result.stderr) == bool(bare)


def test_merge_says_why_there_are_no_marks(folder):
    four = folder / "four"
    sparsekit("subset", folder / "made", "--count", 4, "--out", four)
    (four / "marks.csv").unlink()
    told = CliRunner().invoke(main, ["merge", str(four), str(folder / "made"), "--out", str(folder / "new")]).stderr
    assert told == f"Note: no marks were written, because {four / 'manifest.csv'} has none.\n"
    assert CliRunner().invoke(main, ["merge", str(four), "--out", str(folder / "alone")]).stderr == ""


def test_combining_says_why_there_are_no_marks(folder):
    bare = folder / "bare"
    sparsekit("subset", folder / "made", "--out", bare)
    (bare / "marks.csv").unlink()
    told = CliRunner().invoke(main, ["merge", "--union", str(folder / "made"), str(bare), "--out", str(folder / "new")])
    assert f"no marks were written, because {bare / 'manifest.csv'} has none." in told.stderr
    both = ["merge", "--union", "--vote", str(folder / "made"), str(bare), "--out", str(folder / "both")]
    refused = CliRunner().invoke(main, both)
    assert refused.exit_code == 2 and "one of --union and --vote" in refused.stderr and not (folder / "both").exists()


def test_diff_tells_and_lists(folder):
    sparsekit("subset", folder / "made", "--count", 4, "--out", folder / "four")
    out = sparsekit("diff", folder / "made", folder / "four")
    assert "images only in first    6\n" in out and "The annotations differ." in out
    data = json.loads(sparsekit("diff", folder / "made", folder / "four", "--json"))
    assert len(data["only_in_first"]) == 6 and data["summary"]["marks_same"] == 8 and len(data["images"]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["split", "made", "--val", 0.9, "--test", 0.9, "--out", "x"], 2, "shares must be above 0"),
        (["split", "made", "--val", 0, "--out", "x"], 2, "shares must be above 0 and add up to at most 1, got none."),
        (["split", "made", "--by", "group", "--group-pattern", "(", "--out", "x"], 2, "not a regular expression"),
        (["split", "made", "--by", "group", "--group-pattern", "z", "--out", "x"], 1, "does not start with"),
        (["split", "made", "--by", "colour", "--out", "x"], 2, "colour"),
        (["split", "none", "--out", "x"], 1, "no such manifest"),
        (["split", "made"], 2, "--out"),
        (["subset", "made", "--count", 0, "--out", "x"], 2, "--count"),
        (["subset", "made", "--with-class", "car", "--out", "x"], 1, "no class car"),
        (["subset", "made", "--ids", "none.txt", "--out", "x"], 1, "none.txt: No such file"),
        (["subset", "made", "--ids", "made/data/images/image_0.png", "--out", "x"], 1, "image_0.png: not a text file"),
        (["subset", "made", "--out", "made/manifest.csv/x"], 1, "is a file, where a folder is needed"),
        (["merge", "made", "--out", "made/manifest.csv/x"], 1, "is a file, where a folder is needed"),
        (["subset", "made", "--out", "made"], 1, "exists. Give --overwrite"),
        (["merge", "--out", "x"], 2, "MANIFESTS"),
        (["diff", "made", "none"], 1, "no such manifest"),
        (["diff", "made"], 2, "SECOND"),
    ],
)
def test_errors_leave_nothing(folder, monkeypatch, arguments, code, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert message in sparsekit(*arguments, code=code)
    assert sorted(folder.rglob("*")) == before


def test_real_sequences_stay_together(tmp_path):
    sparsekit("points", "--clicks", 20, "--limit", 60, "--out", tmp_path, real_data("camvid"))
    sparsekit("split", tmp_path / "camvid-20clicks", "--by", "group", "--out", tmp_path / "new")
    sequences = {}
    for row in read_manifest(tmp_path / "new").rows:
        sequences.setdefault(row.image_id.split("_")[0], set()).add(row.split)
    assert all(len(splits) == 1 for splits in sequences.values()) and len(sequences) > 1


@pytest.mark.parametrize("command", ["stats", "cost", "score", "compare"])
def test_a_manifest_is_called_by_its_folder_however_the_path_is_written(folder, command, monkeypatch):
    (folder / "made" / "below").mkdir()
    for place, path in ((folder, "made"), (folder / "made" / "below", ".."), (folder / "made", "manifest.csv")):
        monkeypatch.chdir(place)
        out = sparsekit(command, *[path] * (2 if command == "compare" else 1))
        assert "made" in out, out
