"""The labelled pixels of a batch, and the pairs of image and class that occur among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class LabelledPixels:
    """The labelled pixels of a batch, L in all, and the M pairs (image, class) that occur among them.

    Args:
        image: Image of each labelled pixel, shape (L,); ascending.
        row: Row of each labelled pixel in the target, shape (L,).
        col: Column likewise.
        class_id: Class likewise.
        pair: Pair each pixel belongs to, shape (L,).
        pair_image: Image of each pair, shape (M,); ascending.
        pair_class: Class of each pair, shape (M,).
        pair_pixels: Number of labelled pixels of each pair, shape (M,); 0 only after :func:`with_classes_of_batch`.
        pair_classes: Number of pairs of the pair's image, shape (M,).
        pairs_per_image: Number of pairs of each image, on the host.
        num_comparisons: Sum over labelled pixels of the number of classes labelled in their image, on the host.
        target_size: Height and width of the target.
    """

    image: Tensor
    row: Tensor
    col: Tensor
    class_id: Tensor
    pair: Tensor
    pair_image: Tensor
    pair_class: Tensor
    pair_pixels: Tensor
    pair_classes: Tensor
    pairs_per_image: tuple[int, ...]
    num_comparisons: int
    target_size: tuple[int, int]


def find_labelled(target: Tensor, valid: Tensor, *, num_classes: int, ignore_index: int = 255) -> LabelledPixels:
    """Find the labelled pixels of a batch.

    On CUDA the step waits for the device here: the number of labelled pixels is read first, which waits for the queue
    to empty, then the pairs, at once.

    Args:
        target: Class ids, int64, shape (N, H, W); ``ignore_index`` where there is no label.
        valid: False on padding, bool, shape (N, H, W).
        num_classes: Number of classes.
        ignore_index: The value that marks pixels without a label.

    Raises:
        ValueError: If a label is not a class, the usual sign of another value for unlabelled pixels.
    """
    image, row, col = ((target != ignore_index) & valid).nonzero(as_tuple=True)
    class_id = target[image, row, col]
    # Labels are int64 but must be classes: 2^31 keeps every wrong one apart too, so that the message can name it.
    key, pair, counts = torch.unique((image << 32) + class_id + (1 << 31), return_inverse=True, return_counts=True)
    pair_image, pair_class = key >> 32, (key & 0xFFFFFFFF) - (1 << 31)
    images, classes, pixels = torch.stack([pair_image, pair_class, counts]).tolist()
    wrong = sorted({c for c in classes if not 0 <= c < num_classes})
    if wrong:
        raise ValueError(
            f"target holds {wrong[:5]}, but the logits have classes 0 to {num_classes - 1} and ignore_index is "
            f"{ignore_index}. Unlabelled pixels and padding must hold ignore_index."
        )
    per_image = Counter(images)
    pairs_per_image = tuple(per_image[n] for n in range(target.shape[0]))
    return LabelledPixels(
        image,
        row,
        col,
        class_id,
        pair,
        pair_image,
        pair_class,
        pair_pixels=counts,
        pair_classes=count_each(pair_image, target.shape[0])[pair_image],
        pairs_per_image=pairs_per_image,
        num_comparisons=sum(count * per_image[n] for n, count in zip(images, pixels, strict=True)),
        target_size=(target.shape[1], target.shape[2]),
    )


def count_each(values: Tensor, num_values: int) -> Tensor:
    """How often 0, 1, ... occur; unlike ``torch.bincount`` without waiting for the device.

    Args:
        values: int64, shape (n,), below ``num_values``.
        num_values: How many to count.

    Returns:
        int64, shape (num_values,).
    """
    return values.new_zeros(num_values).index_add_(0, values, torch.ones_like(values))


def with_classes_of_batch(labelled: LabelledPixels) -> LabelledPixels:
    """The same labelled pixels, with a pair for every image and every class that is labelled anywhere in the batch.

    Sizes follow from what is on the host already but for the number of classes, one more wait on CUDA.
    """
    num_images = len(labelled.pairs_per_image)
    classes, slot = torch.unique(labelled.pair_class, return_inverse=True)
    new_pair = labelled.pair_image * len(classes) + slot
    pixels = labelled.pair_pixels.new_zeros(num_images * len(classes))
    pixels[new_pair] = labelled.pair_pixels
    images = torch.arange(num_images, device=classes.device)
    return replace(
        labelled,
        pair=new_pair[labelled.pair],
        pair_image=images.repeat_interleave(len(classes)),
        pair_class=classes.repeat(num_images),
        pair_pixels=pixels,
        pair_classes=torch.full_like(pixels, len(classes)),
        pairs_per_image=(len(classes),) * num_images,
        num_comparisons=len(labelled.row) * len(classes),
    )
