"""Settings of clicks. Imports no NumPy, so that the command line lists the choices at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Strategies by name: the function of ``strategies.py`` that draws the clicks, and the unit of a budget.
STRATEGIES: dict[str, tuple[str, str]] = {
    "uniform": ("draw_uniform", "image"),
    "class-balanced": ("draw_by_class", "image"),
    "per-class": ("draw_by_class", "class"),
    "per-instance": ("draw_by_instance", "instance"),
    "center": ("draw_central", "image"),
    "uncertain": ("draw_uncertain", "image"),
    "corrective": ("draw_corrective", "image"),
}

#: Strategies that a network guides: the files they read, a word that is also the option and the recorded setting.
GUIDED = {"uncertain": "probabilities", "corrective": "predictions"}

#: How the uncertainty of a pixel is measured.
Uncertainty = Literal["margin", "entropy", "least-confidence"]

#: Default budgets by their unit.
DEFAULT_BUDGETS: dict[str, tuple[int, ...]] = {"image": (20, 50, 100), "class": (1,), "instance": (1,)}

# Longer than any side of an image.
_LARGEST = 1_000_000


@dataclass(frozen=True)
class ClickSettings:
    """How clicks are drawn and which errors they contain.

    Args:
        strategy: A key of ``STRATEGIES``.
        margin: Minimum distance to a pixel of another class or void, in pixels. In regions without such a pixel, the
            farthest pixels are clicked.
        jitter: Largest random displacement of a click, in pixels; the label stays that of the original pixel.
        wrong: Share of clicks with a wrong label, drawn from the other classes of the image.
        min_distance: Minimum distance between two clicks of an image before jitter, in pixels.

    Raises:
        ValueError: If a setting is out of range.
    """

    strategy: str = "uniform"
    margin: int = 0
    jitter: int = 0
    wrong: float = 0.0
    min_distance: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"Unknown strategy '{self.strategy}'. Choose from: {', '.join(STRATEGIES)}.")
        for name in ("margin", "jitter", "min_distance"):
            if not 0 <= getattr(self, name) <= _LARGEST:
                raise ValueError(f"{name} must lie between 0 and {_LARGEST}, got {getattr(self, name)}.")
        if not 0 <= self.wrong <= 1:
            raise ValueError(f"wrong must be a share between 0 and 1, got {self.wrong}.")

    @property
    def budget_name(self) -> str:
        """Unit of a budget: ``clicks_per_image``, ``clicks_per_class`` or ``clicks_per_instance``."""
        return f"clicks_per_{STRATEGIES[self.strategy][1]}"
