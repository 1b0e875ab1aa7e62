"""Images with their full masks, read ahead in threads while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agmm.errors import TrainingError
from data_manifests import Manifest, ManifestRow
from data_manifests.files.masks import read_mask
from data_manifests.manifest.rows import check_pixels, read_row_image, row_file


class MaskedImage(NamedTuple):
    """An image and its full mask.

    Args:
        row: Its row of the manifest.
        image: RGB in 0..255, uint8, shape (3, H, W).
        target: Train ids of the full mask, int64, shape (H, W); the unlabelled value at void pixels.
    """

    row: ManifestRow
    image: Tensor
    target: Tensor


def read_masked_images(manifest: Manifest, rows: Sequence[ManifestRow], workers: int = 1) -> Iterator[MaskedImage]:
    """Read rows in order, a few ahead.

    Args:
        manifest: Manifest of the rows.
        rows: Rows with full masks.
        workers: Number of threads; decoding runs outside Python's lock.

    Yields:
        One image per row.

    Raises:
        TrainingError: If a row has no full mask, or image and mask differ in size.
        DataError: If a file cannot be read or a mask holds ids outside the label space.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[Future[MaskedImage]] = deque()
        try:
            for row in rows:
                waiting.append(pool.submit(_read, manifest, row))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # after an error, stop reading
            for future in waiting:
                future.cancel()


def require_full_masks(manifest: Manifest, rows: Sequence[ManifestRow]) -> None:
    """Check that each row has a full mask.

    Raises:
        TrainingError: If a row has no full mask.
    """
    if bare := next((row for row in rows if not row.full_mask), None):
        raise TrainingError(f"{manifest.path}: image '{bare.image_id}' has no full mask to compare with.")


def image_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Convert an image of shape (H, W, 3) to a uint8 tensor of shape (3, H, W)."""
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def to_network(image: Tensor, device: torch.device | str) -> Tensor:
    """Convert uint8 of shape (3, H, W) to a batch of one for the network: float32 in 0..1, shape (1, 3, H, W)."""
    return image.to(device)[None].float().div_(255)


def _read(manifest: Manifest, row: ManifestRow) -> MaskedImage:
    require_full_masks(manifest, [row])
    mask_path = row_file(manifest, row.full_mask)
    image = read_row_image(manifest, row)
    values = read_mask(mask_path, manifest.info.mask_encoding)
    target = manifest.label_space.to_train_ids(values, manifest.info.mask_encoding, mask_path)
    if target.shape != image.shape[:2]:
        raise TrainingError(
            f"{mask_path}: the mask is {target.shape[1]}x{target.shape[0]}, but the image of '{row.image_id}' is "
            f"{image.shape[1]}x{image.shape[0]}; both must have the same size."
        )
    check_pixels(mask_path, values, row.full_mask_sha256)
    return MaskedImage(row, image_tensor(image), torch.from_numpy(target.astype(np.int64)))
