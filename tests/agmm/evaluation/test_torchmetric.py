"""The scores as a torchmetrics Metric equal torchmetrics' own and those of ConfusionMatrix."""

from __future__ import annotations

import pytest
import torch

torchmetrics = pytest.importorskip("torchmetrics", reason="needs torchmetrics")

from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex  # noqa: E402

from agmm.evaluation.metrics import ConfusionMatrix  # noqa: E402
from agmm.evaluation.torchmetric import SegmentationScores  # noqa: E402


def random_batches(num_classes: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(3):
        target = torch.randint(num_classes, (2, 8, 9), generator=generator)
        target[torch.rand(target.shape, generator=generator) < 0.3] = 255
        found.append((torch.randn(2, num_classes, 8, 9, generator=generator), target))
    return found


def test_equals_torchmetrics_and_the_confusion_matrix() -> None:
    scores, matrix = SegmentationScores(5), ConfusionMatrix(5)
    theirs = MulticlassConfusionMatrix(5, ignore_index=255)
    jaccard = MulticlassJaccardIndex(5, ignore_index=255)
    accuracy = MulticlassAccuracy(5, average="micro", ignore_index=255)
    for number, (logits, target) in enumerate(random_batches()):
        scores.update(logits if number else logits.argmax(1), target)
        matrix.update(logits.argmax(1), target, 255)
        for metric in (theirs, jaccard, accuracy):
            metric.update(logits, target)
    assert torch.equal(scores.counts, theirs.compute()) and torch.equal(scores.counts, matrix.counts)
    found = scores.compute()
    assert float(found["miou"]) == matrix.mean_iou() == pytest.approx(float(jaccard.compute()))
    assert float(found["pixel_accuracy"]) == matrix.pixel_accuracy() == pytest.approx(float(accuracy.compute()))
    assert torch.equal(scores.iou(), matrix.iou())
    scores.reset()
    assert not scores.counts.any()
    scores.update(torch.tensor([3]), torch.tensor([255]))
    assert scores.compute()["miou"].isnan()


def test_forward_clone_and_sum() -> None:
    scores = SegmentationScores(5)
    whole = scores.clone()
    for logits, target in random_batches():
        batch = scores(logits, target)  # the scores of the batch alone
        alone = SegmentationScores(5)
        alone.update(logits, target)
        assert float(batch["miou"]) == float(alone.compute()["miou"])
        whole.update(logits, target)
    assert torch.equal(scores.counts, whole.counts)
    assert scores._reductions["counts"] is torchmetrics.utilities.dim_zero_sum  # over processes


def test_wrong_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected classes 0\.\.1"):
        SegmentationScores(2).update(torch.tensor([2]), torch.tensor([0]))
