"""Annotators turn a full label map into marks, in one or more variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from data_manifests import LabelMap, LabelSpace, Mark
from sparsekit.areas.draw import mark_regions
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.arguments import as_tuple, as_whole_number
from sparsekit.clicks.draw import draw_clicks
from sparsekit.clicks.guides import Guide
from sparsekit.clicks.settings import GUIDED, ClickSettings
from sparsekit.clicks.uniform import sample_clicks
from sparsekit.geometry.polylines import Bools
from sparsekit.geometry.regions import true_instances
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import DEFAULT_LENGTH, ScribbleSettings
from sparsekit.scribbles.trace import trace_scribbles


@dataclass(frozen=True)
class Subject:
    """An image to annotate.

    Args:
        image_id: Its id.
        label_map: Train ids of its full mask, shape (H, W).
        rng: Its random stream.
        space: The classes; ``space.unlabelled_value`` is the value of void pixels.
        instance_map: Its instance map, shape (H, W), if the layout has one.
        labelled: Pixels that an earlier annotation labels, shape (H, W), if marks are added to one.
    """

    image_id: str
    label_map: LabelMap
    rng: ImageStream
    space: LabelSpace
    instance_map: LabelMap | None = None
    labelled: Bools | None = None

    @property
    def void(self) -> int:
        """The value of void pixels."""
        return self.space.unlabelled_value

    @property
    def instances(self) -> LabelMap | None:
        """True instances; see ``true_instances``."""
        return None if self.instance_map is None else true_instances(self.instance_map)


class Annotator(Protocol):
    """Draws the marks of one image in several variants (budgets, lengths) at once."""

    @property
    def command(self) -> str:
        """The command that makes such annotations, which also names the random stream."""

    @property
    def uses_instances(self) -> bool:
        """Whether ``annotate`` reads the instance map, whose decoding takes longer than all clicks."""

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """For each variant, the suffix of its folder name and the settings to record in its ``manifest.json``."""

    def inputs(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """Settings to record about files other than the dataset's that annotations of these images depend on."""

    def annotate(self, subject: Subject) -> list[list[Mark]]:
        """Draw the marks of one image for each variant."""


