"""Scores of single images: written by an evaluation, and compared between two runs by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agmm.errors import TrainingError
from agmm.runs.files import weights_path
from agmm.runs.scores import PER_IMAGE_NAME as PER_IMAGE_NAME
from data_manifests.files.csv import read_whole_table, write_table
from data_manifests.terminal import shell_quote

_COLUMNS = ("split", "protocol", "image_id", "class", "true_pixels", "predicted_pixels", "right_pixels", "iou")


#: Pairs of an image and a class, which take 24 bytes each; ADE20K's 20,210 images of 150 classes make a tenth.
_MOST_CELLS = 1 << 25

#: More move an interval by less than anyone reads.
_MOST_RESAMPLES = 10_000_000

#: Of an image, far above what can be read; sums of many remain exact.
_MOST_PIXELS = 1 << 40


@dataclass(frozen=True)
class ImageCounts:
    """Pixels of one image by class.

    Args:
        image_id: The image.
        true: Pixels of each class in the full mask, shape (C,).
        predicted: Pixels predicted as each class, excluding void, shape (C,).
        right: Correctly predicted pixels of each class, shape (C,).
    """

    image_id: str
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    right: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Difference in mIoU between two runs on the same images, 0..1.

    Args:
        num_images: Images.
        first: mIoU of the first run over all images.
        second: mIoU of the second run.
        first_interval: Ends of the interval of ``first``.
        second_interval: Ends of the interval of ``second``.
        low: Lower end of the interval of the difference, second minus first.
        high: Upper end.
        share_better: Share of the resamples in which the second run is better.
        confidence: Confidence of the intervals.
        num_resamples: Number of resamples of the images.
        seed: Seed of the resamples.
    """

    num_images: int
    first: float
    second: float
    first_interval: tuple[float, float]
    second_interval: tuple[float, float]
    low: float
    high: float
    share_better: float
    confidence: float
    num_resamples: int
    seed: int

    @property
    def difference(self) -> float:
        """mIoU of the second run minus that of the first."""
        return self.second - self.first


def write_per_image(
    path: Path, images: Sequence[ImageCounts], class_names: Sequence[str], split: str, protocol: str
) -> None:
    """Write a row for each image and each class in its mask or prediction, sorted by image.

    Args:
        path: The CSV file; it is replaced.
        images: The counts.
        class_names: In the order of train ids.
        split: Split of the images.
        protocol: How they were segmented, in words.
    """
    rows = []
    for image in sorted(images, key=lambda image: image.image_id):
        union = image.true + image.predicted - image.right
        for k in np.flatnonzero(union).tolist():
            counts = (int(image.true[k]), int(image.predicted[k]), int(image.right[k]))
            rows.append((split, protocol, image.image_id, class_names[k], *counts, image.right[k] / union[k]))
    write_table(path, _COLUMNS, rows)


def read_per_image(path: Path) -> tuple[list[ImageCounts], tuple[str, ...], str]:
    """Read what ``write_per_image`` wrote.

    Returns:
        Counts of the images, sorted by id; names of the classes that occur, sorted; split and protocol in words.

    Raises:
        TrainingError: If the file is missing or damaged.
    """
    if not path.is_file():
        if path.name != PER_IMAGE_NAME:
            raise TrainingError(f"{path}: no such run. Give one with scores by: agmm evaluate RUN MANIFEST --per-image")
        weights_path(path.parent)  # what is no run has no scores to compute
        raise TrainingError(
            f"{path}: no scores of single images. Compute them with: agmm evaluate {shell_quote(path.parent)} MANIFEST "
            "--per-image"
        )
    try:
        _, rows = read_whole_table(path)
        names = tuple(sorted({row["class"] for row in rows}))
        (measured,) = {f"{row['split']} split; {row['protocol']}" for row in rows}
        if (cells := len({row["image_id"] for row in rows}) * len(names)) > _MOST_CELLS:
            raise ValueError(f"{cells:,} pairs of an image and a class, of at most {_MOST_CELLS:,}")
        number = {name: index for index, name in enumerate(names)}
        found: dict[str, NDArray[np.int64]] = {}
        for row in rows:
            counts = found.setdefault(row["image_id"], np.zeros((3, len(names)), np.int64))
            true, predicted, right = (int(row[name]) for name in _COLUMNS[4:7])
            if not 0 <= right <= min(true, predicted) or max(true, predicted) > _MOST_PIXELS:
                raise ValueError(f"{true} true, {predicted} predicted and {right} right pixels")
            counts[:, number[row["class"]]] = true, predicted, right
    except (KeyError, ValueError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}). Evaluate again with --per-image.") from error
    return [ImageCounts(name, *found[name]) for name in sorted(found)], names, measured


