"""New splits: exact shares, whole groups, classes shared out evenly, the same on every machine."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import Manifest, ManifestError, ManifestInfo, ManifestRow
from data_manifests.manifest.split import split_manifest
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest


def rows_only(ids, classes=None, split="train"):
    """A manifest whose rows name no files that anyone reads."""
    space = numbered_space(10)
    rows = [
        ManifestRow(i, split, f"{i}.png", "", f"{i}.png", 9, 9, 1, tuple(classes[i]) if classes else (0,)) for i in ids
    ]
    from pathlib import Path

    return Manifest(Path("/made/manifest.csv"), tuple(rows), ManifestInfo(space))


def splits_of(manifest, shares, **options):
    from pathlib import Path

    derived = split_manifest(manifest, Path("/made/new"), shares, **options)
    return {row.image_id: row.split for row in derived.manifest.rows}


class TestByImage:
    @settings(max_examples=40)
    @given(count=st.integers(1, 60), val=st.integers(5, 50), test=st.integers(0, 40), seed=st.integers(0, 9))
    def test_shares_are_exact_to_an_image(self, count, val, test, seed):
        shares = {"val": val / 100} | ({"test": test / 100} if test else {})
        got = Counter(splits_of(rows_only([f"i{i}" for i in range(count)]), shares, seed=seed).values())
        for split, share in (shares | {"train": 1 - sum(shares.values())}).items():
            assert abs(got[split] - share * count) <= 1

    def test_order_of_rows_changes_nothing_and_seeds_do(self):
        manifest = rows_only([f"i{i:02}" for i in range(40)])
        turned = replace(manifest, rows=manifest.rows[::-1])
        assert splits_of(manifest, {"val": 0.3}) == splits_of(turned, {"val": 0.3})
        chosen = {tuple(sorted(splits_of(manifest, {"val": 0.3}, seed=seed).items())) for seed in range(8)}
        assert len(chosen) == 8

    def test_a_split_that_is_known(self):
        """Written down once; it must never change, or published splits would."""
        got = splits_of(rows_only("abcdefgh"), {"val": 0.25})
        assert sorted(i for i, split in got.items() if split == "val") == ["b", "f"]

    def test_only_one_split_is_shared_out(self):
        manifest = rows_only("abcdefgh")
        rows = tuple(replace(row, split="test") if row.image_id in "gh" else row for row in manifest.rows)
        got = splits_of(replace(manifest, rows=rows), {"val": 0.5}, split="train")
        assert Counter(got.values()) == {"train": 3, "val": 3, "test": 2} and got["g"] == got["h"] == "test"

    @pytest.mark.parametrize("shares", [
            {}, {"val": 0.0}, {"val": -0.1}, {"val": 0.7, "test": 0.31}, {"val": math.nan}, {"val": math.inf},
            {"train": 0.5}, {"train": 0.2, "val": 0.2},
        ],
    )  # fmt: skip
    def test_impossible_shares(self, shares):
        with pytest.raises(ValueError, match="shares .*must .*add up to"):
            splits_of(rows_only("abc"), shares)

    def test_unknown_split(self):
        with pytest.raises(ManifestError, match="split 'dev' has no rows"):
            splits_of(rows_only("abc"), {"val": 0.5}, split="dev")


class TestByGroup:
    def test_groups_stay_together(self):
        ids = [f"city{c}_{i:03}" for c in range(12) for i in range(3 + c)]
        got = splits_of(rows_only(ids), {"val": 0.2, "test": 0.1}, by="group")
        cities = defaultdict(set)
        for image_id, split in got.items():
            cities[image_id.split("_")[0]].add(split)
        assert all(len(splits) == 1 for splits in cities.values())
        counts = Counter(got.values())
        assert abs(counts["val"] / len(ids) - 0.2) < 0.03 and abs(counts["test"] / len(ids) - 0.1) < 0.03

    def test_groups_too_large_to_fit_come_as_close_as_can_be(self):
        # The four sequences of CamVid: of 701 images 30 % are 210; 171 or 225 are the closest that add up.
        sizes = {"0001TP": 124, "0006R0": 101, "0016E5": 305, "Seq05VD": 171}
        ids = [f"{name}_{i:04}" for name, size in sizes.items() for i in range(size)]
        for seed in range(3):
            counts = Counter(splits_of(rows_only(ids), {"val": 0.3}, by="group", seed=seed).values())
            assert counts["val"] in (171, 225)

    def test_pattern(self):
        got = splits_of(rows_only(["a1-x", "a1-y", "b2-x", "b2-y"]), {"val": 0.5}, by="group", group_pattern="[a-z]")
        assert got["a1-x"] == got["a1-y"] != got["b2-x"] == got["b2-y"]

    def test_bad_patterns(self):
        with pytest.raises(ValueError, match=r"group pattern '\[' is not a regular expression"):
            splits_of(rows_only("ab"), {"val": 0.5}, by="group", group_pattern="[")
        with pytest.raises(ManifestError, match=r"Image id 'b' does not start with the group pattern 'a'"):
            splits_of(rows_only("ab"), {"val": 0.5}, by="group", group_pattern="a")


class TestByClass:
    @pytest.mark.parametrize("seed", range(5))
    def test_each_class_is_shared_out_more_evenly_than_by_image(self, seed):
        rng = np.random.default_rng(seed)
        classes = {f"i{i:03}": [c for c in range(10) if rng.random() < 0.6 / (c + 1)] for i in range(200)}
        manifest = rows_only(classes, classes)

        def unevenness(by):
            got = splits_of(manifest, {"val": 0.25}, by=by, seed=seed)
            total, val = Counter(), Counter()
            for image_id, present in classes.items():
                total.update(present)
                val.update(present if got[image_id] == "val" else [])
            return max(abs(val[c] - 0.25 * total[c]) for c in total)

        assert unevenness("class") <= 2.5 and unevenness("class") < unevenness("image")

    def test_counts_of_images_are_kept(self):
        classes = {f"i{i}": [i % 3] if i % 4 else [] for i in range(40)}
        counts = Counter(splits_of(rows_only(classes, classes), {"val": 0.25}, by="class").values())
        assert abs(counts["val"] - 10) <= 2 and counts.total() == 40

    def test_classes_come_from_the_full_masks(self, tmp_path):
        plain = np.where(SCENE == 2, 1, SCENE).astype(np.uint8)
        manifest = tiny_manifest(tmp_path, [SCENE, plain, SCENE, plain, plain, plain])  # class 2 has no clicks at all
        for seed in range(6):
            derived = split_manifest(manifest, tmp_path / "new", {"val": 0.5}, by="class", seed=seed, workers=2)
            got = {row.image_id: row.split for row in derived.manifest.rows}
            assert got["image_0"] != got["image_2"]
