"""How images are segmented."""

from __future__ import annotations

from typing import Literal, get_args

#: Protocols by name; ``agmm.inference.protocols.Protocol`` describes them.
ProtocolName = Literal["whole", "flip", "sliding", "multi-scale"]


PROTOCOLS = get_args(ProtocolName)


#: The seven scales of the paper's evaluation.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)

#: Values of predicted label maps: train ids, or the dataset's own ids.
PredictedIds = Literal["train", "class"]
PREDICTED_IDS = get_args(PredictedIds)
