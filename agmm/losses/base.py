"""The interface of losses that the training loop calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from agmm.config.training import TrainConfig
    from agmm.data.dataset import Sample
    from agmm.models.network import SegmentationOutput


class SparseLoss(nn.Module):
    """A loss for sparse labels. Subclasses are listed in ``agmm.config.loss.LOSSES``.

    Subclasses take ``ignore_index`` and their options as keywords and raise ``ValueError`` for wrong ones. They have no
    parameters, compute in float32 under autocast, and give finite values and gradients for batches without labels.

    Attributes:
        term_names: Names of the terms that ``forward`` returns, in order; they are columns of ``log.csv``.
        uses_teacher: Whether the loss needs the averaged network (``ema_decay``).
        only_cross_entropy: Whether the loss is the cross-entropy of labelled pixels and nothing else.
    """

    term_names: tuple[str, ...] = ("seg",)
    uses_teacher: bool = False
    only_cross_entropy: bool = False

    _teacher: tuple[nn.Module, ...] = ()

    @classmethod
    def from_config(cls, config: TrainConfig, ignore_index: int) -> SparseLoss:
        """Build the loss from the settings of a run; its options are the table ``[loss]``.

        Raises:
            ValueError: If an option is unknown or has a wrong value.
        """
        options: dict[str, Any] = dict(config.loss)
        return cls(ignore_index=ignore_index, **options)

    @property
    def teacher(self) -> nn.Module:
        """The averaged network, in evaluation mode."""
        return self._teacher[0]

    def attach_teacher(self, network: nn.Module) -> None:
        """Set the averaged network; called once if ``uses_teacher`` is true."""
        self._teacher = (network,)  # in a tuple, so that it does not become a submodule of the loss

    def student_view(self, images: Tensor) -> Tensor:
        """Return the images for the trained network, such as a strong view; by default the same images.

        Args:
            images: RGB in 0..1, float32, shape (N, 3, H, W), on the device. The averaged network sees these.

        Returns:
            Images of the same shape, with pixels in the same positions, so that targets stay valid.
        """
        return images

    def set_progress(self, share: float) -> None:
        """Set the finished share of the run, 0..1; called before every step."""

    def forward(self, output: SegmentationOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch.

        Args:
            output: Logits, shape (N, C, H, W), and features, shape (N, D, h, w), of ``student_view(batch.image)``.
            batch: Image, target, valid pixels and classes, from ``agmm.to_network_input``. Hard labels may still be on
                the CPU while the network's output is on another device.

        Returns:
            The total, and its terms by name, each an unweighted scalar (0 if disabled).
        """
        raise NotImplementedError
