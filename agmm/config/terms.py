"""Options of the losses that add one term to the cross-entropy, by the term's name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from agmm.config.loss import LossOptions, SelfTarget
from agmm.config.values import as_kind, check_kinds, look_up

#: Classes that pseudo-labels may contain: those known to be in the image, or all.
PseudoLabelClasses = Literal["image", "all"]

#: Limits of standard deviations, whose squares single floats hold.
_SIGMA = (1e-6, 1e6)


@dataclass(frozen=True)
class TermOptions:
    """Options that every term has.

    Args:
        weight: Weight of the term relative to the cross-entropy at the labelled pixels.
    """

    weight: float = 1.0

    #: Whether the term needs every class of an image to be labelled, whatever its options.
    always_relies: ClassVar[bool] = False

    @property
    def relies_on_all_classes(self) -> bool:
        """Whether the term treats a class without a label in an image as absent from it."""
        return self.always_relies or getattr(self, "classes", "") == "image"

    def __post_init__(self) -> None:
        check_kinds(self)
        _require(self, weight=(0.0, math.inf))


@dataclass(frozen=True)
class AGMMTermOptions(TermOptions):
    """Options of :class:`agmm.losses.agmm.AGMMTerm`, as in :class:`agmm.config.loss.LossOptions`.

    Args:
        weight: Weight of L_self + L_spar + L_con.
        use_self: Use L_self.
        use_spar: Use L_spar.
        use_con: Use L_con.
        self_target: Target of L_self, ``density`` or ``responsibility``.
        stop_gradient: Stop the gradient of L_self into the mixture.
    """

    use_self: bool = True
    use_spar: bool = True
    use_con: bool = True
    self_target: SelfTarget = "density"
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.loss()

    def loss(self) -> LossOptions:
        """The same as options of the AGMM loss."""
        return LossOptions(**{name: value for name, value in vars(self).items() if name != "weight"})


@dataclass(frozen=True)
class AbsenceOptions(TermOptions):
    """Options of :class:`agmm.losses.absence.AbsenceLoss`."""

    always_relies: ClassVar[bool] = True


@dataclass(frozen=True)
class PresenceOptions(TermOptions):
    """Options of :class:`agmm.losses.presence.PresenceLoss`."""

    always_relies: ClassVar[bool] = True


@dataclass(frozen=True)
class EntropyOptions(TermOptions):
    """Options of :class:`agmm.losses.entropy.EntropyLoss`."""

    weight: float = 0.1


@dataclass(frozen=True)
class GatedCRFOptions(TermOptions):
    """Options of :class:`agmm.losses.gated_crf.GatedCRFLoss`.

    Args:
        weight: Weight of the term.
        radius: Half the side of the neighbourhood that each pixel is compared with, in pixels of the shrunk image.
        sigma_rgb: Standard deviation of the kernel in colour, of values 0..1.
        sigma_xy: Standard deviation of the kernel in space, in pixels of the shrunk image.
        shrink: Factor by which image and predictions are shrunk first.
    """

    weight: float = 0.1
    radius: int = 5
    sigma_rgb: float = 0.1
    sigma_xy: float = 6.0
    shrink: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, radius=(1, 100), shrink=(1, 100), sigma_rgb=_SIGMA, sigma_xy=_SIGMA)


@dataclass(frozen=True)
class TreeEnergyOptions(TermOptions):
    """Options of :class:`agmm.losses.tree_energy.TreeEnergyLoss`.

    Args:
        weight: Weight of the term.
        sigma: Squared difference of colours, of values 0..1, at which the affinity along an edge falls to 1/e.
    """

    weight: float = 0.4
    sigma: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, sigma=_SIGMA)


@dataclass(frozen=True)
class MeanTeacherOptions(TermOptions):
    """Options of :class:`agmm.losses.mean_teacher.MeanTeacherLoss`.

    Args:
        weight: Weight of the term.
        threshold: Smallest probability of a pseudo-label among the allowed classes.
        classes: Classes that pseudo-labels may contain: those known to be in the ``image``, or ``all``.
        soft: Learn the teacher's probabilities instead of its most likely class.
        strong: Largest change of brightness, contrast and saturation in the trained network's view, 0..1.
        start: Share of the run after which the averaged network supplies labels. Starting too early reinforces its own
            mistakes: the small classes of an image vanish.
    """

    threshold: float = 0.6
    classes: PseudoLabelClasses = "image"
    soft: bool = False
    strong: float = 0.0
    start: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, threshold=(0, 1), strong=(0, 1), start=(0, 1))


@dataclass(frozen=True)
class MixtureLabelsOptions(TermOptions):
    """Options of :class:`agmm.losses.mixture_labels.MixtureLabelsLoss`.

    Args:
        weight: Weight of the term.
        threshold: Smallest responsibility of a pseudo-label's Gaussian, 0..1.
        spar: Weight of L_spar, which fits the mixture to the labels; 0 disables it.
    """

    threshold: float = 0.4
    spar: float = 1.0

    always_relies: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, threshold=(0, 1), spar=(0, math.inf))


#: Options of each term that `combined` can add up, by the name of its loss.
TERM_OPTIONS: dict[str, type[TermOptions]] = {
    "agmm": AGMMTermOptions,
    "absence": AbsenceOptions,
    "presence": PresenceOptions,
    "entropy": EntropyOptions,
    "gated_crf": GatedCRFOptions,
    "tree_energy": TreeEnergyOptions,
    "mean_teacher": MeanTeacherOptions,
    "mixture_labels": MixtureLabelsOptions,
}


#: Terms that read the Gaussian mixture.
MIXTURE_TERMS = ("agmm", "mixture_labels")


def term_options(term: str, values: Mapping[str, Any]) -> TermOptions:
    """Options of a term.

    Args:
        term: Its name, a key of :data:`TERM_OPTIONS`.
        values: Options by name; the others keep their defaults.

    Raises:
        ValueError: If a name is unknown (the message suggests similar ones), or a value has the wrong type or is out of
            range.

    Example:
        >>> term_options("absence", {"weight": 2})
        AbsenceOptions(weight=2.0)
    """
    kind: type[TermOptions] = look_up(term, TERM_OPTIONS, "term")
    known = {field.name: field.default for field in fields(kind)}
    return kind(**{name: as_kind(value, look_up(name, known, f"option of {term}"), f"{term}.{name}")
                   for name, value in values.items()})  # fmt: skip


def combined_options(values: Mapping[str, Any]) -> dict[str, TermOptions]:
    """Options of the terms of a combined loss, by name.

    Args:
        values: For each term its weight, or a table of its options.

    Raises:
        ValueError: As :func:`term_options`, and if there are no terms.

    Example:
        >>> combined_options({"absence": 1, "gated_crf": {"weight": 0.1, "radius": 3}})["gated_crf"].radius
        3
    """
    if not values:
        raise ValueError(f"A combined loss needs terms with their weights. Choose from: {', '.join(TERM_OPTIONS)}.")
    tables = {name: value if isinstance(value, Mapping) else {"weight": value} for name, value in values.items()}
    return {name: term_options(name, table) for name, table in tables.items()}


def _require(options: TermOptions, **limits: tuple[float, float]) -> None:
    """Reject values outside their limits and unknown choices."""
    for name, (least, most) in limits.items():
        value = getattr(options, name)
        if not least <= value <= most or not math.isfinite(value):
            bounds = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise ValueError(f"{name} must be {bounds}, got {value}.")
    choices = get_args(PseudoLabelClasses)
    if (classes := getattr(options, "classes", choices[0])) not in choices:
        raise ValueError(f"Unknown classes {classes!r}. Choose from: {', '.join(choices)}.")
