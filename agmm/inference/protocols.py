"""Class probabilities of images of any size: whole, flipped too, by sliding window, or averaged over scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.loss import MixtureOptions
from agmm.config.protocol import PROTOCOLS, SCALES, ProtocolName
from agmm.config.values import as_kind
from agmm.data.masked_images import to_network
from agmm.errors import TrainingError
from agmm.inference.crf import refine
from agmm.losses.mixture import mixture_probs
from agmm.models.network import SegmentationOutput
from data_manifests import Manifest, ManifestRow
from data_manifests.manifest.rows import read_row_annotation

_WITHOUT_TILES = ("whole", "flip")


@dataclass(frozen=True)
class Protocol:
    """How images are segmented; a score means little without it.

    Args:
        name: ``whole``, ``flip`` (whole, and mirrored left to right), ``sliding`` or ``multi-scale``.
        tile_size: Side of a sliding window in pixels, usually the training crop; required for ``sliding``. With
            ``multi-scale``, segments each scaled image by sliding window; None segments it as a whole.
        overlap: Share of a tile that overlaps the next one, in [0, 1).
        tile_batch: Tiles per forward pass; affects only speed and memory.
        scales: Scale factors, for ``multi-scale``.
        flip: Also segment the flipped image at each scale, for ``multi-scale``.
        crf: Refine the result with a dense CRF on the image's colours (see ``agmm.inference.crf``).

    Raises:
        ValueError: If a value is out of range.
    """

    name: ProtocolName = "whole"
    tile_size: int | None = None
    overlap: float = 2 / 3
    tile_batch: int = 4
    scales: tuple[float, ...] = SCALES
    flip: bool = True
    crf: bool = False

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise ValueError(f"Unknown protocol '{self.name}'. Choose from: {', '.join(PROTOCOLS)}.")
        if self.name == "sliding" and self.tile_size is None:
            raise ValueError("The sliding protocol needs a tile_size, usually the training crop's size.")
        if self.tile_size is not None and as_kind(self.tile_size, 1, "tile_size") < 1:
            raise ValueError(f"tile_size must be at least 1, got {self.tile_size}.")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"overlap must lie in [0, 1), got {self.overlap}.")
        if self.tile_batch < 1:
            raise ValueError(f"tile_batch must be at least 1, got {self.tile_batch}.")
        if not as_kind(self.scales, SCALES, "scales") or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales must be one or more positive numbers, got {self.scales}.")

    def __str__(self) -> str:
        """Return the name of the protocol in tables.

        Example:
            >>> str(Protocol("sliding", tile_size=721))
            'sliding window (tile 721, overlap 0.67)'
        """
        tiles = f"tile {self.tile_size}, overlap {self.overlap:.2f}"
        after = ", dense CRF" if self.crf else ""
        if self.name == "whole":
            return f"whole image, single scale{after}"
        if self.name == "flip":
            return f"flip (whole image and its mirror image){after}"
        if self.name == "sliding":
            return f"sliding window ({tiles}){after}"
        parts = [f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"]
        parts += ["flipped too"] if self.flip else []
        parts += [tiles] if self.tile_size is not None else []
        return f"multi-scale ({'; '.join(parts)}){after}"

    def predict(self, model: nn.Module, images: Tensor) -> Tensor:
        """Predict class probabilities of a batch of images.

        Args:
            model: Maps images to a tuple whose ``logits`` have the images' size.
            images: RGB in 0..1, float32, shape (N, 3, H, W).

        Returns:
            Probabilities, float32, shape (N, num_classes, H, W), summing to one over the classes.

        Raises:
            TrainingError: If a CRF is requested and its package is not installed.
        """

        def predict_once(images: Tensor) -> Tensor:
            if self.tile_size is None or self.name in _WITHOUT_TILES:
                return predict_whole(model, images)
            return predict_sliding(model, images, self.tile_size, overlap=self.overlap, tile_batch=self.tile_batch)

        if self.name == "multi-scale":
            probs = predict_multi_scale(predict_once, images, scales=self.scales, flip=self.flip)
        elif self.name == "flip":
            probs = predict_multi_scale(predict_once, images, scales=(1.0,))
        else:
            probs = predict_once(images)
        return refine(images, probs) if self.crf else probs


def make_protocol(
    name: ProtocolName,
    crop_size: Sequence[int],
    *,
    tile_size: int | None = None,
    overlap: float = 2 / 3,
    crf: bool = False,
) -> Protocol:
    """Make the protocol for a trained network.

    Args:
        name: Name of the protocol.
        crop_size: Height and width of the network's training samples.
        tile_size: Side of sliding windows in pixels; None means the longer side of the training samples for
            ``sliding``, and whole images for ``multi-scale``.
        overlap: Share of a tile that overlaps the next one.
        crf: Refine with a dense CRF.

    Raises:
        ValueError: If a value is out of range, or tile options are given for a protocol without tiles.
    """
    if name in _WITHOUT_TILES and tile_size is not None:
        raise ValueError(
            f"The protocol '{name}' has no tiles. Omit the tile size, or choose the protocol sliding or multi-scale."
        )
    if name == "sliding" and tile_size is None:
        tile_size = max(crop_size)
    if tile_size is None and overlap != Protocol.overlap:
        raise ValueError("An overlap needs tiles. Omit it, choose the protocol sliding, or give a tile size.")
    return Protocol(name, tile_size=tile_size, overlap=overlap, crf=crf)


def predict_whole(model: nn.Module, images: Tensor) -> Tensor:
    """Softmax of the network's logits in float32; shapes as in ``Protocol.predict``."""
    return probs_of(model(images))


