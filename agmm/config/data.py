"""Settings of training samples: their supervision and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: Labels to train on: the manifest's annotations, or the full masks (the upper bound for any annotation).
Supervision = Literal["sparse", "full"]


SUPERVISIONS = get_args(Supervision)


#: Colour of padding, RGB: the mean of ImageNet, which the networks' normalisation maps to about zero.
PADDING_COLOR = (124, 116, 104)


@dataclass(frozen=True)
class Augmentation:
    """How a training sample is drawn from an image.

    Args:
        crop_size: Height and width of the sample in pixels.
        scale: Smallest and largest scale factor, drawn uniformly.
        flip: Flip samples with probability 1/2.
        photometric: Change colours, contrast and sharpness at random (see ``change_colors``).
        label_aware: Place each crop so that it contains a labelled pixel, of a class chosen uniformly.
        redraws: How often a crop without labels is redrawn before it is used anyway.
        padding: Value of padding in each channel of the image.
    """

    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    photometric: bool = False
    label_aware: bool = False
    redraws: int = 10
    padding: tuple[int, ...] = PADDING_COLOR
