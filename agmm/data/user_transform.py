"""The hook for a user's own augmentation: a callable that changes a sample's image and labels together."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_manifests.label_maps import LabelMap

#: Called as ``transform(image=..., masks=..., keypoints=...)``; see ``ManifestDataset``.
Transform = Callable[..., Mapping[str, Any]]


def apply_transform(
    transform: Transform,
    image: NDArray[np.uint8],
    target: LabelMap,
    valid: NDArray[np.bool_],
    *,
    sparse: bool,
    ignore_index: int,
    seed: int,
) -> tuple[NDArray[np.uint8], LabelMap, NDArray[np.bool_]]:
    """Call a transform on a sample.

    Args:
        transform: The callable.
        image: Shape (h, w, bands).
        target: Train ids, shape (h, w).
        valid: Pixels of the image, shape (h, w).
        sparse: Whether labels are points, or areas.
        ignore_index: Value of pixels without a label.
        seed: Equal seeds give equal results, if the transform draws from a global generator or has
            ``set_random_seed``.

    Returns:
        Image, target and valid pixels after the transform.

    Raises:
        ValueError: If it does not return what it must.
    """
    rows, cols = np.nonzero(target != ignore_index) if sparse else (np.empty(0, int),) * 2
    points = np.stack([cols, rows, target[rows, cols]], axis=1).astype(np.float32)
    masks = [valid.astype(np.uint8)] + ([] if sparse else [target])
    with _seeded(transform, seed):
        result = transform(image=image, masks=masks, keypoints=points)
    image, masks = _checked(result, len(masks), image)
    valid = masks[0].astype(np.bool_)
    if sparse:
        moved = np.asarray(result["keypoints"], np.float64).reshape(-1, 3)
        target = _draw(moved, np.full(valid.shape, ignore_index, target.dtype))
    else:
        target = masks[1]
    return image, np.where(valid, target, target.dtype.type(ignore_index)), valid


def _checked(
    result: Mapping[str, Any], num_masks: int, before: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], list[LabelMap]]:
    if missing := [key for key in ("image", "masks", "keypoints") if key not in result]:
        raise ValueError(f"The transform must return image, masks and keypoints, but returned no {missing[0]}.")
    image, masks = np.asarray(result["image"]), [np.asarray(mask) for mask in result["masks"]]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != before.shape[2]:
        raise ValueError(
            f"The transform must return an image of uint8 and shape (h, w, {before.shape[2]}), got {image.dtype} and "
            f"{image.shape}; leave normalisation and conversion to tensors out, the network does both."
        )
    if len(masks) != num_masks or any(mask.shape != image.shape[:2] for mask in masks):
        raise ValueError(
            f"The transform must return {num_masks} masks of the image's size {image.shape[:2]}, got "
            f"{[mask.shape for mask in masks]}."
        )
    return image, masks


def _draw(points: NDArray[np.float64], target: LabelMap) -> LabelMap:
    """Draw points (x, y, class id), with pixel centres at whole numbers; those outside are dropped."""
    cols, rows, class_ids = np.rint(points).astype(np.int64).T
    inside = (rows >= 0) & (rows < target.shape[0]) & (cols >= 0) & (cols < target.shape[1])
    target[rows[inside], cols[inside]] = class_ids[inside]
    return target


@contextmanager
def _seeded(transform: Transform, seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch, and the transform's own; restore the global ones."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    if hasattr(transform, "set_random_seed"):  # of albumentations
        transform.set_random_seed(seed)
    with torch.random.fork_rng(devices=[]):
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
