"""The confusion matrix as a torchmetrics ``Metric``, for Lightning and other loops; needs the extra ``metrics``."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from agmm.config.metrics import METRICS
from agmm.distributed import widest_float
from agmm.evaluation.metrics import ConfusionMatrix


class SegmentationScores(Metric):
    """Scores of a whole split, as ``agmm evaluate`` computes them: mIoU over the classes that occur, pixel accuracy.

    Args:
        num_classes: Number of classes.
        ignore_index: Pixels with this target are ignored.

    Example:
        >>> scores = SegmentationScores(2)
        >>> scores.update(torch.tensor([[0, 1, 0]]), torch.tensor([[0, 1, 1]]))
        >>> scores.compute()
        {'miou': tensor(0.5000, dtype=torch.float64), 'pixel_accuracy': tensor(0.6667, dtype=torch.float64)}
    """

    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch.

        Args:
            preds: Predicted classes, shape (N, H, W), or scores of the classes, floating, shape (N, C, H, W).
            target: True classes, shape (N, H, W).

        Raises:
            ValueError: If the shapes do not fit or a class lies outside 0..num_classes-1.
        """
        self._matrix().update(preds.argmax(1) if preds.is_floating_point() else preds, target, self.ignore_index)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name, 0..1, float64; NaN if undefined."""
        matrix, device = self._matrix(), self.counts.device
        return {
            name: torch.tensor(getattr(matrix, metric.method)(), dtype=widest_float(device), device=device)
            for name, metric in METRICS.items()
        }

    def iou(self) -> Tensor:
        """IoU of each class over the pixels of this process, shape (C,), float64; NaN for absent classes."""
        return self._matrix().iou()

    def _matrix(self) -> ConfusionMatrix:
        """A confusion matrix that shares the counts."""
        matrix = ConfusionMatrix(self.num_classes, self.counts.device)
        matrix.counts = self.counts
        return matrix
