"""Previews of predictions for experiment trackers during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agmm.data.masked_images import read_masked_images, to_network
from agmm.data.resize import as_rgb, fit_size, shrink_image, shrink_labels
from agmm.inference.protocols import Protocol, evaluating
from data_manifests import Manifest, ManifestRow
from data_manifests.figures.drawing import colorize

#: Images shown after each validation, and their longer side in pixels.
NUM_SHOWN, LONGER_SIDE = 3, 480


def draw_predictions(
    model: nn.Module,
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    protocol: Protocol,
    device: torch.device,
    amp: bool = False,
) -> dict[str, NDArray[np.uint8]]:
    """Draw image, prediction and ground truth side by side, in class colours.

    Args:
        model: The network; its mode is preserved.
        manifest: Manifest of the rows.
        rows: Images with full masks; the first ``NUM_SHOWN`` are drawn.
        protocol: How to segment images.
        device: Device to compute on.
        amp: Compute the network in bfloat16.

    Returns:
        RGB, uint8, shape (h, w, 3), by image id.

    Raises:
        DataError: If a file cannot be read.
    """
    space = manifest.label_space
    drawn = {}
    with evaluating(model, device, amp):
        for sample in read_masked_images(manifest, rows[:NUM_SHOWN]):
            preds = protocol.predict(model, to_network(sample.image, device)).argmax(1)[0]
            image = as_rgb(sample.image.permute(1, 2, 0).numpy())
            size = fit_size(image.shape[0], image.shape[1], LONGER_SIDE)
            maps = [labels.cpu().numpy().astype(space.dtype) for labels in (preds, sample.target)]
            panels = [colorize(shrink_labels(label_map, size), space) for label_map in maps]
            drawn[sample.row.image_id] = np.concatenate([shrink_image(image, size), *panels], axis=1)
    return drawn