def compare_per_image(
    first: Path, second: Path, *, num_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare two runs by a paired bootstrap over images.

    Each resample draws as many images as there are, with replacement, and the same ones for both runs; its mIoU is that
    of the summed pixels, as everywhere. Intervals are those of the percentiles (Efron and Tibshirani, 1993). They tell
    how the choice of images moves a score or the difference, not how another seed would: compare seeds for that. The
    interval of the difference is narrower than those of the scores suggest, as both runs find the same images hard.

    Args:
        first: ``per_image.csv`` of a run.
        second: That of another run on the same images.
        num_resamples: Resamples.
        confidence: Of the intervals, in (0, 1).
        seed: Equal seeds give equal intervals.

    Raises:
        TrainingError: If a file is missing or damaged, or the images, their full masks or the protocols differ.
        ValueError: If the number of resamples or the confidence is out of range.
    """
    if not 1 <= num_resamples <= _MOST_RESAMPLES or not 0 < confidence < 1:
        raise ValueError(
            f"Expected 1 to {_MOST_RESAMPLES:,} resamples and a confidence in (0, 1), got {num_resamples:,} and "
            f"{confidence}."
        )
    (ours, names, how), (theirs, other_names, other_how) = read_per_image(first), read_per_image(second)
    if how != other_how or [image.image_id for image in ours] != [image.image_id for image in theirs]:
        raise TrainingError(
            f"{first} ({how}, {len(ours)} images) and {second} ({other_how}, {len(theirs)} images) have different "
            "images or protocols, so they cannot be paired."
        )
    every = sorted({*names, *other_names})
    stacked = [_stack(images, of, every) for images, of in ((ours, names), (theirs, other_names))]
    if other := [
        image.image_id for image, a, b in zip(ours, stacked[0][2], stacked[1][2], strict=True) if (a != b).any()
    ]:
        raise TrainingError(
            f"{first} and {second} count different true pixels of image '{other[0]}', so their full masks or classes "
            "differ. Evaluate both runs on one manifest."
        )
    num_images, rng = len(ours), np.random.default_rng(seed)
    scores = np.empty((2, num_resamples))
    for i in range(num_resamples):
        weights = np.bincount(rng.integers(num_images, size=num_images), minlength=num_images)
        scores[:, i] = [_mean_iou(of_run, weights) for of_run in stacked]
    differences = scores[1] - scores[0]
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = [(float(low), float(high)) for low, high in (np.quantile(v, ends) for v in (*scores, differences))]
    once = np.ones(num_images, np.int64)
    return Comparison(
        num_images, _mean_iou(stacked[0], once), _mean_iou(stacked[1], once), intervals[0], intervals[1],
        *intervals[2], float((differences > 0).mean()), confidence, num_resamples, seed,
    )  # fmt: skip


def _stack(images: Sequence[ImageCounts], names: Sequence[str], every: Sequence[str]) -> NDArray[np.int64]:
    """Right pixels, union and true pixels of each image and class, shape (3, images, classes)."""
    stacked = np.zeros((3, len(images), len(every)), np.int64)
    columns = [every.index(name) for name in names]
    for i, image in enumerate(images):
        stacked[0, i, columns] = image.right
        stacked[1, i, columns] = image.true + image.predicted - image.right
        stacked[2, i, columns] = image.true
    return stacked


def _mean_iou(stacked: NDArray[np.int64], weights: NDArray[np.int64]) -> float:
    """mIoU over images, each counted as often as its weight; classes that do not occur are excluded."""
    right, union = weights @ stacked[0], weights @ stacked[1]
    return float((right[union > 0] / union[union > 0]).mean())
