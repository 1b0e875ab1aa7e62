"""KITTI: its true instances."""

from __future__ import annotations

import numpy as np

from data_manifests import open_dataset
from data_manifests.files.masks import read_mask
from tests.helpers import miniature_datasets as mini


def test_instances(tmp_path):
    item = open_dataset(mini.make_kitti(tmp_path)).items[0]
    np.testing.assert_array_equal(read_mask(item.instance_path) // 256, mini.CITYSCAPES_IDS)
