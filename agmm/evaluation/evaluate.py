"""Evaluate a network on rows of a manifest; scores are counted over all pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch import distributed as torch_distributed

from agmm.config.loss import MixtureOptions
from agmm.config.metrics import METRICS
from agmm.config.protocol import ProtocolName
from agmm.data.masked_images import MaskedImage, read_masked_images, require_full_masks, to_network
from agmm.errors import TrainingError
from agmm.evaluation.metrics import BoundaryIoU, ConfusionMatrix
from agmm.evaluation.per_image import ImageCounts
from agmm.inference.protocols import Protocol, evaluating, mixture_of, predict_mixture, probs_of
from agmm.runs.scores import MIXTURE_PROTOCOL
from data_manifests import Manifest, ManifestRow
from data_manifests.errors import counted
from data_manifests.figures.notebook import Line, fragment

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvalResult:
    """Scores of one evaluation.

    Args:
        protocol: How the images were segmented, in words.
        num_images: Images counted, over all ranks.
        class_names: In the order of train ids.
        confusion: Pixels by true (row) and predicted class, over all ranks.
        boundary: Counts along class borders, if requested.
        images: Counts per image, over all ranks, if requested.
    """

    protocol: str
    num_images: int
    class_names: tuple[str, ...]
    confusion: ConfusionMatrix
    boundary: BoundaryIoU | None = None
    images: tuple[ImageCounts, ...] = ()

    def _repr_html_(self) -> str:
        lines = [
            Line(name, score, "–" if math.isnan(score) else f"{100 * score:.1f} %")
            for name, score in [("mIoU", self.miou), *self.iou.items()]
        ]
        return fragment("IoU", [self.protocol, counted(self.num_images, "image")], lines)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0..1."""
        return self.confusion.mean_iou()

    @property
    def pixel_accuracy(self) -> float:
        """Share of correctly classified pixels, 0..1."""
        return self.confusion.pixel_accuracy()

    @property
    def scores(self) -> dict[str, float]:
        """Every score of ``agmm.config.metrics.METRICS`` by name, 0..1; NaN if undefined."""
        return {name: getattr(self.confusion, metric.method)() for name, metric in METRICS.items()}

    @property
    def iou(self) -> dict[str, float]:
        """IoU by class name, 0..1; NaN for classes in neither truth nor prediction."""
        return dict(zip(self.class_names, self.confusion.iou().tolist(), strict=True))

    @property
    def boundary_miou(self) -> float | None:
        """Mean boundary IoU over the classes that occur, 0..1; None if it was not counted."""
        return None if self.boundary is None else self.boundary.mean_iou()

    def to_pandas(self) -> pd.DataFrame:
        """Return the scores of the classes as a table: ``name``, ``iou``, ``accuracy``, ``boundary_iou``.

        Undefined scores are NaN. The mean of the column ``iou`` is the mIoU.
        """
        import pandas as pd  # takes half a second

        frame = pd.DataFrame(self.to_dict()["classes"])
        return frame.astype({"iou": float, "accuracy": float, "boundary_iou": float})

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: scores 0..1, None if undefined, and the confusion matrix (rows are truth)."""
        boundary = [None] * len(self.class_names) if self.boundary is None else self.boundary.iou().tolist()
        columns = zip(
            self.class_names, self.iou.values(), self.confusion.class_accuracy().tolist(), boundary, strict=True
        )
        return {
            "protocol": self.protocol,
            "num_images": self.num_images,
            **{name: _or_none(value) for name, value in self.scores.items()},
            "boundary_miou": _or_none(self.boundary_miou),
            "classes": [
                {"name": name, "iou": _or_none(iou), "accuracy": _or_none(found), "boundary_iou": _or_none(edge)}
                for name, iou, found, edge in columns
            ],
            "confusion": self.confusion.counts.tolist(),
        }


def evaluate_rows(
    model: nn.Module,
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    *,
    protocol: Protocol | ProtocolName = "whole",
    device: torch.device | str = "cpu",
    distributed: bool = False,
    boundary: bool = False,
    per_image: bool = False,
    amp: bool = False,
    workers: int = 1,
    on_image: Callable[[], None] | None = None,
) -> EvalResult:
    """Segment images and compare them with their full masks.

    Args:
        model: Maps images to a tuple with ``logits``; must be on ``device``; its train/eval mode is restored.
        manifest: Source of the rows; provides label space and mask encoding.
        rows: Rows to evaluate; each needs a full mask.
        protocol: Inference protocol; ``whole``, ``flip`` and ``multi-scale`` stand for their defaults.
        device: Device to compute on.
        distributed: Split the rows over all ranks and sum the counts; otherwise this process evaluates all rows.
        boundary: Also count boundary IoU.
        per_image: Also keep the counts of each image.
        amp: Run the network in bfloat16.
        workers: Threads that read files ahead.
        on_image: Called after each image of this rank.

    Returns:
        The same scores on all ranks and for any number of them.

    Raises:
        TrainingError: If there are no rows, or one has no full mask or one of another size than its image.
        DataError: If a file cannot be read or a mask holds ids outside the label space.
        ValueError: If the protocol is invalid, or the network and the manifest differ in their number of classes.
    """
    protocol = Protocol(protocol) if isinstance(protocol, str) else protocol

    def predict(sample: MaskedImage) -> list[Tensor]:
        return [protocol.predict(model, to_network(sample.image, device))]

    with evaluating(model, device, amp):
        return _count(
            predict, [str(protocol)], manifest, rows, device, distributed, boundary, workers, on_image, per_image
        )[0]


def evaluate_mixture(
    model: nn.Module,
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    *,
    options: MixtureOptions | None = None,
    device: torch.device | str = "cpu",
    distributed: bool = False,
    boundary: bool = False,
    amp: bool = False,
    workers: int = 1,
    on_image: Callable[[], None] | None = None,
) -> EvalResult:
    """Evaluate the prediction of the Gaussian mixture alone on annotated images (supplement, figure 2).

    Each image's mixture is fitted to its own sparse labels; each pixel gets the class of the highest Gaussian.

    Args:
        options: Options of the mixture; by default the paper's.

    The other arguments, the result and the errors are those of ``evaluate_rows``; each row needs an annotation too.
    """

    def predict(sample: MaskedImage) -> list[Tensor]:
        return [predict_mixture(model, manifest, sample.row, sample.image, options, device)]

    with evaluating(model, device, amp):
        return _count(predict, [MIXTURE_PROTOCOL], manifest, rows, device, distributed, boundary, workers, on_image)[0]


def evaluate_with_mixture(
    model: nn.Module,
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    *,
    options: MixtureOptions | None = None,
    device: torch.device | str = "cpu",
    distributed: bool = False,
    boundary: bool = False,
    per_image: bool = False,
    amp: bool = False,
    workers: int = 1,
    on_image: Callable[[], None] | None = None,
) -> tuple[EvalResult, EvalResult]:
    """Evaluate the segmentation of whole images and the mixture, with one pass of the network for both.

    Arguments and errors are those of ``evaluate_rows`` and ``evaluate_mixture``, and so are the two results;
    ``on_image`` is called once for each of them.
    """

    def predict(sample: MaskedImage) -> list[Tensor]:
        output = model(to_network(sample.image, device))
        return [probs_of(output), mixture_of(output, manifest, sample.row, options)]

    names = [str(Protocol()), MIXTURE_PROTOCOL]
    with evaluating(model, device, amp):
        whole, mixture = _count(
            predict, names, manifest, rows, device, distributed, boundary, workers, on_image, per_image
        )
    return whole, mixture


def _count(
    predict: Callable[[MaskedImage], Sequence[Tensor]],
    protocols: Sequence[str],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    device: torch.device | str,
    distributed: bool,
    boundary: bool,
    workers: int,
    on_image: Callable[[], None] | None,
    per_image: bool = False,
) -> list[EvalResult]:
    """Count the predictions of each image, one for each protocol."""
    if not rows:
        raise TrainingError(f"{manifest.path}: there are no rows to evaluate.")
    require_full_masks(manifest, rows)
    rank, num_ranks = (torch_distributed.get_rank(), torch_distributed.get_world_size()) if distributed else (0, 1)
    counts = [_Counts(manifest, device, boundary, per_image) for _ in protocols]
    for sample in read_masked_images(manifest, rows[rank::num_ranks], workers):
        target = sample.target.to(device)
        for of_protocol, probs in zip(counts, predict(sample), strict=True):
            of_protocol.add(sample.row.image_id, probs, target)
            if on_image is not None:
                on_image()
    return [of.result(protocol, len(rows), distributed) for protocol, of in zip(protocols, counts, strict=True)]


class _Counts:
    """Counts of the pixels of one protocol."""

    def __init__(self, manifest: Manifest, device: torch.device | str, boundary: bool, per_image: bool) -> None:
        self._manifest, self._space = manifest, manifest.label_space
        self._confusion = ConfusionMatrix(self._space.num_classes, device)
        self._edges = BoundaryIoU(self._space.num_classes) if boundary else None
        self._per_image = per_image
        self._images: list[ImageCounts] = []

    def add(self, image_id: str, probs: Tensor, target: Tensor) -> None:
        """Count an image: probabilities, shape (1, C, H, W), and the full mask, shape (H, W)."""
        space = self._space
        if probs.shape[1] != space.num_classes:
            raise ValueError(
                f"The network has {probs.shape[1]} classes, but label space '{space.name}' of {self._manifest.path} "
                f"has {space.num_classes}."
            )
        preds = probs.max(1).indices[0]  # on a CPU, argmax takes three times as long
        before = self._confusion.counts.clone() if self._per_image else None
        self._confusion.update(preds, target, ignore_index=space.unlabelled_value)
        if before is not None:
            counts = (self._confusion.counts - before).cpu().numpy()
            self._images.append(ImageCounts(image_id, counts.sum(1), counts.sum(0), counts.diagonal().copy()))
        if self._edges is not None:
            self._edges.update(preds, target, ignore_index=space.unlabelled_value)

    def result(self, protocol: str, num_images: int, distributed: bool) -> EvalResult:
        """The scores, over all ranks."""
        images = self._images
        if distributed:
            self._confusion.reduce()
            if self._edges is not None:
                self._edges.reduce()
            if self._per_image:
                of_ranks: list[list[ImageCounts]] = [[] for _ in range(torch_distributed.get_world_size())]
                torch_distributed.all_gather_object(of_ranks, images)
                images = [image for of_rank in of_ranks for image in of_rank]
        names = self._space.class_names
        return EvalResult(protocol, num_images, names, self._confusion, self._edges, tuple(images))


def _or_none(value: float | None) -> float | None:
    return None if value is None or value != value else value
