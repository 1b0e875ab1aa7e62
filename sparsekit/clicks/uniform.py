"""Uniform clicks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, Mark
from data_manifests.label_maps import as_label_map
from sparsekit.arguments import as_whole_number
from sparsekit.randomness import ImageStream, require_stream


def sample_clicks(
    label_map: LabelMap, clicks_per_image: int, *, rng: ImageStream, unlabelled_value: int = 255
) -> list[Mark]:
    """Choose annotated pixels of a label map uniformly at random.

    Args:
        label_map: Train ids of any integer type, shape (H, W).
        clicks_per_image: Number of clicks; an image with fewer annotated pixels gets one click on each.
        rng: The image's random stream; equal streams give equal clicks.
        unlabelled_value: The value of void pixels, which are never chosen.

    Returns:
        Clicks in drawing order. The first 20 of 50 clicks are the 20 of a smaller budget.

    Raises:
        ValueError: If ``label_map`` is not an array of ids of shape (H, W), or ``clicks_per_image`` is below 1.

    References:
        Wu et al., "Sparsely Annotated Semantic Segmentation with Adaptive Gaussian Mixtures", CVPR 2023, supplement.

    Example:
        >>> clicks = sample_clicks(np.zeros((4, 4), np.uint8), 3, rng=ImageStream(0, "a", "clicks"))
        >>> [(click.row, click.col) for click in clicks]
        [(3, 0), (3, 1), (0, 1)]
    """
    label_map = as_label_map(label_map)
    require_stream(rng)
    clicks_per_image = as_whole_number("clicks_per_image", clicks_per_image, least=1)
    pixels = PixelRanks(label_map != unlabelled_value)
    positions = [pixels.locate(rank) for rank in draw_distinct(pixels.count, clicks_per_image, rng)]
    return [Mark("click", int(label_map[row, col]), row, col) for row, col in positions]


def draw_distinct(population: int, count: int, rng: ImageStream) -> Iterator[int]:
    """Draw distinct numbers from 0..population-1, each equally likely, in an order that does not depend on ``count``.

    Args:
        population: Size of the range.
        count: How many to draw; at most ``population``.
        rng: Provides one bounded draw per number.
    """
    # Fisher-Yates on a virtual array: only swapped positions are stored.
    swapped: dict[int, int] = {}
    for place in range(min(count, population)):
        chosen = place + rng.below(population - place)
        yield swapped.get(chosen, chosen)
        swapped[chosen] = swapped.pop(place, place)


class PixelRanks:
    """Numbers the pixels of a mask in reading order without listing them."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._mask = mask
        self._first_rank: list[int] = [0]
        if mask.size:  # OpenCV cannot sum an empty array
            in_row = cv2.reduce(mask.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
            self._first_rank += np.cumsum(in_row, dtype=np.int64).tolist()

    @property
    def count(self) -> int:
        """Number of pixels of the mask."""
        return self._first_rank[-1]

    def locate(self, rank: int) -> tuple[int, int]:
        """Return the row and column of the pixel with this number."""
        row = bisect_right(self._first_rank, rank) - 1
        return row, int(self._mask[row].nonzero()[0][rank - self._first_rank[row]])

    def pixels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of all pixels."""
        rows, cols = self._mask.nonzero()
        return rows, cols
