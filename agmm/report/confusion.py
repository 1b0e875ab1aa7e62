"""A confusion matrix, prepared for display."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelSpace

#: Largest readable matrix; with more classes, it shows those with the most pixels.
_MAX_CONFUSION = 40
_NUM_CONFUSIONS = 8


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix for display.

    Args:
        classes: Train ids of its rows and columns, limited to classes that occur.
        shares: Share of the true class's pixels (rows) predicted as each class, shape (K, K); NaN in rows without
            pixels.
        num_left_out: Number of classes that occur but are not shown.
        worst: Largest confusions, each with true class, predicted class, share of the true class, and pixels.
    """

    classes: tuple[int, ...]
    shares: NDArray[np.float64]
    num_left_out: int
    worst: tuple[tuple[int, int, float, int], ...]

    @classmethod
    def of(cls, record: dict[str, Any], label_space: LabelSpace) -> Confusion:
        """Build it from a record of scores."""
        counts = np.array(record["confusion"], np.int64)
        weight = counts.sum(0) + counts.sum(1)
        occurring = np.flatnonzero(weight)
        most = np.sort(occurring[np.argsort(-weight[occurring], kind="stable")[:_MAX_CONFUSION]])
        with np.errstate(invalid="ignore"):
            shares = counts / counts.sum(1, keepdims=True)
        wrong = counts - np.diag(counts.diagonal())
        order = np.argsort(-wrong, axis=None, kind="stable")[:_NUM_CONFUSIONS]
        pairs = [divmod(int(i), label_space.num_classes) for i in order]
        worst = tuple((t, p, float(shares[t, p]), int(wrong[t, p])) for t, p in pairs if wrong[t, p])
        return cls(tuple(int(c) for c in most), shares[np.ix_(most, most)], len(occurring) - len(most), worst)