@dataclass(frozen=True)
class ClickAnnotator:
    """Random clicks at one or more budgets; smaller budgets are the first clicks of larger ones.

    Args:
        budgets: Clicks per image, or per class or instance, depending on the strategy.
        settings: How clicks are drawn.
        guide: A network's output, for the strategies ``uncertain`` and ``corrective``.

    Raises:
        ValueError: If there is no budget, one occurs twice, or one is not an integer of at least 1; or if the strategy
            needs a guide and there is none, or the other way round.
    """

    command: ClassVar[str] = "points"

    budgets: tuple[int, ...]
    settings: ClickSettings = field(default_factory=ClickSettings)
    guide: Guide | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.settings, ClickSettings):
            raise ValueError(f"settings must be ClickSettings, such as ClickSettings(), got {self.settings!r}.")
        strategy = self.settings.strategy
        if strategy in GUIDED and self.guide is None:
            raise ValueError(f"Strategy {strategy} needs {GUIDED[strategy]} of a network, and none are given.")
        if self.guide is not None and self.guide.strategy != strategy:
            raise ValueError(f"Strategy {strategy} does not read {self.guide.kind}; {self.guide.strategy} does.")
        name = self.settings.budget_name
        budgets = tuple(as_whole_number(name, budget, least=1) for budget in as_tuple("budgets", self.budgets))
        object.__setattr__(self, "budgets", budgets)
        if not budgets:
            raise ValueError(f"{name} must be at least 1, got none.")
        if len(set(self.budgets)) != len(self.budgets):
            raise ValueError(f"Each number of clicks may be given once, got {', '.join(map(str, self.budgets))}.")

    @property
    def uses_instances(self) -> bool:
        """See ``Annotator``."""
        return self.settings.strategy == "per-instance"

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """See ``Annotator``."""
        how = self.settings
        ending = "" if how.strategy == "uniform" else f"-{how.strategy}"
        guided = self.guide.settings if self.guide else {}
        return [(f"{n}clicks{ending}", {how.budget_name: n, **asdict(how), **guided}) for n in self.budgets]

    def inputs(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """See ``Annotator``."""
        return self.guide.provenance(image_ids) if self.guide else {}

    def annotate(self, subject: Subject) -> list[list[Mark]]:
        """See ``Annotator``.

        Raises:
            DataError: If a file of the guide cannot be used.
        """
        most, label_map = max(self.budgets), subject.label_map
        if self.settings == ClickSettings() and subject.labelled is None:  # as draw_clicks, several times as fast
            clicks = sample_clicks(label_map, most, rng=subject.rng, unlabelled_value=subject.void)
            return [clicks[:budget] for budget in self.budgets]
        shape = label_map.shape[0], label_map.shape[1]
        drawn = draw_clicks(
            label_map, most, self.settings, rng=subject.rng, unlabelled_value=subject.void,
            instances=subject.instances, labelled=subject.labelled,
            guidance=self.guide.read(subject.image_id, shape, subject.space) if self.guide else None,
        )  # fmt: skip
        return [[click for smallest, click in drawn if smallest <= budget] for budget in self.budgets]


@dataclass(frozen=True)
class ScribbleAnnotator:
    """Scribbles in one or more lengths; shorter strokes are parts of longer ones.

    Args:
        shares: Shares of the strokes' full length, each in (0, 1] and a whole percentage.
        settings: How scribbles are drawn.

    Raises:
        ValueError: If there is no share, one occurs twice, or one is out of range.
    """

    command: ClassVar[str] = "scribbles"

    shares: tuple[float, ...] = (DEFAULT_LENGTH,)
    settings: ScribbleSettings = field(default_factory=ScribbleSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", as_tuple("shares", self.shares))
        check_per_cents("length", self.shares)

    @property
    def uses_instances(self) -> bool:
        """See ``Annotator``."""
        return self.settings.per == "instance"

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """See ``Annotator``."""
        how = self.settings
        ending = f"-{how.strokes}strokes" if how.per == "image" else ""
        ending += f"-sloppy{round(100 * how.sloppiness)}" if how.sloppiness else ""
        return [(f"scribbles{round(100 * s)}{ending}", {"length": s, **how.to_dict()}) for s in self.shares]

    def inputs(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """See ``Annotator``; none."""
        return {}

    def annotate(self, subject: Subject) -> list[list[Mark]]:
        """See ``Annotator``."""
        return trace_scribbles(
            subject.label_map, self.settings, self.shares, rng=subject.rng, unlabelled_value=subject.void,
            instances=subject.instances,
        )  # fmt: skip


@dataclass(frozen=True)
class RegionMarkAnnotator:
    """Boxes, blocks or coarse polygons; blocks in one or more sizes.

    Args:
        settings: Kind and shape of the marks.
        shares: Shares of each region that blocks cover, each in (0, 1] and a whole percentage; only for blocks.

    Raises:
        ValueError: If blocks have no share, other kinds have one, or one occurs twice or is out of range.
    """

    command: ClassVar[str] = "marks"

    settings: RegionMarkSettings
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", as_tuple("shares", self.shares))
        if self.settings.kind == "block":
            check_per_cents("share", self.shares)
        elif self.shares:
            raise ValueError(f"A share is for blocks only, not for kind '{self.settings.kind}'.")

    @property
    def uses_instances(self) -> bool:
        """See ``Annotator``."""
        return self.settings.per == "instance"

    def variants(self) -> list[tuple[str, dict[str, Any]]]:
        """See ``Annotator``."""
        settings = asdict(self.settings)
        if self.settings.kind != "coarse":
            del settings["margin"]
        if self.settings.kind == "block":
            return [(f"blocks{round(100 * share)}", {**settings, "share": share}) for share in self.shares]
        return [("boxes" if self.settings.kind == "box" else "coarse", settings)]

    def inputs(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """See ``Annotator``; none."""
        return {}

    def annotate(self, subject: Subject) -> list[list[Mark]]:
        """See ``Annotator``; uses no random numbers."""
        instances = subject.instances
        return [
            mark_regions(subject.label_map, self.settings, share, unlabelled_value=subject.void, instances=instances)
            for share in self.shares or (1.0,)  # boxes and polygons ignore it
        ]


def is_sloppy(annotator: object) -> bool:
    """Whether its strokes cross borders, so that their pixels off class are counted."""
    scribbles = getattr(annotator, "annotator", annotator)
    return isinstance(scribbles, ScribbleAnnotator) and scribbles.settings.sloppiness > 0


def check_per_cents(name: str, shares: tuple[float, ...]) -> None:
    """Reject shares that cannot each name a folder.

    Raises:
        ValueError: If there is none, one occurs twice, or one is not 0.01, 0.02, ... or 1.
    """
    for share in shares:
        if not 0.01 <= share <= 1 or abs(share - round(100 * share) / 100) > 1e-9:
            raise ValueError(f"A {name} must lie between 0.01 and 1, in steps of 0.01, got {share}.")
    per_cents = [round(100 * share) for share in shares]
    if not per_cents or len(set(per_cents)) != len(per_cents):
        raise ValueError(f"Give one {name} or several different ones, got {', '.join(map(str, shares)) or 'none'}.")
