"""Scores of single images, and the paired bootstrap over them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import bootstrap

from agmm.errors import TrainingError
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.evaluation.per_image import (
    PER_IMAGE_NAME,
    ImageCounts,
    compare_per_image,
    read_per_image,
    write_per_image,
)
from cli.agmm_cli import main
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.agmm.report.written_runs import SEG, write_run

NAMES = ("sky", "road", "car")


def some_counts(seed: int, num_images: int = 12, better: float = 0.0) -> list[ImageCounts]:
    rng = np.random.default_rng(seed)
    images = []
    for number in range(num_images):
        true = np.random.default_rng(number).integers(50, 200, 3)
        right = (true * np.clip(rng.uniform(0.3, 0.8, 3) + better, 0, 1)).astype(np.int64)
        predicted = right + rng.integers(0, 60, 3)
        images.append(ImageCounts(f"image_{number:02}", true, predicted, right))
    return images


def literal_miou(images: list[ImageCounts]) -> float:
    ious = []
    for k in range(len(NAMES)):
        right = union = 0
        for image in images:
            right += int(image.right[k])
            union += int(image.true[k]) + int(image.predicted[k]) - int(image.right[k])
        if union:
            ious.append(right / union)
    return sum(ious) / len(ious)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    for name, seed, better in (("a", 100, 0.0), ("b", 200, 0.1)):
        write_per_image(tmp_path / f"{name}.csv", some_counts(seed, better=better), NAMES, "val", "whole")
    return tmp_path / "a.csv", tmp_path / "b.csv"


def test_the_bootstrap_is_the_literal_one(two: tuple[Path, Path]) -> None:
    found = compare_per_image(*two, num_resamples=300, seed=5)
    ours, theirs = some_counts(100), some_counts(200, better=0.1)
    rng, differences, scores = np.random.default_rng(5), [], []
    for _ in range(300):
        drawn = rng.integers(12, size=12)
        scores.append([literal_miou([counts[i] for i in drawn]) for counts in (ours, theirs)])
        differences.append(scores[-1][1] - scores[-1][0])
    intervals = np.percentile(scores, [2.5, 97.5], axis=0).T
    assert found.first_interval == pytest.approx(tuple(intervals[0]))
    assert found.second_interval == pytest.approx(tuple(intervals[1]))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))
    assert found.share_better == np.mean(np.array(differences) > 0)
    assert (found.first, found.second) == pytest.approx((literal_miou(ours), literal_miou(theirs)))
    assert compare_per_image(*two, num_resamples=300, seed=5) == found


def test_the_interval_is_near_that_of_scipy(two: tuple[Path, Path]) -> None:
    found = compare_per_image(*two, num_resamples=4000)
    ours, theirs = some_counts(100), some_counts(200, better=0.1)

    def difference(drawn: np.ndarray) -> float:
        return literal_miou([theirs[i] for i in drawn]) - literal_miou([ours[i] for i in drawn])

    interval = bootstrap(
        (np.arange(12),), difference, vectorized=False, method="percentile", n_resamples=1500, random_state=1
    ).confidence_interval
    width = interval.high - interval.low
    assert found.low == pytest.approx(interval.low, abs=0.1 * width)
    assert found.high == pytest.approx(interval.high, abs=0.1 * width)


def test_a_run_against_itself_differs_in_nothing(two: tuple[Path, Path]) -> None:
    found = compare_per_image(two[0], two[0], num_resamples=50)
    assert (found.difference, found.low, found.high, found.share_better) == (0, 0, 0, 0)


def test_only_the_same_images_are_paired(two: tuple[Path, Path], tmp_path: Path) -> None:
    write_per_image(tmp_path / "few.csv", some_counts(1, 11), NAMES, "val", "whole")
    write_per_image(tmp_path / "other.csv", some_counts(1), NAMES, "val", "sliding")
    for name in ("few.csv", "other.csv"):
        with pytest.raises(TrainingError, match="different images or protocols"):
            compare_per_image(two[0], tmp_path / name)
    with pytest.raises(TrainingError, match="agmm evaluate .* MANIFEST --per-image"):
        compare_per_image(two[0], tmp_path / "none.csv")
    (tmp_path / "damaged.csv").write_text("split,protocol\nval,whole\n")
    with pytest.raises(TrainingError, match="damaged"):
        compare_per_image(two[0], tmp_path / "damaged.csv")


@pytest.mark.parametrize("number", [0, 10**12])
def test_absurd_numbers_of_resamples_are_refused(two: tuple[Path, Path], number: int) -> None:
    with pytest.raises(ValueError, match="Expected 1 to 10,000,000 resamples"):
        compare_per_image(*two, num_resamples=number)


def test_images_of_other_masks_or_classes_are_not_paired(two: tuple[Path, Path], tmp_path: Path) -> None:
    counts = some_counts(100)
    write_per_image(tmp_path / "classes.csv", counts, ("sea", "road", "car"), "val", "whole")
    counts[7] = replace(counts[7], true=counts[7].true + 1)
    write_per_image(tmp_path / "masks.csv", counts, NAMES, "val", "whole")
    for name, image in (("classes.csv", "image_00"), ("masks.csv", "image_07")):
        with pytest.raises(TrainingError, match=f"true pixels of image '{image}'"):
            compare_per_image(two[0], tmp_path / name)


@pytest.mark.parametrize("counts", ["10,8,9", "-1,8,-1", "10,8," + "9" * 30, "9" * 30 + ",8,8"])
def test_counts_that_cannot_be_are_refused(two: tuple[Path, Path], tmp_path: Path, counts: str) -> None:
    header = two[0].read_text().splitlines()[0]
    (tmp_path / "odd.csv").write_text(f"{header}\nval,whole,a,road,{counts},0.5\n")
    with pytest.raises(TrainingError, match=r"odd\.csv: damaged"):
        compare_per_image(two[0], tmp_path / "odd.csv")


def test_more_images_and_classes_than_memory_holds_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Six megabytes that asked for terabytes."""
    header = two[0].read_text().splitlines()[0]
    rows = "".join(f"val,whole,i{n},c{n},1,1,1,1\n" for n in range(200_000))
    (tmp_path / "bomb.csv").write_text(f"{header}\n{rows}")
    with pytest.raises(TrainingError, match="pairs of an image and a class"):
        compare_per_image(two[0], tmp_path / "bomb.csv")


