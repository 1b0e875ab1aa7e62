"""Counts of values."""

from __future__ import annotations

import numpy as np
import pytest

from data_manifests.label_maps import count_bytes, count_values


@pytest.mark.parametrize("longest_run", [1, 3, 100, 5000])
@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (40, 50), (50, 77)])
def test_counts_of_short_and_long_runs_are_those_of_numpy(shape, longest_run):
    rng = np.random.default_rng(longest_run)
    lengths = rng.integers(1, longest_run + 1, shape[0] * shape[1] + 1)
    runs = np.repeat(rng.integers(0, 256, len(lengths)).astype(np.uint8), lengths)
    values = runs[: shape[0] * shape[1]].reshape(shape)
    counts = count_bytes(values)
    assert counts.dtype == np.int64
    assert counts.tolist() == np.bincount(values.ravel(), minlength=256).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_counts_of_the_values_that_occur(dtype):
    values = np.array([[7, 7, 0], [255, 7, 0]], dtype)
    assert list(count_values(values).items()) == [(0, 2), (7, 3), (255, 1)]