def probs_of(output: SegmentationOutput) -> Tensor:
    """Softmax of the logits in float32, shape (N, num_classes, H, W)."""
    logits = output.logits.float()
    if not logits.is_contiguous():  # channels-last: torch copies it too, but as two-dimensional parts it is fast
        planes = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
        for i, image in enumerate(logits):
            planes[i].flatten(1).copy_(image.flatten(1))
        logits = planes
    return logits.softmax(1)


def predict_sliding(
    model: nn.Module, images: Tensor, tile_size: int, *, overlap: float = 2 / 3, tile_batch: int = 4
) -> Tensor:
    """Average the probabilities of all tiles that cover a pixel; one forward pass per tile.

    Args:
        model: As in ``Protocol.predict``.
        images: As in ``Protocol.predict``; sides shorter than a tile are not split.
        tile_size: Side of the square tiles in pixels.
        overlap: Share of a tile that overlaps the next one; the last tile of a row ends at the image's border.
        tile_batch: Tiles per forward pass.
    """
    height, width = images.shape[-2:]
    total: Tensor | None = None
    strips = slide(
        model, lambda rows, cols: images[..., rows, cols], (height, width), tile_size, overlap=overlap,
        tile_batch=tile_batch,
    )  # fmt: skip
    for top, probs in strips:
        if total is None:
            total = probs.new_zeros(*probs.shape[:2], height, width)
        total[..., top : top + probs.shape[2], :] = probs
    if total is None:
        raise ValueError(f"Expected images of at least one pixel, got shape {tuple(images.shape)}.")
    return total


def slide(
    model: nn.Module,
    read: Callable[[slice, slice], Tensor],
    size: tuple[int, int],
    tile_size: int,
    *,
    overlap: float = 2 / 3,
    tile_batch: int = 4,
) -> Iterator[tuple[int, Tensor]]:
    """``predict_sliding`` for images of any size: yields rows as soon as no further tile covers them.

    Args:
        model: As in ``Protocol.predict``.
        read: Gives rows and columns of the images, shape (N, 3, h, w).
        size: Height and width of the images.
        tile_size: As in ``predict_sliding``.
        overlap: As in ``predict_sliding``.
        tile_batch: As in ``predict_sliding``.

    Yields:
        The number of the first row, and the probabilities of some rows, shape (N, num_classes, rows, width).
    """
    height, width = size
    tile_height, tile_width = min(tile_size, height), min(tile_size, width)
    step = max(1, round(tile_size * (1 - overlap)))
    corners = [(row, col) for row in _starts(height, tile_height, step) for col in _starts(width, tile_width, step)]
    strip: Tensor | None = None  # sums of the rows that the present tiles cover
    cover: Tensor = torch.empty(0)
    top = 0
    for first in range(0, len(corners), tile_batch):
        chosen = corners[first : first + tile_batch]
        tiles = [read(slice(row, row + tile_height), slice(col, col + tile_width)) for row, col in chosen]
        probs = predict_whole(model, torch.cat(tiles))
        if strip is None:
            strip = probs.new_zeros(len(tiles[0]), probs.shape[1], tile_height, width)
            cover = probs.new_zeros(tile_height, width)
        for (row, col), tile in zip(chosen, torch.split(probs, len(tiles[0])), strict=True):
            if done := row - top:
                yield top, strip[:, :, :done] / cover[:done]
                strip = torch.cat([strip[:, :, done:], torch.zeros_like(strip[:, :, :done])], 2)
                cover = torch.cat([cover[done:], torch.zeros_like(cover[:done])])
                top = row
            strip[..., col : col + tile_width] += tile
            cover[:, col : col + tile_width] += 1
    if strip is not None:
        yield top, strip / cover


