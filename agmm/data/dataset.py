"""Training samples from a manifest: each row gives an image, its target, its valid pixels and its classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from agmm.config.data import SUPERVISIONS, Augmentation, Supervision
from agmm.data.labels import DENSE_SHARE, DenseLabels, Labels, SparseLabels
from agmm.data.soft_labels import SoftLabels, has_soft_labels, read_row_soft_labels
from agmm.data.transforms import Window, change_colors, crop_image, draw_window, valid_mask
from agmm.data.user_transform import Transform, apply_transform
from agmm.errors import TrainingError
from data_manifests import Manifest, ManifestRow, read_manifest
from data_manifests.errors import DataError, counted
from data_manifests.label_maps import LabelMap
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image

# Limit of the coordinate cache in each worker process; enough for more than a million clicks.
_CACHE_BYTES = 128 * 2**20
# Separates the random numbers of the order from those of the samples.
_ORDER, _SAMPLE = 0, 1


class Sample(NamedTuple):
    """One training sample, or a batch of N of them with N as the first dimension.

    Pixels stay bytes until they are on the device, where ``to_network_input`` converts them to floats: a quarter of
    the traffic, and channels-last memory without a copy.

    Args:
        image: RGB, uint8, shape (H, W, 3), or the bands that the settings name.
        target: Train ids, uint8 (int32 above 255 classes), shape (H, W); ``ignore_index`` where there is no label.
        valid: Pixels of the image, bool, shape (H, W); False at padding.
        image_classes: Classes labelled anywhere in the whole image, bool, shape (C,).
        soft_classes: Classes of the soft labels, uint8 (int32 above 255 classes), shape (K, H, W); K is 0 if labels
            are not soft.
        soft_shares: Shares of these classes, in 1/255, uint8, shape (K, H, W).
    """

    image: Tensor
    target: Tensor
    valid: Tensor
    image_classes: Tensor
    soft_classes: Tensor
    soft_shares: Tensor

    @property
    def is_soft(self) -> bool:
        """Whether it holds soft labels."""
        return bool(self.soft_classes.numel())


def to_network_input(batch: Sample, device: torch.device) -> Sample:
    """Move a batch's images, and soft labels, to the device.

    Other labels stay: ``AGMMLoss`` locates labelled pixels on the CPU while the device computes the network.

    Returns:
        The batch with the image as float32 in 0..1, shape (N, 3, H, W), and with soft labels as int64 classes and
        float32 shares in 0..1, both of shape (N, K, H, W).
    """
    image = batch.image.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
    batch = batch._replace(image=image)
    if not batch.is_soft:
        return batch
    soft = (batch.target, batch.valid, batch.soft_classes, batch.soft_shares)
    target, valid, classes, shares = (part.to(device, non_blocking=True) for part in soft)
    shares = shares.float().div_(255)
    return batch._replace(target=target, valid=valid, soft_classes=classes.long(), soft_shares=shares)


@dataclass
class ManifestDataset(Dataset[Sample]):
    """Samples of the rows of a manifest, including soft labels if it has them.

    Args:
        manifest: Manifest of the rows.
        rows: Rows to sample from.
        augmentation: How a sample is drawn from an image.
        supervision: ``sparse`` reads the annotations, ``full`` the full masks.
        seed: Sample ``(number, index)`` depends only on the seed, not on the process or the time.
        transform: Your own augmentation, called last as ``transform(image=..., masks=..., keypoints=...)``, as an
            ``albumentations.Compose`` with ``keypoint_params`` is. ``image`` is uint8, shape (h, w, bands). ``masks``
            is a list of maps of shape (h, w): the valid pixels as 0 and 1, and the target if labels are areas.
            ``keypoints`` holds the labelled pixels of sparse labels, float32, shape (K, 3): x, y, train id; whole
            numbers are pixel centres. It returns a mapping with the same keys. Pixels that it makes invalid lose
            their label. It may change the size, if all samples of a batch get the same. Random numbers that it draws
            from the global generators of Python, NumPy and torch, or from one of its own that ``set_random_seed``
            seeds, depend only on the sample's.

    Raises:
        TrainingError: If a row lacks the file that the supervision requires, or labels are soft and there is a
            transform.
        ValueError: If the supervision is unknown.
    """

    manifest: Manifest
    rows: Sequence[ManifestRow]
    augmentation: Augmentation
    supervision: Supervision = "sparse"
    seed: int = 0
    transform: Transform | None = None
    _cache: dict[int, SparseLabels] = field(default_factory=dict, init=False, repr=False)
    _cached_bytes: int = field(default=0, init=False, repr=False)
    # Times each row was drawn, and last the epoch that was set, or -1. Shared, so that worker processes count on.
    _draws: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        counts = torch.zeros(len(self.rows) + 1, dtype=torch.int64)
        self._draws = counts.share_memory_()  # type: ignore[no-untyped-call]
        self._draws[-1] = -1
        if self.supervision not in SUPERVISIONS:
            raise ValueError(f"Unknown supervision '{self.supervision}'. Choose from: {', '.join(SUPERVISIONS)}.")
        column = "annotation" if self.supervision == "sparse" else "full_mask"
        if lacking := [row.image_id for row in self.rows if not getattr(row, column)]:
            raise TrainingError(
                f"{self.manifest.path}: {len(lacking)} rows to train on have no {column} (first: '{lacking[0]}'). "
                "Annotate that split, choose another one, or choose another --supervision."
            )
        if self.transform is not None and self.is_soft:
            raise TrainingError(f"{self.manifest.path}: has soft labels, which a transform of your own cannot change.")

    @classmethod
    def from_manifest(
        cls,
        manifest: Manifest | str | Path,
        crop_size: int | tuple[int, int],
        *,
        split: str = "train",
        supervision: Supervision = "sparse",
        seed: int = 0,
        transform: Transform | None = None,
    ) -> Self:
        """Make the dataset of a split with the default augmentation, for any loader or framework.

        Args:
            manifest: A manifest, also one of selected rows, or its path.
            crop_size: Height and width of the samples in pixels, or one number for both.
            split: Split to sample from.
            supervision: ``sparse`` reads the annotations, ``full`` the full masks.
            seed: Seed of the samples.
            transform: Your own augmentation; see :class:`ManifestDataset`.

        Raises:
            ManifestError: If the split has no rows, or the manifest cannot be read.
            TrainingError: If a row lacks the file that the supervision requires.
        """
        manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
        size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
        return cls(manifest, manifest.rows_of(split), Augmentation(size), supervision, seed, transform)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        """One line, as notebooks and debuggers show it."""
        images = counted(len(self), "image")
        return f"<ManifestDataset {self.manifest.path}: {images}, {self.supervision}, {self.augmentation}>"

    def set_epoch(self, epoch: int) -> None:
        """Draw the samples of this epoch from now on, as frameworks that resume ask for.

        Without it, every draw of a row gives the next sample of that row, whichever worker process draws it: plain
        loaders get new crops in each epoch. An :class:`EpochSampler` numbers samples itself and needs neither.
        """
        self._draws[-1] = epoch

    def _count(self, index: int) -> tuple[int, int]:
        index = range(len(self))[index]  # the error for an index past the end ends a loop over the dataset
        number, epoch = int(self._draws[index]), int(self._draws[-1])
        self._draws[index] += 1
        return number if epoch < 0 else epoch, index

    @property
    def is_soft(self) -> bool:
        """Whether its samples hold soft labels."""
        return self.supervision == "sparse" and has_soft_labels(self.manifest)

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Draw a sample.

        Args:
            key: Index of the row, or the number of the sample in the run and the index of the row. Equal numbers give
                equal samples; an index alone counts the draws of its row (see :meth:`set_epoch`).
        """
        number, index = key if isinstance(key, tuple) else self._count(key)
        row = self.rows[index]
        rng = np.random.default_rng((self.seed, _SAMPLE, number, index))
        labels = self.labels(index)
        image = read_row_image(self.manifest, row)
        window = self._draw(rng, row, labels)
        pixels = crop_image(image, window, self.augmentation.padding)
        if self.augmentation.photometric:
            pixels = change_colors(pixels, rng)
        target = labels.crop(window)
        image_classes = np.zeros(self.manifest.label_space.num_classes, np.bool_)
        image_classes[labels.classes()] = True
        valid = valid_mask(window)
        if self.transform is not None:
            pixels, target, valid = apply_transform(
                self.transform, pixels, target, valid, sparse=isinstance(labels, SparseLabels),
                ignore_index=self.manifest.label_space.unlabelled_value, seed=int(rng.integers(2**32)),
            )  # fmt: skip
        none = np.empty((0, *valid.shape), np.uint8)
        soft = read_row_soft_labels(self.manifest, row).crop(window) if self.is_soft else SoftLabels(none, none)
        return Sample(
            torch.from_numpy(np.ascontiguousarray(pixels)),
            _tensor_of_ids(target),
            torch.from_numpy(valid),
            torch.from_numpy(image_classes),
            _tensor_of_ids(soft.classes),
            torch.from_numpy(soft.shares),
        )

    def __getitems__(self, keys: Sequence[int | tuple[int, int]]) -> list[Sample] | DataError:
        """Draw the samples of a batch; return an error to :func:`batches`, since a worker process wraps its message."""
        try:
            return [self[key] for key in keys]
        except DataError as error:
            if isinstance(keys[0], tuple):
                return error
            raise  # a plain loader knows nothing of returned errors

    def labels(self, index: int) -> Labels:
        """Read the labels of a row: cached coordinates, or a label map if they cover ``DENSE_SHARE`` of the image.

        Raises:
            DataError: If the file is missing or damaged, or has another size or other classes.
        """
        if index in self._cache:
            return self._cache[index]
        row, ignore_index = self.rows[index], self.manifest.label_space.unlabelled_value
        read = read_row_full_mask if self.supervision == "full" else read_row_annotation
        label_map = read(self.manifest, row)
        if self.supervision == "full" or self.is_soft or row.num_labelled > DENSE_SHARE * row.height * row.width:
            return DenseLabels(label_map, ignore_index)
        labels = SparseLabels.from_label_map(label_map, ignore_index)
        if self._cached_bytes + labels.num_bytes <= _CACHE_BYTES:
            self._cache[index] = labels
            self._cached_bytes += labels.num_bytes
        return labels

    def _draw(self, rng: np.random.Generator, row: ManifestRow, labels: Labels) -> Window:
        size = row.height, row.width
        through = labels.pick(rng) if self.augmentation.label_aware else None
        window = draw_window(rng, size, self.augmentation, through)
        for _ in range(self.augmentation.redraws):
            if labels.any_inside(window):
                break
            window = draw_window(rng, size, self.augmentation, through)
        return window


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (sample number, row index) for one rank of one epoch.

    The order of an epoch depends only on the seed and the epoch. It is split into groups of
    ``batch_size * num_ranks * accumulate`` samples, one group per optimizer step. The batches of a group go to the
    ranks in turn, so two ranks together see the same as one rank that accumulates over two batches. An incomplete last
    group is dropped, since the next epoch has its own order. Fewer images than one group are repeated to fill it.

    Args:
        num_images: Rows of the dataset.
        batch_size: Images per batch and rank.
        accumulate: Batches per step of the optimizer.
        seed: Equal seeds give equal orders.
        rank: Index of this process.
        num_ranks: Number of processes.

    Raises:
        ValueError: If there are no images, or a size is below 1.
    """

    def __init__(
        self, num_images: int, batch_size: int, accumulate: int = 1, *, seed: int, rank: int = 0, num_ranks: int = 1
    ) -> None:
        if min(num_images, batch_size, accumulate, num_ranks) < 1:
            raise ValueError(
                f"num_images, batch_size, accumulate and num_ranks must be at least 1, got {num_images}, {batch_size}, "
                f"{accumulate} and {num_ranks}."
            )
        self.epoch = 0
        self.steps_per_epoch = max(1, num_images // (batch_size * accumulate * num_ranks))
        self._num_images, self._batch_size, self._accumulate = num_images, batch_size, accumulate
        self._seed, self._rank, self._num_ranks = seed, rank, num_ranks

    def set_epoch(self, epoch: int) -> None:
        """Take the order and the samples of this epoch, from 0; the same as setting ``epoch``."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches of this rank in one epoch."""
        return self.steps_per_epoch * self._accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        total = len(self) * self._num_ranks * self._batch_size
        rng = np.random.default_rng((self._seed, _ORDER, self.epoch))
        rounds = -(-total // self._num_images)
        order = np.concatenate([rng.permutation(self._num_images) for _ in range(rounds)])[:total]
        keys = list(zip(range(self.epoch * total, (self.epoch + 1) * total), order.tolist(), strict=True))
        batches = [keys[i : i + self._batch_size] for i in range(0, total, self._batch_size)]
        return iter(batches[self._rank :: self._num_ranks])


def make_loader(dataset: ManifestDataset, sampler: EpochSampler, workers: int, pin_memory: bool) -> DataLoader[Sample]:
    """Make a loader of the sampler's batches; the number of worker processes affects only speed."""
    workers = min(workers, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return DataLoader(
        dataset, batch_sampler=sampler, num_workers=workers, pin_memory=pin_memory, persistent_workers=workers > 0,
        worker_init_fn=_start_worker, collate_fn=_collate,
        generator=torch.Generator(),  # its own; starting workers would otherwise draw from the one of dropout
    )  # fmt: skip


def batches(loader: DataLoader[Sample]) -> Iterator[Sample]:
    """Yield the loader's batches.

    Raises:
        DataError: If a file of the manifest cannot be used.
    """
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


def _tensor_of_ids(ids: LabelMap) -> Tensor:
    return torch.from_numpy(ids if ids.dtype == np.uint8 else ids.astype(np.int32))


def _collate(samples: list[Sample] | DataError) -> Sample | DataError:
    return samples if isinstance(samples, DataError) else Sample(*default_collate(samples))


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)  # the worker processes already use all cores
