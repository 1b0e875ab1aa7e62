"""One's own augmentation: image, masks and labelled points change together and repeatably."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from agmm.config.data import Augmentation
from agmm.data.dataset import ManifestDataset, Sample
from agmm.errors import TrainingError
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest

SIZE = (64, 96)
WHOLE = Augmentation(SIZE, scale=(1, 1), flip=False)


def dataset(folder: Path, transform: Any, augmentation: Augmentation = WHOLE, supervision: str = "sparse") -> Any:
    manifest = read_manifest(tiny_manifest(folder, size=SIZE) if not folder.exists() else folder)
    return ManifestDataset(manifest, manifest.rows_of("train"), augmentation, supervision, 0, transform)  # type: ignore[arg-type]


def flip(image: Any, masks: Any, keypoints: Any) -> dict[str, Any]:
    points = keypoints.copy()
    points[:, 0] = image.shape[1] - 1 - points[:, 0]
    return {"image": image[:, ::-1], "masks": [m[:, ::-1] for m in masks], "keypoints": points}


def same(a: Sample, b: Sample) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("supervision", ["sparse", "full"])
def test_a_flip_of_image_and_labels(tmp_path: Path, supervision: str) -> None:
    small = Augmentation((100, 100), scale=(0.7, 0.9), flip=False)  # with padding
    plain = dataset(tmp_path / "data", None, small, supervision)
    for n in range(3):
        before, after = plain[n, n], dataset(tmp_path / "data", flip, small, supervision)[n, n]
        for name in ("image", "target", "valid"):
            assert torch.equal(getattr(after, name), getattr(before, name).flip(1)), name
        assert torch.equal(after.image_classes, before.image_classes) and after.soft_classes.shape == (0, 100, 100)


@pytest.mark.parametrize("supervision", ["sparse", "full"])
def test_a_part_of_the_image_and_pixels_made_invalid(tmp_path: Path, supervision: str) -> None:
    def shift(image: Any, masks: Any, keypoints: Any) -> dict[str, Any]:
        """Move by 8 pixels to the right and cut to 40 columns; what comes in is black and labelled 0."""
        moved = [np.pad(m, ((0, 0), (8, 0)))[:, :40] for m in masks]
        image = np.pad(image, ((0, 0), (8, 0), (0, 0)))[:, :40]
        return {"image": image, "masks": moved, "keypoints": keypoints + np.array([8, 0, 0])}

    before = dataset(tmp_path / "data", None, supervision=supervision)[0, 1]
    after = dataset(tmp_path / "data", shift, supervision=supervision)[0, 1]
    assert after.image.shape == (64, 40, 3)
    assert not after.valid[:, :8].any() and after.valid[:, 8:].all()
    assert (after.target[:, :8] == 255).all() and torch.equal(after.target[:, 8:], before.target[:, :32])


def noisy(image: Any, masks: Any, keypoints: Any) -> dict[str, Any]:
    """Draw from every global generator."""
    shift = random.randrange(20) + int(np.random.randint(20)) + int(torch.randint(20, ()))  # noqa: NPY002
    return {"image": image + np.uint8(shift), "masks": masks, "keypoints": keypoints}


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_depend_on_seed_and_number_alone(tmp_path: Path, workers: int) -> None:
    data = dataset(tmp_path / "data", noisy)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index] # noqa: NPY002
    expected = [data[number, i].image for number in range(2) for i in range(3)]
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[2])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index] # noqa: NPY002
    loader = DataLoader(data, num_workers=workers)
    found = [image for _ in range(2) for batch in loader for image in batch.image]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len({image.numpy().tobytes() for image in expected}) > 4


def test_albumentations(tmp_path: Path) -> None:
    a = pytest.importorskip("albumentations", reason="needs albumentations")
    points = a.KeypointParams(format="xy")
    flipped = dataset(tmp_path / "data", a.Compose([a.HorizontalFlip(p=1)], keypoint_params=points))
    assert same(flipped[4, 2], dataset(tmp_path / "data", flip)[4, 2])
    turn = a.Compose([a.Rotate(limit=(40, 40), p=1), a.RandomCrop(32, 48)], keypoint_params=points)
    data, again = (dataset(tmp_path / "data", turn) for _ in range(2))
    sample = data[0, 0]
    assert sample.image.shape == (32, 48, 3) and not same(sample, data[1, 0])
    again[3, 1]
    assert same(sample, again[0, 0])
    dense = dataset(tmp_path / "data", turn, supervision="full")
    agree = total = 0
    for n in range(30):  # turned points lie on the turned mask
        sparse, full = data[n, n % 3].target, dense[n, n % 3].target
        agree += int((sparse == full)[sparse != 255].sum())
        total += int((sparse != 255).sum())
    assert total > 20 and agree / total > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {"image": r["image"], "masks": r["masks"]}, "returned no keypoints"),
        (lambda r: r | {"image": r["image"] / 255.0}, r"an image of uint8 .*got float64"),
        (lambda r: r | {"image": r["image"].transpose(2, 0, 1)}, r"shape \(h, w, 3\), got uint8 and \(3, 64, 96\)"),
        (lambda r: r | {"image": r["image"][:32]}, r"1 masks of the image's size \(32, 96\), got \[\(64, 96\)\]"),
        (lambda r: r | {"masks": []}, "must return 1 masks"),
    ],
    ids=["keypoints", "float", "channels first", "size", "masks"],
)
def test_wrong_results_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    data = dataset(tmp_path / "data", lambda **given: change(given))
    with pytest.raises(ValueError, match=message):
        data[0]


def test_soft_labels_and_a_transform_do_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agmm.data.dataset.has_soft_labels", lambda manifest: True)
    with pytest.raises(TrainingError, match="soft labels"):
        dataset(tmp_path / "data", flip)
