"""Grow sparse labels to the pixels whose features in an encoder resemble those of a labelled pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from agmm.config.growing import FEATURES, FeatureGrowSettings
from agmm.config.model import ModelConfig
from agmm.data.masked_images import image_tensor, to_network
from agmm.distributed import choose_device
from agmm.errors import TrainingError
from agmm.models.encoders import Encoder, build_encoder, image_statistics
from agmm.training.label_folder import annotation_name, begin, find_finished, finish
from data_manifests import DataError, LabelMap, Manifest, ManifestRow, __version__, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from data_manifests.files.paths import absolute, as_path, inside, name_from
from data_manifests.manifest.derive import count_unlabelled, grown_folder, read_source
from data_manifests.manifest.rows import read_row_annotation, read_row_image
from data_manifests.manifest.schema import GROWN
from data_manifests.manifest.validate import Problem

#: Prototypes that are compared with all positions at once; areas and strokes have tens of thousands.
_MOST_AT_ONCE = 4096

#: Levels finer than this, in image pixels per step, hold edges rather than objects.
_FINEST_STRIDE = 4


@dataclass(frozen=True)
class FeatureGrower:
    """Grows the labels of images by the features of one encoder.

    Args:
        encoder: In evaluation mode.
        mean: Mean of each channel of its images, shape (1, 3, 1, 1).
        std: Standard deviation, same shape.
        settings: Limits and size.
        device: Where to compute.
    """

    encoder: Encoder
    mean: Tensor
    std: Tensor
    settings: FeatureGrowSettings
    device: torch.device

    @classmethod
    def build(cls, settings: FeatureGrowSettings, device: str = "auto") -> FeatureGrower:
        """Build the encoder.

        Raises:
            TrainingError: If the encoder is unknown, or its weights are unavailable or do not fit.
        """
        where = choose_device(device)
        config = ModelConfig(1, settings.encoder, settings.encoder_weights, output_stride=8)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            encoder = build_encoder(config).eval().to(where)
        mean, std = (torch.tensor(values, device=where).reshape(1, -1, 1, 1) for values in image_statistics(config))
        return cls(encoder, mean, std, settings, where)

    @torch.inference_mode()
    def features(self, image: Tensor) -> Tensor:
        """Features of an image: all levels of the encoder from stride 4 on, each of unit length, one after the other.

        Args:
            image: RGB in 0..1, float32, shape (1, 3, H, W).

        Returns:
            Shape (D, h, w), of the finest level's size; the squared length of each vector is the number of levels.
        """
        height, width = image.shape[-2:]
        scale = self.settings.size / max(height, width)
        size = max(round(height * scale), 1), max(round(width * scale), 1)
        scaled = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        scaled = (scaled - self.mean) / self.std
        strides, levels = self.encoder.strides, self.encoder(scaled)
        levels = [level for level, stride in zip(levels, strides, strict=True) if stride >= _FINEST_STRIDE]
        levels = [self.encoder.without_padding(level.float(), scaled) for level in levels]
        finest = max((level.shape[-2:] for level in levels), key=lambda shape: shape[0])
        resized = [F.interpolate(level, finest, mode="bilinear", align_corners=False) for level in levels]
        return torch.cat([F.normalize(level[0], dim=0) for level in resized])

    def grow(self, sparse: LabelMap, image: NDArray[np.uint8], unlabelled: int) -> LabelMap:
        """Grow the labels of an image; existing labels are kept.

        A labelled pixel is a prototype: its feature vector, interpolated bilinearly. The distance of a position to a
        class is the smallest cosine distance to a prototype of it, interpolated bilinearly between positions. A pixel
        gets the nearest class if that is near and clearly nearer than the next; see ``FeatureGrowSettings``.

        Args:
            sparse: Sparse label map, shape (H, W).
            image: RGB, shape (H, W, 3).
            unlabelled: Value of unlabelled pixels.

        Returns:
            Label map, shape (H, W), with ``unlabelled`` where no label is reliable.
        """
        rows, cols = np.nonzero(sparse != unlabelled)
        if not len(rows):
            return sparse.copy()
        classes, labels = np.unique(sparse[rows, cols], return_inverse=True)
        features = F.normalize(self.features(to_network(image_tensor(image), self.device)), dim=0)
        prototypes = _sample(features, rows, cols, sparse.shape)
        distances = class_distances(features, prototypes, torch.from_numpy(labels).to(self.device), len(classes))
        of_pixels = F.interpolate(distances[None], sparse.shape, mode="bilinear", align_corners=False)[0].cpu().numpy()
        nearest = nearest_class(of_pixels, self.settings.max_distance, self.settings.confidence)
        values = np.append(classes, unlabelled).astype(sparse.dtype)  # -1 is the last
        return np.where(sparse != unlabelled, sparse, values[nearest])


def _sample(features: Tensor, rows: NDArray[np.int64], cols: NDArray[np.int64], shape: tuple[int, ...]) -> Tensor:
    """Unit vectors at pixels of an image of this height and width, shape (n, D)."""
    places = np.stack([(cols + 0.5) / shape[1], (rows + 0.5) / shape[0]], axis=1) * 2 - 1
    grid = torch.from_numpy(places.astype(np.float32)).to(features.device)[None, None]
    found = F.grid_sample(features[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.normalize(found[0, :, 0].T, dim=1)


def class_distances(features: Tensor, prototypes: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Cosine distance of each position to the nearest prototype of each class.

    Args:
        features: Unit vectors, shape (D, h, w).
        prototypes: Unit vectors, shape (n, D).
        labels: Class of each prototype, 0..num_classes-1, shape (n,); each class has one.
        num_classes: Number of classes C.

    Returns:
        Shape (C, h, w).
    """
    nearest = []
    for index in range(num_classes):
        parts = torch.split(prototypes[labels == index], _MOST_AT_ONCE)
        nearest.append(torch.stack([torch.einsum("nd,dhw->nhw", part, features).amax(0) for part in parts]).amax(0))
    return (1 - torch.stack(nearest)).clamp(min=0)


