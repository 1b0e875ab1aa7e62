"""The labelled pixels of a batch, and the pairs of image and class that occur among them.

They are located on the CPU, because their number determines the shapes of nearly everything that follows, and reading
it from a device would stall. Results are copied to the device, never back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

#: Fields that :meth:`LabelledPixels.to` copies.
_TENSORS = ("position", "class_id", "pair_image", "pair_class", "pair_pixels", "pair_classes", "pair_of")


@dataclass(frozen=True)
class LabelledPixels:
    """The L labelled pixels of a batch, and the M pairs (image, class) that occur among them.

    Args:
        position: Index of each labelled pixel in the flattened target of the batch, shape (L,); ascending.
        class_id: Class of each labelled pixel, shape (L,).
        pair_image: Image of each pair, shape (M,); ascending.
        pair_class: Class of each pair, shape (M,); ascending within an image.
        pair_pixels: Number of labelled pixels of each pair, shape (M,); 0 only after :func:`with_classes_of_batch`.
        pair_classes: Number of pairs of the pair's image, shape (M,).
        pair_of: Pair of each image and class, shape (N, C); -1 if there is none.
        pairs_per_image: Number of pairs of each image.
        num_comparisons: Sum over labelled pixels of the number of pairs of their image.
        target_size: Height and width of the target.
        found: The original on the CPU, if this is a copy on a device.
    """

    position: Tensor
    class_id: Tensor
    pair_image: Tensor
    pair_class: Tensor
    pair_pixels: Tensor
    pair_classes: Tensor
    pair_of: Tensor
    pairs_per_image: tuple[int, ...]
    num_comparisons: int
    target_size: tuple[int, int]
    found: LabelledPixels | None = None

    @cached_property
    def image(self) -> Tensor:
        """Image of each labelled pixel, shape (L,); ascending."""
        height, width = self.target_size
        return self.position // (height * width)

    @cached_property
    def row(self) -> Tensor:
        """Row of each labelled pixel in the target, shape (L,)."""
        height, width = self.target_size
        return self.position // width % height

    @cached_property
    def col(self) -> Tensor:
        """Column of each labelled pixel in the target, shape (L,)."""
        return self.position % self.target_size[1]

    @cached_property
    def pair(self) -> Tensor:
        """Pair that each labelled pixel belongs to, shape (L,)."""
        return self.pair_of[self.image, self.class_id]

    @property
    def on_host(self) -> LabelledPixels:
        """The same on the CPU, where reading a size does not stall."""
        return self if self.found is None else self.found

    def to(self, device: torch.device) -> LabelledPixels:
        """Return a copy on a device, without waiting for it, or itself if it is there already."""
        if self.position.device == device:
            return self
        found = self.on_host
        moved: dict[str, Any] = {name: send(getattr(found, name), device) for name in _TENSORS}
        return replace(found, found=found, **moved)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy from the CPU to a device without waiting for it."""
    if device.type == "cuda":
        values = values.pin_memory()  # without pinned memory, CUDA finishes its work before it copies
    return values.to(device, non_blocking=True)


def find_labelled(
    target: Tensor, valid: Tensor, *, num_classes: int, ignore_index: int = 255, device: torch.device | None = None
) -> LabelledPixels:
    """Find the labelled pixels of a batch.

    If ``target`` is on the CPU, this never waits for a device. If it is on a device, this waits for the device to
    finish all pending work.

    Args:
        target: Class ids, an integer type, shape (N, H, W); ``ignore_index`` where there is no label.
        valid: False on padding, bool, shape (N, H, W).
        num_classes: Number of classes.
        ignore_index: The value of unlabelled pixels.
        device: Device of the result; by default that of ``target``.

    Raises:
        ValueError: If a label is not a class, usually because unlabelled pixels have another value.
    """
    mask = (target != ignore_index) & valid.to(target.device)
    position = mask.flatten().nonzero()[:, 0]
    position, class_id = position.cpu(), target.flatten()[position].cpu().long()
    if len(class_id) and (class_id.min() < 0 or class_id.max() >= num_classes):
        wrong = [c for c in torch.unique(class_id).tolist() if not 0 <= c < num_classes]
        raise ValueError(
            f"target holds {wrong[:5]}, but the logits have classes 0 to {num_classes - 1} and ignore_index is "
            f"{ignore_index}. Unlabelled pixels and padding must hold ignore_index."
        )
    num_images, height, width = target.shape
    key = position // (height * width) * num_classes + class_id
    pixels = torch.bincount(key, minlength=num_images * num_classes).view(num_images, num_classes)
    found = _with_pairs(position, class_id, pixels, pixels > 0, (height, width))
    return found.to(target.device if device is None else device)


def with_classes_of_batch(labelled: LabelledPixels) -> LabelledPixels:
    """Add a pair for every image and every class that is labelled anywhere in the batch."""
    found = labelled.on_host
    pixels = torch.zeros_like(found.pair_of)
    pixels[found.pair_image, found.pair_class] = found.pair_pixels
    pairs = (pixels > 0).any(0).expand_as(pixels)
    wider = _with_pairs(found.position, found.class_id, pixels, pairs, found.target_size)
    return wider.to(labelled.position.device)


def _with_pairs(
    position: Tensor, class_id: Tensor, pixels: Tensor, pairs: Tensor, target_size: tuple[int, int]
) -> LabelledPixels:
    """Number the pairs, given as bool (N, C) with their counts of labelled pixels (N, C)."""
    pair_image, pair_class = pairs.nonzero(as_tuple=True)
    pair_of = torch.full_like(pixels, -1)
    pair_of[pair_image, pair_class] = torch.arange(len(pair_image))
    per_image = pairs.sum(1)
    return LabelledPixels(
        position,
        class_id,
        pair_image,
        pair_class,
        pair_pixels=pixels[pair_image, pair_class],
        pair_classes=per_image[pair_image],
        pair_of=pair_of,
        pairs_per_image=tuple(per_image.tolist()),
        num_comparisons=int((pixels.sum(1) * per_image).sum()),
        target_size=target_size,
    )
