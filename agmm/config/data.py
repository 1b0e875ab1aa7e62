"""Settings of training samples: their supervision and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from agmm.config.values import as_kind, check_kinds

#: Labels to train on: the manifest's annotations, or the full masks (the upper bound for any annotation).
Supervision = Literal["sparse", "full"]


SUPERVISIONS = get_args(Supervision)


#: Colour of padding, RGB: the mean of ImageNet, which the networks' normalisation maps to about zero.
PADDING_COLOR = (124, 116, 104)

_SMALLEST_SCALE = 0.01


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

    Raises:
        ValueError: If a value is out of range.
    """

    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    flip: bool = True
    photometric: bool = False
    label_aware: bool = False
    redraws: int = 10
    padding: tuple[int, ...] = PADDING_COLOR

    def __post_init__(self) -> None:
        as_kind(self.crop_size, (1, 1), "crop_size")
        check_kinds(self)
        if len(self.crop_size) != 2 or min(self.crop_size) < 1:
            raise ValueError(f"crop_size must be a height and a width of at least 1, got {list(self.crop_size)}.")
        if len(self.scale) != 2 or not _SMALLEST_SCALE <= self.scale[0] <= self.scale[1]:
            raise ValueError(
                f"scale must be two factors of at least {_SMALLEST_SCALE}, the smaller first, got {list(self.scale)}."
            )
