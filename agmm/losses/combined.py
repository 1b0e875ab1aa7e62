"""A weighted sum of several terms and the cross-entropy."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from agmm.config.terms import combined_options
from agmm.losses.absence import AbsenceLoss
from agmm.losses.agmm import AGMMTerm
from agmm.losses.entropy import EntropyLoss
from agmm.losses.gated_crf import GatedCRFLoss
from agmm.losses.mean_teacher import MeanTeacherLoss
from agmm.losses.mixture_labels import MixtureLabelsLoss
from agmm.losses.presence import PresenceLoss
from agmm.losses.term import SumLoss, TermLoss
from agmm.losses.tree_energy import TreeEnergyLoss

#: The losses whose terms can be combined, by the term's name.
TERM_LOSSES: dict[str, type[TermLoss]] = {
    loss.term_name: loss
    for loss in (
        AGMMTerm,
        AbsenceLoss,
        PresenceLoss,
        EntropyLoss,
        GatedCRFLoss,
        TreeEnergyLoss,
        MeanTeacherLoss,
        MixtureLabelsLoss,
    )
}


class CombinedLoss(SumLoss):
    """L_seg plus several terms, each with its weight.

    Args:
        ignore_index: The value of ``target`` where no class is given.
        terms: For each term its weight, or a table of its options; see :data:`TERM_LOSSES`.

    Raises:
        ValueError: If there is no term, or a name or a value cannot be used.

    Example:
        >>> CombinedLoss(absence=1.0, gated_crf={"weight": 0.1, "radius": 3}).term_names
        ('seg', 'absence', 'gated_crf')
    """

    def __init__(self, ignore_index: int = 255, **terms: Any) -> None:
        super().__init__(ignore_index)
        self.parts = nn.ModuleDict(
            {
                name: TERM_LOSSES[name](ignore_index, **vars(options))
                for name, options in combined_options(terms).items()
            }
        )
        self.term_names = ("seg", *self.parts)
        self.uses_teacher = any(part.uses_teacher for part in self.summands())

    def summands(self) -> list[TermLoss]:
        """Return the losses of the terms, in order."""
        return list(self.parts.values())  # type: ignore[arg-type]

    def attach_teacher(self, network: nn.Module) -> None:
        """Pass the averaged network to the terms that use it."""
        for part in self.summands():
            part.attach_teacher(network)

    def set_progress(self, share: float) -> None:
        """Pass the finished share of the run to every term."""
        for part in self.summands():
            part.set_progress(share)

    def student_view(self, images: Tensor) -> Tensor:
        """Apply the views of all terms, one after the other."""
        for part in self.summands():
            images = part.student_view(images)
        return images
