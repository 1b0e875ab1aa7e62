from __future__ import annotations

import numpy as np
import pytest

from agmm.report.mixture_summary import summarize_mixtures
from agmm.report.predictions import FittedMixture


def mixture(classes: list[int], prototypes: list[list[float]], variance: list[float]) -> FittedMixture:
    labelled = np.full(len(classes), 3)
    return FittedMixture(np.array(classes), np.array(prototypes, np.float32), np.array(variance, np.float32), labelled)


def test_classes_over_images() -> None:
    found = summarize_mixtures(
        [
            mixture([0, 2], [[0.0, 0.0], [4.0, 0.0]], [1.0, 5.0]),
            mixture([0, 3], [[0.0, 2.0], [4.0, 3.0]], [3.0, 7.0]),
        ]
    )
    assert [(m.class_id, m.num_images, m.num_labelled) for m in found] == [(0, 2, 6), (2, 1, 3), (3, 1, 3)]
    first, second, third = found
    assert first.variance == 2.0 and first.variance_range == pytest.approx((1.2, 2.8)) and first.spread == 1.0
    # means: class 0 at (0, 1), class 2 at (4, 0), class 3 at (4, 3)
    assert first.nearest == 2 and first.distance == pytest.approx(17**0.5)
    assert (second.nearest, second.distance, second.spread) == (3, 3.0, 0.0) and third.nearest == 2


def test_one_class_and_none() -> None:
    (only,) = summarize_mixtures([mixture([1], [[1.0]], [2.0])])
    assert only.nearest is None and only.distance is None
    assert summarize_mixtures([]) == []
