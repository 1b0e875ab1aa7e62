"""Annotations of several people, combined and compared."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score, f1_score

from cli.sparsekit_cli import main
from data_manifests import DataError, Manifest, Mark, read_manifest, read_marks
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.audit.agreement import measure_agreement
from sparsekit.synthesis.combine import combine_manifests, disagreement, unite, vote
from tests.sparsekit.conftest import SCENE, letters, numbered_space, tiny_manifest

VOID = 255
MAPS = st.lists(
    arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 2, VOID])), min_size=2, max_size=5
)  # fmt: skip


@settings(max_examples=150)
@given(maps=MAPS)
def test_union_and_vote_as_written_out_for_each_pixel(maps: list[np.ndarray]) -> None:
    united, voted, differ = unite(maps, VOID), vote(maps, VOID), disagreement(maps, VOID)
    for place in np.ndindex(maps[0].shape):
        labels = [int(one[place]) for one in maps if one[place] != VOID]
        assert united[place] == (labels[0] if labels else VOID)
        first = Counter(labels).most_common(2)
        tie = len(first) == 2 and first[0][1] == first[1][1]
        assert voted[place] == (VOID if not labels or tie else first[0][0])
        assert differ[place] == (len(set(labels)) > 1)


def three(folder: Path) -> list[Manifest]:
    """Three people on two images; the third draws a stroke."""
    space = numbered_space(3)
    stroke = Mark("stroke", 2, 3, 0, ((3, 0), (3, 2)), (1, 1))
    drawn = [[Mark("click", 0, 0, 0), Mark("click", 1, 4, 4)], [Mark("click", 1, 0, 0)], [stroke]]
    maps = [
        letters("0.......", *["........"] * 3, "....1...", *["........"] * 3),
        letters("1.......", *["........"] * 7),
        letters("........", "........", "........", "222.....", *["........"] * 4),
    ]
    return [
        tiny_manifest(
            folder / str(i),
            [SCENE, SCENE.T, SCENE[::-1].copy()],
            [marks] * 3,
            sparse_maps=[sparse] * 3,
            label_space=space,
            num_val=1,
        )
        for i, (marks, sparse) in enumerate(zip(drawn, maps, strict=True))
    ]


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [*map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_union_keeps_all_labels_and_marks(tmp_path: Path) -> None:
    people = three(tmp_path)
    code, _, err = run("merge", *(m.path for m in people), "--union", "--out", tmp_path / "u")
    assert code == 0 and "disagree on 2 pixels of 2 images" in err, err
    united = read_manifest(tmp_path / "u")
    rows = united.rows
    assert [row.num_labelled for row in rows] == [5, 5, 0] and [row.split for row in rows] == ["train", "train", "val"]
    assert read_row_annotation(united, rows[0])[0, 0] == 0
    (_, marks), _ = read_marks(united.marks_path)
    assert [mark.class_id for mark in marks] == [0, 1, 1, 2]
    code, out, err = run("validate", united.path)
    assert code == 0, out + err
    assert united.info.command == "merge" and len(united.info.settings["sources"]) == 3
    assert dict(rows[0].extra)["disagreeing_pixels"] == "1"
    code, _, _ = run("merge", *(m.path for m in people), "--union", "--out", tmp_path / "u")
    assert code == 0  # the same again is kept
    code, _, err = run("merge", *(m.path for m in people), "--vote", "--out", tmp_path / "u")
    assert code == 1 and "--overwrite" in err


def test_vote_leaves_ties_unlabelled(tmp_path: Path) -> None:
    people = three(tmp_path)
    code, out, _ = run("merge", *(m.path for m in people), "--vote", "--out", tmp_path / "v", "--json")
    assert code == 0 and json.loads(out)["images"] == {"train": 2, "val": 1}
    voted = read_manifest(tmp_path / "v")
    sparse = read_row_annotation(voted, voted.rows[0])
    assert sparse[0, 0] == VOID and sparse[4, 4] == 1 and (sparse[3, :3] == 2).all()
    assert not voted.marks_path.exists()
    code, out, _ = run("render", voted.path, "--out", tmp_path / "f")
    assert code == 0


def test_what_does_not_belong_together_is_said(tmp_path: Path) -> None:
    first, second, _ = three(tmp_path)
    fewer = replace(second, rows=second.rows[1:])
    with pytest.raises(DataError, match="1 image is in only one of .*: image_0"):
        combine_manifests([first, fewer], tmp_path / "out", "vote")
    larger = replace(second, rows=(replace(second.rows[0], height=9), *second.rows[1:]))
    with pytest.raises(DataError, match=r"'image_0' is 9x8 \(height x width\) .* but 8x8"):
        combine_manifests([first, larger], tmp_path / "out", "vote")
    other = tiny_manifest(tmp_path / "o", [SCENE] * 3, num_val=1, label_space=numbered_space(4))
    with pytest.raises(DataError, match="have different classes"):
        combine_manifests([first, other], tmp_path / "out", "vote")
    with pytest.raises(ValueError, match="at least two manifests, got 1"):
        combine_manifests([first], tmp_path / "out", "vote")
    with pytest.raises(ValueError, match="is the folder of a source"):
        combine_manifests([first, second], first.path.parent, "vote")
    code, _, err = run("merge", first.path, second.path, "--vote", "--prefix", "--out", tmp_path / "out")
    assert code == 2 and "--prefix is for other images" in err
    assert not (tmp_path / "out").exists()


def test_agreement_is_that_of_scikit_learn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice([0, 1, 2], (2, 30, 40), p=[0.6, 0.3, 0.1]).astype(np.uint8)
    maps = []
    for _ in range(2):
        drawn = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 3, truth.shape), truth)
        drawn[rng.random(truth.shape) < 0.4] = VOID
        maps.append(drawn.astype(np.uint8))
    first, second = (
        tiny_manifest(tmp_path / name, [*truth], [[]] * 2, sparse_maps=[*drawn])
        for name, drawn in zip("ab", maps, strict=True)
    )
    found = measure_agreement(first, second)
    both = (maps[0] != VOID) & (maps[1] != VOID)
    ours, theirs = maps[0][both], maps[1][both]
    assert found.num_common == both.sum() and found.agreeing == pytest.approx((ours == theirs).mean())
    assert found.kappa == pytest.approx(cohen_kappa_score(ours, theirs))
    assert [row["agreement"] for row in found.rows()] == pytest.approx(f1_score(ours, theirs, average=None))
    assert [row["first"] for row in found.rows()] == np.bincount(ours).tolist()
    assert [row["second"] for row in found.rows()] == np.bincount(theirs).tolist()
    code, out, _ = run("agreement", first.path, second.path, "--json")
    assert code == 0 and json.loads(out) == found.to_dict()
    code, out, _ = run("agreement", first.path, second.path)
    assert f"Cohen's kappa is {found.kappa:.3f}" in out and "class_2" in out


def test_agreement_without_common_pixels_or_images(tmp_path: Path) -> None:
    first, second, third = three(tmp_path)
    code, out, _ = run("agreement", second.path, third.path)
    assert code == 0 and "both 0" in out and "kappa is -" in out
    assert measure_agreement(second, second).kappa is None  # one class alone: chance agrees always
    code, _, err = run("agreement", first.path, second.path, "--split", "val")
    assert code == 1 and "no image is annotated in both" in err
