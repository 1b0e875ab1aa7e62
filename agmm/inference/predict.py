"""Predict label maps of images with a run, and optionally overlays, probabilities and the mixture's prediction."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from agmm.config.protocol import PREDICTED_IDS, PredictedIds, ProtocolName
from agmm.data.masked_images import image_tensor, to_network
from agmm.data.resize import as_rgb
from agmm.distributed import choose_device
from agmm.errors import TrainingError
from agmm.inference.protocols import Protocol, evaluating, make_protocol, predict_mixture
from agmm.runs.checkpoint import load_run
from data_manifests import DataError, LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.files.geo import is_georeferenced, write_georeferenced
from data_manifests.files.images import encode_image, encode_label_map, write_atomically
from data_manifests.files.paths import as_path, inside, is_remote


@dataclass(frozen=True)
class PredictionSummary:
    """Result of ``predict_images``.

    Args:
        num_images: Number of segmented images, in ``label_maps/``.
        num_mixtures: Number of images with a prediction of the mixture, in ``mixture/``.
    """

    num_images: int
    num_mixtures: int


def predict_images(
    run: str | Path,
    images: dict[Path, Path],
    out_dir: str | Path,
    *,
    protocol: ProtocolName = "whole",
    tile_size: int | None = None,
    overlap: float = Protocol.overlap,
    crf: bool = False,
    overlays: bool = False,
    probabilities: bool = False,
    ids: PredictedIds = "train",
    gmm_manifest: Manifest | None = None,
    device: str = "auto",
    amp: bool = False,
    on_image: Callable[[], None] | None = None,
    on_problem: Callable[[str], None] | None = None,
) -> PredictionSummary:
    """Segment images.

    Args:
        run: Run folder or weights file.
        images: By name, from ``agmm.inference.sources.find_images``.
        out_dir: Folder for ``label_maps/NAME.png`` (train ids in the class colours), of a GeoTIFF also ``NAME.tif``
            with its coordinate system and transform (needs rasterio), and, optionally,
            ``overlays/NAME.jpg``, ``probabilities/NAME.npy`` and ``mixture/NAME.png``.
        protocol: How to segment images.
        tile_size: See ``make_protocol``.
        overlap: Share of a tile that overlaps the next one.
        crf: Refine with a dense CRF.
        overlays: Draw the classes over the images.
        probabilities: Save the probabilities, float16, shape (C, H, W).
        ids: Values of the label maps: ``train`` ids in the class colours, or the dataset's own ids (``class``) as grey
            PNG, as the Cityscapes server expects them.
        gmm_manifest: Draw the class of the highest Gaussian for images annotated in this manifest.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        amp: Compute in bfloat16.
        on_image: Called after each image.
        on_problem: Called with a message for each image that cannot be read, which is then skipped. By default such
            images are errors.

    Raises:
        DataError: If the run cannot be loaded, an image cannot be read, or none of the images is annotated in the
            manifest.
        ValueError: If the protocol's values are out of range, or ``ids`` is unknown.
    """
    if ids not in PREDICTED_IDS:
        raise ValueError(f"Unknown ids '{ids}'. Choose from: {', '.join(PREDICTED_IDS)}.")
    out_dir = as_path(out_dir)
    where = choose_device(device)
    loaded = load_run(run, where)
    space, config = loaded.label_space, loaded.info.config
    settings = make_protocol(protocol, config.crop_size, tile_size=tile_size, overlap=overlap, crf=crf)
    rows: dict[Path, ManifestRow] = {}
    if gmm_manifest is not None:
        loaded.info.require_classes(gmm_manifest.label_space, gmm_manifest.path)
        rows = _annotated(gmm_manifest, images)
    options = config.mixture()
    num_images = num_mixtures = 0
    with evaluating(loaded.model, where, amp):
        for name, path in images.items():
            try:
                image = loaded.info.images.read(path)
            except DataError as error:
                if on_problem is None:
                    raise
                on_problem(str(error))
                continue
            num_images += 1
            probs = settings.predict(loaded.model, to_network(image_tensor(image), where))
            label_map = _label_map(probs, space)
            encoded = (
                encode_label_map(label_map, space) if ids == "train" else encode_image(space.to_class_ids(label_map))
            )
            _write(out_dir / "label_maps", name, ".png", encoded)
            if is_georeferenced(path) and not is_remote(out_dir):
                values = label_map if ids == "train" else space.to_class_ids(label_map)
                target = inside(out_dir / "label_maps", f"{name}.tif")
                write_georeferenced(target, values, path, space.unlabelled_value)
            if overlays:
                _write(
                    out_dir / "overlays", name, ".jpg", encode_image(_overlay(as_rgb(image), label_map, space), "JPEG")
                )
            if probabilities:
                _write(out_dir / "probabilities", name, ".npy", _npy(probs))
            if gmm_manifest is not None and name in rows:
                mixture = predict_mixture(loaded.model, gmm_manifest, rows[name], image_tensor(image), options, where)
                _write(out_dir / "mixture", name, ".png", encode_label_map(_label_map(mixture, space), space))
                num_mixtures += 1
            if on_image is not None:
                on_image()
    return PredictionSummary(num_images, num_mixtures)


def _annotated(manifest: Manifest, images: dict[Path, Path]) -> dict[Path, ManifestRow]:
    """Return the rows of images that the manifest annotates, by the name of their results."""
    by_path = {manifest.resolve(row.image).resolve(): row for row in manifest.rows if row.annotation}
    rows = {name: by_path[path.resolve()] for name, path in images.items() if path.resolve() in by_path}
    if not rows:
        first = next(iter(images.values()))
        raise TrainingError(
            f"{manifest.path}: annotates none of the images, such as {first}; the mixture is made from an image's "
            "own annotation."
        )
    return rows


def _label_map(probs: Tensor, space: LabelSpace) -> LabelMap:
    """Return the train ids of a batch of one; the unlabelled value where all classes have probability 0."""
    best, classes = probs[0].max(0)
    label_map: LabelMap = classes.masked_fill(best == 0, space.unlabelled_value).cpu().numpy().astype(space.dtype)
    return label_map


def _overlay(image: NDArray[np.uint8], label_map: LabelMap, space: LabelSpace) -> NDArray[np.uint8]:
    """Blend image and class colours equally."""
    colors = space.palette[label_map]
    return ((image.astype(np.uint16) + colors) // 2).astype(np.uint8)


def _npy(probs: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, probs[0].cpu().numpy().astype(np.float16))
    return buffer.getvalue()


def _write(folder: Path, name: Path, suffix: str, data: bytes) -> None:
    write_atomically(inside(folder, f"{name}{suffix}"), data)  # with_suffix would cut names that hold a dot
