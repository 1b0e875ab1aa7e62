"""Settings of scribbles. Imports no NumPy, so that the command line lists the choices at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

#: Default share of a stroke's length that is drawn.
DEFAULT_LENGTH = 0.8

#: What gets a stroke of its own.
ScribbleUnit = Literal["region", "instance", "class", "image"]


@dataclass(frozen=True)
class ScribbleSettings:
    """How scribbles are drawn.

    Args:
        per: Unit that gets a stroke: each connected ``region`` of a class, each true ``instance`` (and each region
            outside instances), or the largest region of each ``class``. With ``image``, ``strokes`` is a budget of
            the image: one stroke for each region, in the largest region of each class first, then in the largest of
            the others.
        strokes: Strokes per unit. Later strokes avoid earlier ones and need room.
        width: Largest width in pixels; in regions less than twice as wide, half of the region's width.
        min_area: Regions with fewer pixels get no stroke, unless their class would get none at all.
        wobble: Unsteadiness of the hand; 0 gives smooth curves.
        tolerance: Points closer than this to the line between their neighbours are dropped, in pixels.
        sloppiness: Largest share of its length by which a stroke runs past each of its ends, whatever lies there; such
            strokes are as wide as ``width`` everywhere. 0 keeps every stroke inside its region.

    Raises:
        ValueError: If a setting is out of range.
    """

    per: ScribbleUnit = "region"
    strokes: int = 1
    width: int = 5
    min_area: int = 50
    wobble: float = 1.0
    tolerance: float = 0.7
    sloppiness: float = 0.0

    def __post_init__(self) -> None:
        if self.per not in get_args(ScribbleUnit):
            raise ValueError(f"Unknown unit '{self.per}'. Choose from: {', '.join(get_args(ScribbleUnit))}.")
        if self.min_area < 1:
            raise ValueError(f"min_area must be at least 1, got {self.min_area}.")
        most = 9999 if self.per == "image" else 99
        for name, lowest, highest in (("strokes", 1, most), ("width", 1, 99), ("wobble", 0, 2), ("tolerance", 0, 10),
                                      ("sloppiness", 0, 2)):  # fmt: skip
            if not lowest <= getattr(self, name) <= highest:
                raise ValueError(f"{name} must lie between {lowest} and {highest}, got {getattr(self, name)}.")

    def to_dict(self) -> dict[str, Any]:
        """For ``manifest.json``; without ``sloppiness`` where it is 0."""
        settings = asdict(self)
        if not self.sloppiness:
            del settings["sloppiness"]
        return settings


#: Length and settings fitted to human scribbles, as described in docs/annotations.md.
PRESETS: dict[str, tuple[float, ScribbleSettings]] = {
    "scribblesup": (0.95, ScribbleSettings(width=4, min_area=200, wobble=0.6)),
}


def scribble_settings(like: str | None = None, **given: Any) -> tuple[float, ScribbleSettings]:
    """Return length and settings of a preset, or the defaults, with some settings replaced.

    Args:
        like: A key of ``PRESETS``, or None.
        given: Fields of ``ScribbleSettings`` to replace.

    Raises:
        ValueError: If there is no such preset, or a setting is out of range.
    """
    if like is not None and like not in PRESETS:
        raise ValueError(f"Unknown preset '{like}'. Choose from: {', '.join(PRESETS)}.")
    length, settings = PRESETS[like] if like else (DEFAULT_LENGTH, ScribbleSettings())
    return length, replace(settings, **given)
