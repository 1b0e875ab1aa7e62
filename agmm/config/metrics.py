"""Scores of a whole evaluation, by name; stored scores, studies and reports use this list."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """A score of a whole evaluation.

    Args:
        title: Its name in tables.
        method: Method of ``agmm.ConfusionMatrix`` that computes it: a share 0..1, NaN if undefined.
    """

    title: str
    method: str


#: In the order of tables. The first one selects the best epoch.
METRICS: dict[str, Metric] = {
    "miou": Metric("mIoU", "mean_iou"),
    "pixel_accuracy": Metric("pixel accuracy", "pixel_accuracy"),
}
