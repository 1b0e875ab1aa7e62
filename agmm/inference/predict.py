"""Predict label maps of images with a run, and optionally overlays, probabilities and the mixture's prediction."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agmm.config.protocol import PREDICTED_IDS, PredictedIds, ProtocolName
from agmm.data.masked_images import image_tensor, to_network
from agmm.data.resize import as_rgb
from agmm.distributed import choose_device
from agmm.errors import TrainingError
from agmm.inference.crf import require_colors
from agmm.inference.protocols import Protocol, evaluating, make_protocol, predict_mixture, slide
from agmm.runs.checkpoint import load_run
from data_manifests import DataError, LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.files.atomic import write_atomically
from data_manifests.files.axes import DEFAULT_AXIS
from data_manifests.files.geo import is_georeferenced, write_georeferenced
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map
from data_manifests.files.paths import as_path, inside, is_remote, without_links
from data_manifests.files.samples import Samples, max_pixels
from data_manifests.files.scenes import open_scene, scene_size, write_scene_labels
from data_manifests.files.slices import SliceOf, require_one_volume, slice_name, slice_of, stack
from data_manifests.files.view import ImageView
from data_manifests.files.volumes import is_volume, read_volume, write_volume

#: Pixels from which sliding windows are read from the file one by one.
_LARGE = 1 << 24


@dataclass(frozen=True)
class PredictionSummary:
    """Result of ``predict_images``.

    Args:
        num_images: Number of segmented images, in ``label_maps/``.
        num_mixtures: Number of images with a prediction of the mixture, in ``mixture/``.
        num_volumes: How many of the images are volumes.
        num_slices: Slices of these volumes.
    """

    num_images: int
    num_mixtures: int
    num_volumes: int = 0
    num_slices: int = 0


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

    Volumes (NIfTI, TIFF with several pages) are segmented slice by slice; ``label_maps/NAME.nii.gz`` or ``.tif`` is
    a volume too, and overlays and probabilities are ``NAME/slice_NNN``. Slices that ``sparsekit points`` wrote are put
    together in the same way. With the sliding protocol, scenes of more than 2^24 pixels are read window by window and
    written as ``label_maps/NAME.tif``, so memory does not limit their size.

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
    if crf:
        require_colors(loaded.info.model.in_channels)
    rows: dict[Path, ManifestRow] = {}
    if gmm_manifest is not None:
        loaded.info.require_classes(gmm_manifest.label_space, gmm_manifest.path)
        rows = _annotated(gmm_manifest, images)
    out = _Results(out_dir, space, ids, overlays, probabilities)
    slices = _Slices(out)
    options = config.mixture()
    num_images = num_mixtures = num_volumes = num_slices = 0

    def segment(image: NDArray[np.uint8]) -> Tensor:
        return settings.predict(loaded.model, to_network(image_tensor(image), where))

    with evaluating(loaded.model, where, amp):
        for name, path in images.items():
            image = None
            try:
                if is_volume(path):
                    num_slices += _predict_volume(path, name, loaded.info.images, segment, out)
                    num_volumes += 1
                elif _is_scene(path, settings, plain=not (overlays or probabilities or gmm_manifest)):
                    _predict_scene(path, name, loaded.info.images, loaded.model, settings, where, out)
                else:
                    image = loaded.info.images.read(path)
            except DataError as error:
                if on_problem is None or isinstance(error, TrainingError):
                    raise
                on_problem(str(error))
                continue
            num_images += 1
            if image is not None:
                probs = segment(image)
                slices.add(path, out.values(out.write(name, image, probs)))
                out.write_georeferenced(name, path, probs)
                if gmm_manifest is not None and name in rows:
                    mixture = predict_mixture(
                        loaded.model, gmm_manifest, rows[name], image_tensor(image), options, where
                    )
                    out.put("mixture", name, ".png", encode_label_map(_label_map(mixture, space), space))
                    num_mixtures += 1
            if on_image is not None:
                on_image()
    slices.finish()
    return PredictionSummary(num_images, num_mixtures, num_volumes, num_slices)


@dataclass(frozen=True)
class _Results:
    """Writes what is predicted."""

    folder: Path
    space: LabelSpace
    ids: PredictedIds
    overlays: bool
    probabilities: bool

    def values(self, label_map: LabelMap) -> LabelMap:
        """Train ids in the values that are wanted."""
        return label_map if self.ids == "train" else self.space.to_class_ids(label_map)

    def write(self, name: Path, image: NDArray[np.uint8], probs: Tensor, *, with_labels: bool = True) -> LabelMap:
        """Write the results of one image, and return its train ids."""
        label_map = _label_map(probs, self.space)
        if with_labels:
            is_train = self.ids == "train"
            data = encode_label_map(label_map, self.space) if is_train else encode_image(self.values(label_map))
            self.put("label_maps", name, ".png", data)
        if self.overlays:
            drawn = _overlay(as_rgb(image), label_map, self.space)
            self.put("overlays", name, ".jpg", encode_image(drawn, "JPEG"))
        if self.probabilities:
            self.put("probabilities", name, ".npy", _npy(probs))
        return label_map

    def write_georeferenced(self, name: Path, path: Path, probs: Tensor) -> None:
        """Write the label map of a GeoTIFF as one."""
        if is_georeferenced(path) and not is_remote(self.folder):
            values = self.values(_label_map(probs, self.space))
            write_georeferenced(self.path("label_maps", name, ".tif"), values, path, self.space.unlabelled_value)

    def put(self, kind: str, name: Path, suffix: str, data: bytes) -> None:
        """Write one file."""
        write_atomically(self.path(kind, name, suffix), data)

    def path(self, kind: str, name: Path, suffix: str) -> Path:
        """Where a result goes."""
        return inside(self.folder / kind, f"{name}{suffix}")  # with_suffix would cut names that hold a dot


class _Slices:
    """Puts the label maps of slices together to volumes; slices that are missing stay unlabelled."""

    def __init__(self, out: _Results) -> None:
        self._out = out
        self._volumes: dict[str, tuple[SliceOf, dict[int, LabelMap]]] = {}

    def add(self, path: Path, values: LabelMap) -> None:
        """Take the label map of an image, if that is a slice of a volume."""
        if (place := slice_of(path)) is not None:
            first, label_maps = self._volumes.setdefault(place.volume, (place, {}))
            require_one_volume(first, place)
            label_maps[place.number] = values

    def finish(self) -> None:
        """Write all volumes."""
        for volume, (first, label_maps) in self._volumes.items():
            grid = first.grid
            suffix = ".nii.gz" if grid.affine else ".tif"
            stacked = stack(label_maps, grid, self._out.space.unlabelled_value)
            write_volume(self._out.path("label_maps", Path(volume), suffix), stacked, grid)


def _predict_volume(
    path: Path, name: Path, view: ImageView, segment: Callable[[NDArray[np.uint8]], Tensor], out: _Results
) -> int:
    """Segment a volume slice by slice, and write its label map as one with the same affine; returns the slices."""
    volume = read_volume(path, view.axis or DEFAULT_AXIS)
    label_maps = []
    for number, values in enumerate(volume.slices):
        image = view.show(path, Samples(values, "volume", "grey", white_is_zero=volume.white_is_zero))
        label_maps.append(out.values(out.write(name / slice_name(number), image, segment(image), with_labels=False)))
    suffix = ".nii.gz" if volume.grid.affine else ".tif"
    write_volume(out.path("label_maps", name, suffix), np.stack(label_maps), volume.grid)
    return len(label_maps)


def _is_scene(path: Path, settings: Protocol, *, plain: bool) -> bool:
    """Whether an image is segmented window by window.

    Raises:
        DataError: If it is larger than an image may be, and the settings need it as a whole.
    """
    if (size := scene_size(path)) is None:
        return False
    pixels, limit = size[0] * size[1], max_pixels()
    by_windows = settings.name == "sliding" and not settings.crf and plain
    if pixels > limit and not by_windows:
        raise DataError(
            f"{path}: has {size[1]}x{size[0]} pixels; the limit is {limit:,} for an image that is read as a whole. "
            "--protocol sliding reads it by windows, without --crf, --overlays, --probabilities and --gmm."
        )
    return by_windows and pixels > min(limit, _LARGE)


def _predict_scene(
    path: Path, name: Path, view: ImageView, model: nn.Module, settings: Protocol, where: torch.device, out: _Results
) -> None:
    """Segment a scene of any size by sliding windows, and write its label map as TIFF."""
    space = out.space
    with open_scene(path) as scene:

        def read(rows: slice, cols: slice) -> Tensor:
            return to_network(image_tensor(view.show(path, scene.read(rows, cols))), where)

        palette = space.palette if out.ids == "train" and space.dtype == np.uint8 else None
        target = out.path("label_maps", name, ".tif")
        dtype = out.values(np.zeros((1, 1), space.dtype)).dtype
        with write_scene_labels(target, scene, dtype, space.unlabelled_value, palette) as write:
            size = scene.layout.height, scene.layout.width
            strips = slide(
                model, read, size, settings.tile_size or max(size), overlap=settings.overlap,
                tile_batch=settings.tile_batch,
            )  # fmt: skip
            for _, probs in strips:
                write(out.values(_label_map(probs, space)))


def _annotated(manifest: Manifest, images: dict[Path, Path]) -> dict[Path, ManifestRow]:
    """Return the rows of images that the manifest annotates, by the name of their results."""
    by_path = {without_links(manifest.resolve(row.image)): row for row in manifest.rows if row.annotation}
    rows = {name: by_path[real] for name, path in images.items() if (real := without_links(path)) in by_path}
    if not rows:
        first = next(iter(images.values()))
        raise TrainingError(
            f"{manifest.path}: annotates none of the images, such as {first}; the mixture of an image needs its "
            "annotation."
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
