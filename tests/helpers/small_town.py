"""A dataset of five images, and clicks on it."""

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, open_dataset
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from sparsekit.synthesis.annotators import ClickAnnotator
from sparsekit.synthesis.synthesize import synthesize

CLASSES = "id,name\n0,road\n1,car\n2,sky\n"


def save_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def write_town(root):
    """Five images: three to train on (one void everywhere, one with two annotated pixels), two to evaluate."""
    masks = np.random.default_rng(0).integers(0, 3, (5, 12, 16)).astype(np.uint8)
    masks[1] = 255
    masks[2] = 255
    masks[2, 3, 4:6] = 1
    for number, mask in enumerate(masks):
        split = root / ("train" if number < 3 else "val")
        save_mask(split / "masks" / f"{number}.png", mask)
        write_atomically(split / "images" / f"{number}.png", encode_image(np.zeros((12, 16, 3), np.uint8)))
    (root / "classes.csv").write_text(CLASSES)
    return root


def tree(folder):
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(dataset_dir, out, budgets=(3,), **options):
    return synthesize(open_dataset(dataset_dir), ClickAnnotator(tuple(budgets)), out, **options)


def run_until_damaged(mask, dataset_dir, out, **options):
    """Run on a dataset with one mask cut off after the dataset is opened; the mask is whole again afterwards."""
    dataset, whole = open_dataset(dataset_dir), mask.read_bytes()
    mask.write_bytes(whole[:40])
    try:
        with pytest.raises(DataError, match=rf"{mask.name}: the image is damaged"):
            synthesize(dataset, ClickAnnotator((3,)), out, **options)
    finally:
        mask.write_bytes(whole)
