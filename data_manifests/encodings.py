"""How mask files write their classes. Imports no NumPy, so that the command line lists the choices at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

#: By the dataset's own ids (in all channels), by the contiguous ids 0..num_classes-1, or by the colours of the classes,
#: exactly or nearly.
MaskValuesEncoding = Literal["class_ids", "train_ids", "colors", "nearest_colors"]

#: By the dataset's own ids in one of several channels.
MaskChannel = Literal["red", "green", "blue", "alpha"]

#: How a mask file writes its classes.
Encoding = MaskValuesEncoding | MaskChannel

#: Number of each channel.
CHANNELS: Mapping[str, int] = {name: index for index, name in enumerate(get_args(MaskChannel))}

#: All encodings by name.
ENCODINGS: tuple[str, ...] = get_args(MaskValuesEncoding) + get_args(MaskChannel)
