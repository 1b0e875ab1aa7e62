"""Options of the losses, their presets, and the names of their terms."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, get_args

from agmm.config.values import as_kind, check_kinds, look_up

Distance = Literal["l2", "l1_mean"]
Prototypes = Literal["image", "batch"]
Variance = Literal["adaptive", "fixed"]
Contrastive = Literal["mean", "sum"]
SelfTarget = Literal["density", "responsibility"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "distance": get_args(Distance), "variance": get_args(Variance), "prototypes": get_args(Prototypes),
    "classes": get_args(Prototypes), "contrastive": get_args(Contrastive), "self_target": get_args(SelfTarget),
}  # fmt: skip


@dataclass(frozen=True)
class MixtureOptions:
    """Options of the mixture; the defaults are the paper's.

    Args:
        distance: ``l2``, the Euclidean distance, or ``l1_mean``, the mean absolute difference over the channels.
        variance: ``adaptive``, per image and class from the predictions (eq. 3), or ``fixed``.
        fixed_variance: The value of a fixed variance; 0.5 gives exp(-d^2).
        mask_distance: Multiply the distance by the share of real pixels at its position.
        prototypes: ``image``: each image has its own Gaussians (eq. 1, 3). ``batch``: the images of a batch share one
            Gaussian per class (eq. 1a, 3a).
        classes: Classes with Gaussians: those labelled in the ``image``, or in the ``batch``, which needs shared
            prototypes.
    """

    distance: Distance = "l2"
    variance: Variance = "adaptive"
    fixed_variance: float = 0.5
    mask_distance: bool = False
    prototypes: Prototypes = "image"
    classes: Prototypes = "image"

    def __post_init__(self) -> None:
        check_kinds(self)
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name, choices[0])) not in choices:
                raise ValueError(f"Unknown {name} {value!r}. Choose from: {', '.join(choices)}.")
        if self.classes == "batch" and self.prototypes != "batch":
            raise ValueError(
                "classes='batch' needs prototypes='batch', because an image has no prototypes of classes without "
                "labels."
            )
        if not 0 < self.fixed_variance < math.inf:
            raise ValueError(f"fixed_variance must be above 0, got {self.fixed_variance}.")


@dataclass(frozen=True)
class LossOptions(MixtureOptions):
    """Options of the AGMM loss; the defaults are the paper's.

    Args:
        use_self: Use L_self, with which the mixture supervises every real pixel (eq. 6).
        use_spar: Use L_spar, with which the labels supervise the mixture (eq. 7).
        use_con: Use L_con, which pushes prototypes of different classes apart (eq. 8).
        self_target: Target of L_self: the ``density`` of each Gaussian, as in the paper, or its ``responsibility``,
            its share among the Gaussians of the image (eq. 6a).
        stop_gradient: Stop the gradient of L_self into the mixture, so that it changes only the predictions.
        contrastive: Prototypes of the batch: the ``mean`` over the images that contain the class, or their ``sum``.
        absence_weight: Weight of the absence term (eq. 9); 0 disables it.
    """

    use_self: bool = True
    use_spar: bool = True
    use_con: bool = True
    self_target: SelfTarget = "density"
    stop_gradient: bool = False
    contrastive: Contrastive = "mean"
    absence_weight: float = 0.0

    @property
    def only_cross_entropy(self) -> bool:
        """Whether every term beside the cross-entropy is disabled."""
        return not (self.use_self or self.use_spar or self.use_con or self.absence_weight)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.absence_weight < math.inf:
            raise ValueError(f"absence_weight must be 0 or more, got {self.absence_weight}.")


class LossKind(NamedTuple):
    """A loss that a run can be trained with.

    Args:
        where: Its class, as ``module:class``; imported only when the loss is built. Empty for ``auto``, which stands
            for another loss.
        title: The term beside L_seg, as tables and figures write it.
    """

    where: str
    title: str


#: Losses by name; training, studies, reports and the command line use this list.
LOSSES: dict[str, LossKind] = {
    "agmm": LossKind("agmm.losses.agmm:AGMM", "AGMM"),
    "seg": LossKind("agmm.losses.seg:SegLoss", ""),
    "absence": LossKind("agmm.losses.absence:AbsenceLoss", "L_absence"),
    "presence": LossKind("agmm.losses.presence:PresenceLoss", "L_presence"),
    "entropy": LossKind("agmm.losses.entropy:EntropyLoss", "L_entropy"),
    "gated_crf": LossKind("agmm.losses.gated_crf:GatedCRFLoss", "L_crf"),
    "tree_energy": LossKind("agmm.losses.tree_energy:TreeEnergyLoss", "L_tree"),
    "mean_teacher": LossKind("agmm.losses.mean_teacher:MeanTeacherLoss", "L_teacher"),
    "mixture_labels": LossKind("agmm.losses.mixture_labels:MixtureLabelsLoss", "L_mix"),
    "combined": LossKind("agmm.losses.combined:CombinedLoss", "several terms"),
    "auto": LossKind("", ""),  # becomes presence or seg, see agmm.training.regime.resolve_loss
}

#: ``paper`` follows the formulas of the paper and its supplement, ``released`` the authors' public code.
PRESETS: dict[str, LossOptions] = {
    "paper": LossOptions(),
    "released": LossOptions(
        distance="l1_mean", variance="fixed", mask_distance=True, contrastive="sum", absence_weight=1.0
    ),
}


def resolve_options(preset: str = "paper", **options: Any) -> LossOptions:
    """Return the options of a preset with some of them replaced.

    Args:
        preset: A key of :data:`PRESETS`.
        options: Fields of :class:`LossOptions` to replace.

    Raises:
        ValueError: If a name or a value is unknown, or a value has the wrong type or is out of range.
    """
    if preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}. Choose from: {', '.join(PRESETS)}.")
    known = {field.name: field.default for field in fields(LossOptions)}
    changes = {name: as_kind(value, look_up(name, known, "loss option"), name) for name, value in options.items()}
    return replace(PRESETS[preset], **changes)
