"""Settings of growing labels by an encoder's features. Imports no torch, so the command line lists defaults quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agmm.config.model import require_encoder_weights
from agmm.config.values import LARGEST, check_kinds

#: The method, as ``manifest.json`` of grown labels records it.
FEATURES = "features"


@dataclass(frozen=True)
class FeatureGrowSettings:
    """How labels are grown by the features of an encoder.

    Args:
        encoder: A timm name with its weights' tag, such as ``vit_small_patch14_dinov2.lvd142m``.
        encoder_weights: ``imagenet`` (the tag's weights, downloaded by timm), the path of a file, or ``none`` (random).
        max_distance: Largest cosine distance of a pixel to a label of its class, 0..2.
        confidence: Smallest d2 / (d1 + d2), with the distances to the nearest class and to the next, 0..1.
        size: Longer side of the network's input in pixels; images are scaled up or down to it.
        seed: Seed of random weights.

    Raises:
        TrainingError: If the file of weights does not exist.
        ValueError: If a value is out of range.
    """

    encoder: str
    encoder_weights: str = "imagenet"
    max_distance: float = 0.5
    confidence: float = 0.6
    size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        check_kinds(self)
        if not 0 <= self.max_distance <= 2:
            raise ValueError(f"max_distance must be a cosine distance between 0 and 2, got {self.max_distance}.")
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {self.confidence}.")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}.")
        if not 0 <= self.seed <= LARGEST:
            raise ValueError(f"seed must be 0 to {LARGEST}, got {self.seed}.")
        require_encoder_weights(self.encoder_weights)

    @property
    def has_file(self) -> bool:
        """Whether the weights come from a file."""
        return self.encoder_weights not in ("imagenet", "none")

    def to_dict(self) -> dict[str, Any]:
        """For ``manifest.json``, without the weights, of which the file's place depends on the manifest's."""
        seed = {"seed": self.seed} if self.encoder_weights == "none" else {}
        return {
            "method": FEATURES, "encoder": self.encoder, "max_distance": self.max_distance,
            "confidence": self.confidence, "size": self.size, **seed,
        }  # fmt: skip
