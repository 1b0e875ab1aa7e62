"""What a training says about itself before it begins."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agmm.training.train import notices, train_network
from data_manifests import Manifest, read_manifest, write_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from tests.agmm.conftest import tiny_manifest
from tests.helpers.trainings import CONFIG, log_of


@pytest.mark.parametrize("lacking", ["full masks", "validation"])
def test_training_images_that_cannot_be_scored_are_told(
    lacking: str, seven: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = seven
    if lacking == "full masks":
        rows = tuple(
            replace(row, full_mask="", full_mask_sha256="") if row.split == "train" else row for row in seven.rows
        )
        without = replace(seven, path=seven.path.with_name("bare.csv"), rows=rows)
        write_manifest(without)
    config = replace(CONFIG, epochs=1, gmm_images=2, val_split="val" if lacking == "full masks" else "none")
    train_network(without, config, tmp_path / "run")
    assert "Warning: no training image is scored, although gmm_images is 2" in capsys.readouterr().err
    train_network(seven, replace(CONFIG, epochs=1, gmm_images=1), tmp_path / "other")
    assert "Warning" not in capsys.readouterr().err


@pytest.mark.parametrize(("num_classes", "warned"), [(1, True), (2, False)])
def test_a_single_class_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], num_classes: int, warned: bool
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=2, num_classes=num_classes))
    train_network(manifest, replace(CONFIG, accumulate=1, epochs=1), tmp_path / "run")
    assert ("Warning: 'c0' is the only class" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(
    ("labelled", "supervision", "told"),
    [
        ((0, 1, 2, 3), "sparse", ""),
        ((0, 3), "sparse", "Warning: no pixel of split 'train' is labelled c1, c2: the network cannot learn"),
        ((), "full", ""),
    ],
)
def test_classes_that_are_never_labelled_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labelled: tuple[int, ...], supervision: Any, told: str
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=3, splits=("train", "train", "val")))
    rows = []
    for row in manifest.rows:
        if row.annotation:
            sparse = read_mask(manifest.resolve(row.annotation)).copy()
            sparse[~np.isin(sparse, labelled)] = 255
            write_atomically(manifest.resolve(row.annotation), encode_label_map(sparse, manifest.label_space))
            present = tuple(np.unique(sparse[sparse != 255]).tolist())
            row = replace(
                row, num_labelled=int((sparse != 255).sum()), classes_labelled=present,
                annotation_sha256=pixel_sha256(sparse),
            )  # fmt: skip
        rows.append(row)
    write_manifest(replace(manifest, rows=tuple(rows)))
    config = replace(CONFIG, accumulate=1, epochs=1, supervision=supervision)
    train_network(read_manifest(manifest.path), config, tmp_path / "run")
    warnings = [line for line in capsys.readouterr().err.splitlines() if "is labelled" in line]
    assert [line[: len(told)] for line in warnings] == ([told] if told else [])
    assert math.isfinite(float(log_of(tmp_path / "run")[0]["loss"]))


@pytest.mark.parametrize(("warmup_steps", "warned"), [(1, False), (2, True), (500, True)])
def test_a_warmup_that_outlasts_the_training_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], warmup_steps: int, warned: bool
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=4))
    # Three images in batches of two make one step of each of two epochs.
    config = replace(CONFIG, accumulate=1, epochs=2, val_split="test", warmup_steps=warmup_steps)
    train_network(manifest, config, tmp_path / "run")
    warning = f"warmup_steps is {warmup_steps}, but the run has only 2 steps"
    assert (warning in capsys.readouterr().err) == warned


def test_settings_that_only_agmm_reads_are_told(seven: Manifest, tmp_path: Path) -> None:
    def told(**changes: Any) -> str:
        return "\n".join(notices(seven, replace(CONFIG, **changes), 0, 100))

    warning = "Warning: lambda without effect: loss_kind is entropy"
    assert warning in told(loss_kind="entropy", lambda_=0.5)
    assert "without effect" not in told(loss_kind="entropy") + told(lambda_=0.5, preset="released")
    only = {"use_self": False, "use_spar": False, "use_con": False}
    assert "The loss is cross-entropy alone." in told(loss=only) and "alone" not in told()
