"""What a dataset says, to compare with what was written."""

from __future__ import annotations

from data_manifests.files.images import read_image_size
from data_manifests.files.masks import read_mask


def ids_of(dataset):
    return [(item.image_id, item.split) for item in dataset.items]


def label_maps(dataset):
    """Train ids of each item, checked against the size of its image."""
    maps = []
    for item in dataset.items:
        mask = read_mask(item.mask_path, dataset.encoding)
        assert read_image_size(item.image_or_mask) == mask.shape
        maps.append(dataset.label_space.to_train_ids(mask, dataset.encoding, item.mask_path).tolist())
    return maps
