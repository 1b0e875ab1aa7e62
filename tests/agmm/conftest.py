"""A tiny dataset with its manifest, and a training on it, which tests of agmm share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from data_manifests import LabelClass, LabelSpace, Manifest, ManifestInfo, ManifestRow, read_manifest, write_manifest
from data_manifests.colors import voc_color
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map, pixel_sha256


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    try:
        import torch
    except ImportError:  # not at the top: without torch, pytest could not even collect the tests that need none
        return
    torch.set_num_threads(1)  # the networks here are so small that threads only get in each other's way


def tiny_label_space(num_classes: int = 4) -> LabelSpace:
    """Classes c0, c1, ... in VOC colours."""
    return LabelSpace("tiny", tuple(LabelClass(f"c{i}", voc_color(i + 1), (i,)) for i in range(num_classes)))


def tiny_scene(
    rng: np.random.Generator, size: tuple[int, int], num_classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image of upright bands, each a class in its own colour with noise, and its label map (last row void)."""
    height, width = size
    inner = np.sort(rng.choice(np.arange(4, width - 4), num_classes - 1, replace=False))
    bands = np.searchsorted(inner, np.arange(width), side="right")
    order = rng.permutation(num_classes)
    label_map = np.tile(order[bands].astype(np.uint8), (height, 1))
    colors = np.array([voc_color(i + 1) for i in range(num_classes)])
    image = np.clip(colors[label_map] + rng.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8)
    label_map[-1] = 255
    return image, label_map


def tiny_manifest(
    folder: Path,
    num_images: int = 4,
    size: tuple[int, int] = (64, 96),
    num_classes: int = 4,
    splits: Sequence[str] = ("train", "train", "train", "val"),
    clicks: int = 12,
    seed: int = 0,
) -> Path:
    """Write images, full masks, clicks and a manifest; return the path of ``manifest.csv``.

    Args:
        folder: Receives images/, masks/, annotations/, manifest.csv and manifest.json.
        num_images: Images a00, a01, ...
        size: Height and width of each.
        num_classes: Each occurs in every image.
        splits: Split of each image, repeated as often as needed; only ``train`` rows are annotated.
        clicks: Labelled pixels per annotated image.
        seed: Of the images and clicks.
    """
    space = tiny_label_space(num_classes)
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(num_images):
        image_id, split = f"a{index:02d}", splits[index % len(splits)]
        image, full = tiny_scene(rng, size, num_classes)
        chosen = rng.choice(np.flatnonzero(full != 255), clicks, replace=False)
        sparse = np.full(full.shape, 255, np.uint8)
        sparse.flat[chosen] = full.flat[chosen]
        write_atomically(folder / f"images/{image_id}.png", encode_image(image))
        write_atomically(folder / f"masks/{image_id}.png", encode_label_map(full, space))
        row = ManifestRow(
            image_id, split, f"images/{image_id}.png", f"masks/{image_id}.png", "", *size,
            full_mask_sha256=pixel_sha256(full),
        )  # fmt: skip
        if split == "train":
            write_atomically(folder / f"annotations/{image_id}.png", encode_label_map(sparse, space))
            labelled = tuple(int(c) for c in np.unique(sparse[sparse != 255]))
            row = ManifestRow(
                image_id, split, row.image, row.full_mask, f"annotations/{image_id}.png", *size,
                clicks, labelled, row.full_mask_sha256, pixel_sha256(sparse),
            )  # fmt: skip
        rows.append(row)
    write_manifest(Manifest(folder / "manifest.csv", tuple(rows), ManifestInfo(space, dataset="tiny")))
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Seven images, of which one in four is held back."""
    return read_manifest(tiny_manifest(tmp_path_factory.mktemp("seven"), num_images=7))


@pytest.fixture(scope="session")
def undisturbed(seven: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on them from the first to the last epoch."""
    from agmm.training.train import train_network  # imports torch and timm, which few tests need
    from tests.helpers.trainings import CONFIG

    run_dir = tmp_path_factory.mktemp("run") / "first"
    train_network(seven, CONFIG, run_dir, quiet=True)
    return run_dir
