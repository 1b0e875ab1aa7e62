"""Bilinear resizing as a sparse matrix per axis, so that it can be applied in parts and transposed.

``F.interpolate`` resizes whole maps. The losses also need a few rows at a time, a few single pixels, and the adjoint
(the backward pass). Along one axis, resizing is a matrix with two entries per row; this module stores it and its
transpose by rows. All sums run in a fixed order, without atomic additions.

Positions follow ``F.interpolate(mode="bilinear", align_corners=False)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class AxisMap:
    """A linear map along one axis, with few inputs per output.

    Args:
        index: Inputs of each output, shape (out, m).
        weight: Their weights, same shape; 0 where an output has fewer than m.
        first: Position of the first output on the whole axis.
    """

    index: Tensor
    weight: Tensor
    first: int = 0

    def __call__(self, values: Tensor, dim: int) -> Tensor:
        """Map one axis of ``values`` from the size of the input to that of the output."""
        shape = [-1 if d == dim % values.ndim else 1 for d in range(values.ndim)]
        result = values.index_select(dim, self.index[:, 0]).mul_(self.weight[:, 0].view(shape))
        for k in range(1, self.index.shape[1]):
            result.addcmul_(values.index_select(dim, self.index[:, k]), self.weight[:, k].view(shape))
        return result

    def add_to(self, result: Tensor, values: Tensor, dim: int) -> None:
        """Add the outputs to ``result``, which spans the whole axis."""
        result.narrow(dim, self.first, len(self.index)).add_(self(values, dim))


@lru_cache(maxsize=512)
def resize_map(
    in_size: int, out_size: int, device: torch.device, dtype: torch.dtype, start: int = 0, stop: int | None = None
) -> AxisMap:
    """Return the map that resizes an axis from ``in_size`` to ``out_size``, for outputs ``start`` to ``stop``."""
    index, weight = _two_taps(in_size, out_size)
    return _to_device(index[start:stop], weight[start:stop], start, device, dtype)


@lru_cache(maxsize=512)
def adjoint_map(
    in_size: int, out_size: int, device: torch.device, dtype: torch.dtype, start: int = 0, stop: int | None = None
) -> AxisMap:
    """Return the transpose of :func:`resize_map` with the same arguments.

    It maps values at outputs ``start`` to ``stop`` to the input positions they depend on; ``first`` is the first one.
    """
    index, weight = (part[start:stop] for part in _two_taps(in_size, out_size))
    first, last = int(index.min()), int(index.max())
    outputs = [np.flatnonzero(((index == i) & (weight > 0)).any(axis=1)) for i in range(first, last + 1)]
    taps = max(1, *(len(o) for o in outputs)) if outputs else 1
    back_index = np.zeros((len(outputs), taps), np.int64)
    back_weight = np.zeros((len(outputs), taps))
    for row, (i, reads) in enumerate(zip(range(first, last + 1), outputs, strict=True)):
        back_index[row, : len(reads)] = reads
        back_weight[row, : len(reads)] = (weight[reads] * (index[reads] == i)).sum(axis=1)
    return _to_device(back_index, back_weight, first, device, dtype)


def resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the last two axes of ``values``, columns first, because maps usually get wider."""
    height, width = values.shape[-2:]
    columns = resize_map(width, size[1], values.device, values.dtype)
    rows = resize_map(height, size[0], values.device, values.dtype)
    return rows(columns(values, -1), -2)


@lru_cache(maxsize=64)
def _two_taps(in_size: int, out_size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    position = np.maximum((np.arange(out_size) + 0.5) * (in_size / out_size) - 0.5, 0.0)
    lower = np.minimum(np.floor(position).astype(np.int64), in_size - 1)
    upper = np.minimum(lower + 1, in_size - 1)
    fraction = position - lower
    return np.stack([lower, upper], axis=1), np.stack([1.0 - fraction, fraction], axis=1)


def _to_device(
    index: NDArray[np.int64], weight: NDArray[np.float64], first: int, device: torch.device, dtype: torch.dtype
) -> AxisMap:
    # Maps are cached, and one created in inference mode must also work in training.
    with torch.inference_mode(False):
        return AxisMap(
            torch.as_tensor(index, device=device), torch.as_tensor(weight, dtype=dtype, device=device), first
        )