def predict_multi_scale(
    predict: Callable[[Tensor], Tensor], images: Tensor, *, scales: Sequence[float] = SCALES, flip: bool = True
) -> Tensor:
    """Average the probabilities at several scales, flipped and not, resized to the images' own size.

    Args:
        predict: Maps images of any size to their probabilities.
        images: As in ``Protocol.predict``.
        scales: Scale factors.
        flip: Also segment the flipped image at each scale.
    """
    size = images.shape[-2:]
    total: Tensor | None = None
    for scale in scales:
        scaled_size = [max(1, round(side * scale)) for side in size]
        scaled = _resize(images, scaled_size)
        probs = predict(scaled)
        if flip:
            probs = (probs + predict(scaled.flip(-1)).flip(-1)) / 2
        probs = _resize(probs, list(size))
        total = probs if total is None else total + probs
    if total is None:
        raise ValueError("scales must hold at least one number.")
    return total / len(scales)


def _starts(length: int, tile: int, step: int) -> list[int]:
    """Return the first pixels of the tiles along one side; the last tile ends at the border."""
    return [*range(0, length - tile, step), length - tile]


def _resize(values: Tensor, size: list[int]) -> Tensor:
    if list(values.shape[-2:]) == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)


def predict_mixture(
    model: nn.Module,
    manifest: Manifest,
    row: ManifestRow,
    image: Tensor,
    options: MixtureOptions | None,
    device: torch.device | str,
) -> Tensor:
    """Compute the Gaussians of an annotated image at every pixel, shape (1, C, H, W); 0 for classes without a label.

    Args:
        model: Maps images to a tuple with ``logits`` and ``features``, in evaluation mode.
        manifest: Manifest of the row.
        row: A row with an annotation.
        image: RGB, uint8, shape (3, H, W).
        options: Options of the mixture; by default the paper's.
        device: Device to compute on.

    Raises:
        TrainingError: If the row has no annotation, or its size differs from the image.
        DataError: If the annotation cannot be read, or its pixels have changed since the manifest was written.
    """
    return mixture_of(model(to_network(image, device)), manifest, row, options)


def mixture_of(
    output: SegmentationOutput, manifest: Manifest, row: ManifestRow, options: MixtureOptions | None
) -> Tensor:
    """``predict_mixture`` from the output of the network for the row's image."""
    require_annotations(manifest, [row])
    labels = torch.from_numpy(read_row_annotation(manifest, row).astype("int64"))
    height, width = output.logits.shape[2:]
    if labels.shape != (height, width):
        raise TrainingError(
            f"{manifest.resolve(row.annotation)}: the annotation is {labels.shape[1]}x{labels.shape[0]}, but the "
            f"image is {width}x{height}; both must have the same size."
        )
    target = labels.to(output.logits.device)[None]
    ignore_index = manifest.label_space.unlabelled_value
    valid = torch.ones_like(target, dtype=torch.bool)
    return mixture_probs(output.features, output.logits, target, valid, options, ignore_index=ignore_index)


def require_annotations(manifest: Manifest, rows: Sequence[ManifestRow]) -> None:
    """Check that each row has an annotation, as the mixture requires.

    Raises:
        TrainingError: If a row has none.
    """
    if bare := next((row for row in rows if not row.annotation), None):
        raise TrainingError(
            f"{manifest.path}: image '{bare.image_id}' of split '{bare.split}' has no annotation, which the mixture "
            "needs. Choose an annotated split with --split, such as train."
        )


@contextmanager
def evaluating(model: nn.Module, device: torch.device | str, amp: bool = False) -> Iterator[None]:
    """Switch to evaluation mode without gradients, optionally in bfloat16; restores the model's mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(torch.device(device).type, torch.bfloat16, enabled=amp):
            yield
    finally:
        model.train(was_training)