def nearest_class(distances: NDArray[np.float32], max_distance: float, confidence: float) -> NDArray[np.int64]:
    """The nearest class of each pixel, if it is near enough and clearly nearer than all others.

    Args:
        distances: Shape (C, H, W).
        max_distance: Largest distance to the nearest class, d1.
        confidence: Smallest d2 / (d1 + d2), with the distance d2 to the next class; a single class has none.

    Returns:
        Index of the class, -1 for none, shape (H, W).

    Example:
        >>> nearest_class(np.array([[[0.1, 0.3, 0.5]], [[0.4, 0.4, 0.8]]]), 0.4, 0.6)
        array([[ 0, -1, -1]])
    """
    order = np.sort(distances, axis=0)
    keep = order[0] <= max_distance
    if len(order) > 1:
        keep &= (order[1] > order[0]) & (order[1] * (1 - confidence) >= order[0] * confidence)
    return np.where(keep, distances.argmin(axis=0), -1)


def grow_by_features(
    manifest: Manifest,
    settings: FeatureGrowSettings,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> Manifest:
    """Grow the labels of a manifest by the features of an encoder, into a new annotation folder.

    The folder appears only when it is complete, and an interrupted call resumes. It has no marks. Full masks are not
    used. Rows without annotation are copied unchanged.

    Args:
        manifest: The source, left unchanged. The new ``manifest.json`` records its path and the hash of its files.
        settings: Encoder and limits.
        out: Output folder; ``grown_folder`` if not given.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        overwrite: Replace other contents of the folder.
        on_image: Called after each image.

    Raises:
        DataError: If no annotation has a label, a file or the encoder cannot be used, the folder holds something else,
            or another process is writing to it.
        ValueError: If ``out`` is the folder of the source.
    """
    out_dir = grown_folder(manifest, FEATURES) if out is None else as_path(out)
    if absolute(out_dir) == absolute(manifest.path).parent:
        raise ValueError(f"{out_dir}: is the folder of the source, which would be overwritten. Choose another --out.")
    count_unlabelled(manifest)
    rows = [row for row in manifest.rows if row.annotation]
    recorded = _provenance(manifest, settings, out_dir)
    advice = "Give --overwrite to replace them, or choose another --out."
    if (found := find_finished(out_dir, recorded, overwrite, "labels", advice)) is not None:
        return found
    grower = FeatureGrower.build(settings, device)
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    lock = FolderLock(partial)
    lock.acquire(out_dir)
    try:
        if (found := find_finished(out_dir, recorded, overwrite, "labels", advice)) is not None:
            return found  # another process has just made it
        begin(partial, recorded)
        for row in rows:
            path = inside(partial, annotation_name(row))
            if not path.exists():
                sparse, image = read_row_annotation(manifest, row), read_row_image(manifest, row)
                grown = grower.grow(sparse, image, manifest.label_space.unlabelled_value)
                write_atomically(path, encode_label_map(grown, manifest.label_space))
            on_image()
        info = replace(manifest.info, command=GROWN, settings=recorded, tool_version=__version__)
        finish(manifest, info, {row.image_id for row in rows}, partial, out_dir)
    finally:
        lock.release()
    return read_manifest(out_dir)


def _provenance(manifest: Manifest, settings: FeatureGrowSettings, out_dir: Path) -> dict[str, Any]:
    weights: dict[str, Any] = {"encoder_weights": settings.encoder_weights}
    if settings.has_file:
        path = as_path(settings.encoder_weights)
        weights = {
            "encoder_weights": name_from(out_dir, path),
            "encoder_weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    return {
        **settings.to_dict(),
        **weights,
        "source": name_from(out_dir, manifest.path),
        "source_sha256": manifest.sha256(),
        "source_command": manifest.info.command,
        "source_settings": dict(manifest.info.settings),
    }


def verify_features(
    manifest: Manifest, *, device: str = "auto", on_image: Callable[[], None] = lambda: None
) -> list[Problem]:
    """Grow the labels of a manifest made by ``grow_by_features`` again, and compare; writes nothing.

    Args:
        manifest: The grown manifest.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        on_image: Called after each image.

    Returns:
        A problem for each difference, as ``sparsekit.verify_manifest`` returns them.

    Raises:
        DataError: If the source is missing or has changed, or the encoder cannot be used.
    """
    source = read_source(manifest)
    grower = FeatureGrower.build(_recorded_settings(manifest), device)
    known = {row.image_id: row for row in source.rows}
    problems = []
    for row in manifest.rows:
        if row.annotation:
            problems += _compare(grower, manifest, row, source, known)
            on_image()
    return problems


def _compare(
    grower: FeatureGrower, manifest: Manifest, row: ManifestRow, source: Manifest, known: dict[str, ManifestRow]
) -> list[Problem]:
    problems = []
    try:
        before = known.get(row.image_id)
        if before is None:
            return [Problem("missing", row.image_id, f"no such image in {source.path}")]
        # The image of the grown manifest, which --data-root finds.
        sparse, image = read_row_annotation(source, before), read_row_image(manifest, row)
        made = grower.grow(sparse, image, source.label_space.unlabelled_value)
        if pixel_sha256(made) != row.annotation_sha256:
            problems.append(Problem("annotation", row.image_id, "the reproduced annotation differs"))
        path = manifest.resolve(row.annotation)
        if pixel_sha256(read_mask(path)) != row.annotation_sha256:
            problems.append(Problem("file", row.image_id, f"{path} has changed since it was made"))
    except (DataError, OSError) as error:
        problems.append(Problem("missing", row.image_id, str(error)))
    return problems


def _recorded_settings(manifest: Manifest) -> FeatureGrowSettings:
    recorded = manifest.info.settings
    names = ("encoder", "encoder_weights", "max_distance", "confidence", "size", "seed")
    try:
        values = {name: recorded[name] for name in names if name in recorded}
        if sha256 := recorded.get("encoder_weights_sha256"):
            path = manifest.resolve(values["encoder_weights"])
            values["encoder_weights"] = str(path)
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise TrainingError(f"{path}: these weights are not those that {manifest.path} was made with.")
        return FeatureGrowSettings(**values)
    except OSError as error:
        raise TrainingError(f"{manifest.path}: the weights that it was made with are missing ({error}).") from error
    except (TypeError, ValueError) as error:
        raise TrainingError(f"{manifest.path}: its settings cannot be understood ({error}).") from error
