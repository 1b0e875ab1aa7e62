"""What the commands draw: each annotator turns a full label map into marks, in one or several variants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from data_manifests import LabelMap, Mark
from sparsekit.clicks import sample_clicks
from sparsekit.randomness import ImageStream


class Annotator(Protocol):
    """Draws the marks of one image in several variants (budgets, lengths) at once.

    Attributes:
        command: The command that makes such annotations; it also names the random stream.
    """

    command: ClassVar[str]

    @property
    def uses_instances(self) -> bool:
        """Whether ``annotate`` looks at the instance map; decoding it takes longer than all clicks."""

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """For each variant the end of its folder's name, and the settings to record in its ``manifest.json``."""

    def annotate(
        self, label_map: LabelMap, instance_map: LabelMap | None, rng: ImageStream, unlabelled_value: int
    ) -> list[list[Mark]]:
        """Marks of one image for each variant.

        Args:
            label_map: Train ids, shape (H, W).
            instance_map: True instances, shape (H, W), where the layout has them.
            rng: The image's random stream.
            unlabelled_value: The value of void pixels.
        """


@dataclass(frozen=True)
class ClickAnnotator:
    """Random clicks at one or several budgets; the smaller budgets are the first clicks of the larger ones.

    Args:
        budgets: Clicks per image.

    Raises:
        ValueError: If there is no budget, one occurs twice, or one is below 1.
    """

    command: ClassVar[str] = "points"

    budgets: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.budgets or min(self.budgets) < 1:
            raise ValueError(f"clicks_per_image must be at least 1, got {min(self.budgets, default='none')}.")
        if len(set(self.budgets)) != len(self.budgets):
            raise ValueError(f"Each number of clicks may be given once, got {', '.join(map(str, self.budgets))}.")

    @property
    def uses_instances(self) -> bool:
        """See ``Annotator``."""
        return False

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """See ``Annotator``."""
        return [(f"{n}clicks", {"clicks_per_image": n, "strategy": "uniform"}) for n in self.budgets]

    def annotate(
        self, label_map: LabelMap, instance_map: LabelMap | None, rng: ImageStream, unlabelled_value: int
    ) -> list[list[Mark]]:
        """See ``Annotator``."""
        clicks = sample_clicks(label_map, max(self.budgets), rng=rng, unlabelled_value=unlabelled_value)
        return [clicks[:budget] for budget in self.budgets]