def test_through_the_command_line(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, num_images=8))
    for name, settings in (("seg", {"loss": SEG}), ("agmm", {})):
        write_run(tmp_path / name, manifest, scores=None, **settings)  # type: ignore[arg-type]
    arguments = ["evaluate", tmp_path / "seg", manifest.path, "--per-image", "--device", "cpu"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    (record,) = evaluate_run(tmp_path / "agmm", manifest, device="cpu", per_image=True)
    images, names, measured = read_per_image(tmp_path / "agmm" / PER_IMAGE_NAME)
    assert [image.image_id for image in images] == [row.image_id for row in manifest.rows_of("val")]
    total = np.array(record["confusion"])
    of_classes = dict(zip(names, sum(image.true for image in images), strict=True))
    for k, name in enumerate(manifest.label_space.class_names):
        assert of_classes.get(name, 0) == total[k].sum()
    assert measured.startswith("val split")
    arguments = ["compare", tmp_path / "seg", tmp_path / "agmm", "--resamples", 100, "--json"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["second"] == pytest.approx(record["miou"]) and told["low"] <= told["high"]
    arguments[1] = tmp_path / "seg/weights.safetensors"  # the weights stand for their run, as for evaluate
    shown = CliRunner().invoke(main, list(map(str, arguments[:-1]))).stdout.splitlines()
    low, high = told["second_interval"]
    assert f"difference: {100 * told['difference']:+.2f} points, 95 % interval" in shown[2]
    assert f"mIoU {100 * told['second']:.2f} %, 95 % interval {100 * low:.2f} to {100 * high:.2f}" in shown[1]
