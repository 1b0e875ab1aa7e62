"""Refine predictions with a dense conditional random field: pixels with similar position and colour agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from agmm.errors import TrainingError
from agmm.requirements import require_crf

# The values of DeepLab's evaluation on VOC, which most papers on weak supervision use.
_ITERATIONS = 10
_SMOOTHNESS = {"sxy": 3, "compat": 3}
_APPEARANCE = {"sxy": 67, "srgb": 3, "compat": 4}


def refine(images: Tensor, probs: Tensor) -> Tensor:
    """Run mean-field inference of a fully connected CRF with the predictions as unary terms.

    Runs on the CPU with the package pydensecrf2: about 3 s for a 480x360 image with 11 classes, and a minute for
    2048x1024 with 19.

    Args:
        images: RGB in 0..1, float32, shape (N, 3, H, W).
        probs: Probabilities, shape (N, C, H, W).

    Returns:
        Refined probabilities, float32, shape and device of ``probs``.

    Raises:
        TrainingError: If pydensecrf2 is not installed, or images have other than three channels.

    References:
        Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011;
        parameters of Chen et al., "DeepLab", TPAMI 2018.
    """
    require_colors(images.shape[1])
    require_crf()
    from pydensecrf.densecrf import DenseCRF2D

    num_classes, height, width = probs.shape[1:]
    refined = []
    for image, prob in zip(images, probs, strict=True):
        crf: Any = DenseCRF2D(width, height, num_classes)
        crf.setUnaryEnergy(-np.log(prob.reshape(num_classes, -1).clamp(min=1e-6).cpu().numpy()))
        pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        crf.addPairwiseGaussian(**_SMOOTHNESS)
        crf.addPairwiseBilateral(rgbim=np.ascontiguousarray(pixels), **_APPEARANCE)
        refined.append(torch.from_numpy(np.array(crf.inference(_ITERATIONS), np.float32)))
    return torch.stack(refined).reshape(probs.shape).to(probs.device)


def require_colors(num_channels: int) -> None:
    """Check, before any work is done, that a CRF can read what the network reads.

    Raises:
        TrainingError: If that has other than three channels.
    """
    if num_channels != 3:
        raise TrainingError(f"A dense CRF reads colours, and the network reads {num_channels} bands. Leave it out.")
