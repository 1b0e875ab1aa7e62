"""Settings of training samples: what they are labelled by, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

#: What a network is trained on: the manifest's annotations, or the full masks (the upper bound of any annotation).
Supervision = Literal["sparse", "full"]


SUPERVISIONS = get_args(Supervision)


@dataclass(frozen=True)
class Augmentation:
    """How a training sample is drawn from an image.

    Args:
        crop_size: Height and width of the sample in pixels.
        scale: Smallest and largest factor by which the image is resized, each in between equally likely.
        flip: Mirror every second sample.
        photometric: Change colours, contrast and sharpness at random (see ``change_colors``).
        label_aware: Place each crop so that it holds a labelled pixel, of a class chosen evenly.
        redraws: How often a crop without any label is drawn again before it is taken as it is.
    """

    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    photometric: bool = False
    label_aware: bool = False
    redraws: int = 10
