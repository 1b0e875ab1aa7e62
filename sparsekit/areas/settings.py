"""Settings of marks that cover area. Imports no NumPy, so that the command line lists choices quickly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

MarkKind = Literal["block", "box", "coarse"]

#: Units that get a mark.
MarkUnit = Literal["region", "instance"]

#: Default shares of each region that blocks cover.
DEFAULT_SHARES = (0.1, 0.2, 0.5)


@dataclass(frozen=True)
class RegionMarkSettings:
    """Kind and shape of area marks.

    Args:
        kind: ``block``: the inner part of each region; ``box``: its bounding box; ``coarse``: a simple polygon that
            stays inside its edge.
        per: Unit that gets marks: each connected ``region`` of a class, or each true ``instance`` (and each region
            outside instances).
        min_area: Regions with fewer pixels get no mark, unless their class would get none at all.
        margin: Minimum distance of coarse polygons from the edge, in pixels; in thin regions, half of their depth.

    Raises:
        ValueError: If a setting is out of range.
    """

    kind: MarkKind = "block"
    per: MarkUnit = "region"
    min_area: int = 50
    margin: int = 6

    def __post_init__(self) -> None:
        if self.kind not in get_args(MarkKind):
            raise ValueError(f"Unknown kind '{self.kind}'. Choose from: {', '.join(get_args(MarkKind))}.")
        if self.per not in get_args(MarkUnit):
            raise ValueError(f"Unknown unit '{self.per}'. Choose from: {', '.join(get_args(MarkUnit))}.")
        if self.min_area < 1:
            raise ValueError(f"min_area must be at least 1, got {self.min_area}.")
        if self.margin < 1:
            raise ValueError(f"margin must be at least 1, got {self.margin}.")
