from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score
from torchmetrics.classification import MulticlassConfusionMatrix

from agmm.evaluation.metrics import BoundaryIoU, ConfusionMatrix, near_border


def random_pair(seed: int, num_classes: int, size: tuple[int, ...] = (2, 13, 17)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, num_classes, size)
    preds = np.where(rng.random(size) < 0.6, target, rng.integers(0, num_classes, size))
    target[rng.random(size) < 0.1] = 255
    return torch.from_numpy(preds), torch.from_numpy(target)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), num_classes=st.integers(2, 30))
def test_counts_and_scores_equal_scikit_learn_and_torchmetrics(seed: int, num_classes: int) -> None:
    matrix = ConfusionMatrix(num_classes)
    oracle = MulticlassConfusionMatrix(num_classes, ignore_index=255)
    batches = [random_pair(seed + i, num_classes) for i in range(2)]
    for preds, target in batches:
        matrix.update(preds, target, ignore_index=255)
        oracle.update(preds, target)
    preds, target = (torch.cat(part).numpy().ravel() for part in zip(*batches, strict=True))
    preds, target = preds[target != 255], target[target != 255]
    labels = range(num_classes)
    assert torch.equal(matrix.counts, oracle.compute())
    np.testing.assert_array_equal(matrix.counts, confusion_matrix(target, preds, labels=labels))
    there = np.union1d(target, preds)
    iou = np.full(num_classes, np.nan)  # scikit-learn gives absent classes 0
    iou[there] = jaccard_score(target, preds, labels=there, average=None)
    np.testing.assert_allclose(matrix.iou(), iou, rtol=1e-12)
    assert matrix.mean_iou() == pytest.approx(np.nanmean(iou), rel=1e-12)
    assert matrix.pixel_accuracy() == pytest.approx(accuracy_score(target, preds), rel=1e-12)
    recall = recall_score(target, preds, labels=labels, average=None, zero_division=np.nan)
    np.testing.assert_allclose(matrix.class_accuracy(), recall, rtol=1e-12)


def test_classes_in_neither_truth_nor_prediction_are_nan_and_leave_the_mean_alone() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 255]), ignore_index=255)
    assert matrix.iou().tolist()[:2] == [0.5, 0.5]
    assert all(math.isnan(v) for v in matrix.iou().tolist()[2:])
    assert matrix.mean_iou() == 0.5
    matrix.update(torch.tensor([2]), torch.tensor([0]), ignore_index=255)
    assert matrix.iou()[2] == 0  # predicted where it is not: wrong, not absent
    assert math.isnan(float(matrix.class_accuracy()[2]))


def test_nothing_counted_gives_nan() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3, dtype=torch.long), ignore_index=255)
    matrix.update(torch.zeros(2, 3, dtype=torch.long), torch.full((2, 3), 255), ignore_index=255)
    assert matrix.counts.sum() == 0
    assert math.isnan(matrix.mean_iou())
    assert math.isnan(matrix.pixel_accuracy())


@pytest.mark.parametrize("ignore_index", [-1, 3, 255, 65535])
def test_any_value_may_mark_void(ignore_index: int) -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([0, 2]), torch.tensor([ignore_index, 2]), ignore_index=ignore_index)
    assert matrix.counts.nonzero().tolist() == [[2, 2]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_type_counts(dtype: torch.dtype) -> None:
    matrix = ConfusionMatrix(100)
    matrix.update(torch.tensor([99, 98], dtype=dtype), torch.tensor([99, 255], dtype=dtype), ignore_index=255)
    assert matrix.counts.nonzero().tolist() == [[99, 99]]


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        ([0, 1], [0], r"equal shape, got"),
        ([0, 3], [0, 1], "Expected classes 0..2, got 0..3 in preds"),
        ([0, 1], [0, 3], r"0..3 in target"),
        ([0, 1], [-1, 0], "-1..0 in target"),
    ],
)
def test_update_refuses(preds: list[int], target: list[int], message: str) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(torch.tensor(preds), torch.tensor(target), ignore_index=255)
    assert matrix.counts.sum() == 0


def literal_band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """The band of Cheng et al.: a mask less its erosion by ``width`` steps, the image's edge being background."""
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), width=st.integers(1, 4))
def test_border_bands_equal_erosion_class_by_class(seed: int, width: int) -> None:
    label_map = np.kron(np.random.default_rng(seed).integers(0, 3, (4, 5)), np.ones((7, 6), np.int64))
    band = near_border(label_map, width)
    for class_id in range(3):
        mask = label_map == class_id
        np.testing.assert_array_equal(band & mask, literal_band(mask, width))


@pytest.mark.parametrize("seed", range(5))
def test_boundary_iou_equals_the_literal_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = BoundaryIoU(3)
    both, either = np.zeros(3), np.zeros(3)
    for _ in range(2):
        target = np.kron(rng.integers(0, 3, (5, 6)), np.ones((16, 16), np.int64))
        preds = np.roll(target, rng.integers(-3, 4, 2), (0, 1))
        target[30:40, 20:50] = 255
        metric.update(torch.from_numpy(preds), torch.from_numpy(target), ignore_index=255)
        width = round(0.02 * math.hypot(*target.shape))
        assert width == 2
        for class_id in range(3):
            true = literal_band(target == class_id, width)
            found = literal_band((preds == class_id) & (target != 255), width)
            both[class_id] += (true & found).sum()
            either[class_id] += (true | found).sum()
    np.testing.assert_allclose(metric.iou(), both / either)
    assert metric.mean_iou() == pytest.approx((both / either).mean())
    assert 0 < metric.mean_iou() < 1


def test_boundary_iou_is_stricter_on_large_regions_and_one_for_equal_maps() -> None:
    target = torch.zeros(200, 200, dtype=torch.long)
    target[:, 100:] = 1
    preds = torch.roll(target, 4, 1)
    preds[:, :4] = 0
    plain, boundary, equal = ConfusionMatrix(3), BoundaryIoU(3), BoundaryIoU(3)
    plain.update(preds, target, ignore_index=255)
    boundary.update(preds, target, ignore_index=255)
    equal.update(target, target, ignore_index=255)
    assert boundary.mean_iou() < plain.mean_iou()
    assert equal.iou().tolist()[:2] == [1, 1]
    assert math.isnan(float(equal.iou()[2]))
