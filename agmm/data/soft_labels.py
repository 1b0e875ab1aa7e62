"""Soft pseudo-labels: the network's probabilities of several classes at each pixel.

They are stored beside the annotation of each image, which remains an ordinary label map: ``annotations/a.npz`` beside
``annotations/a.png``. Each pixel keeps the three most likely classes of the image, with shares in units of 1/255: on
CamVid, these hold 99 % of the probability, the most likely class alone 89 %.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agmm.data.transforms import Window, crop_label_map
from agmm.errors import TrainingError
from data_manifests import LabelMap, Manifest, ManifestRow
from data_manifests.files.atomic import write_atomically
from data_manifests.files.npy import read_npy_header
from data_manifests.files.text import open_file
from data_manifests.manifest.schema import PSEUDO_LABELS

#: Number of classes stored per pixel.
NUM_KEPT = 3

#: Setting of a manifest that tells whether its annotations have soft labels.
SOFT = "soft"


class SoftLabels(NamedTuple):
    """Soft labels of one image, or of a part of it.

    Args:
        classes: Train ids, most likely first, shape (K, H, W).
        shares: Their shares of the probability in units of 1/255, uint8, shape (K, H, W); they sum to 255 at each
            pixel, and to 0 at unlabelled pixels and padding.
    """

    classes: LabelMap
    shares: NDArray[np.uint8]

    def crop(self, window: Window) -> SoftLabels:
        """Crop and resize to a window by nearest neighbour, like dense label maps."""
        both = np.concatenate([self.classes, self.shares.astype(self.classes.dtype)])
        part = crop_label_map(both.transpose(1, 2, 0), window, 0).transpose(2, 0, 1)
        return SoftLabels(part[: len(self.classes)].copy(), part[len(self.classes) :].astype(np.uint8))


def soften(
    probs: Tensor, sparse: LabelMap, unlabelled_value: int, candidates: NDArray[np.int64] | None = None
) -> SoftLabels:
    """Make the soft labels of an image from the network's probabilities of the candidate classes.

    Args:
        probs: Probabilities of all classes, shape (C, H, W).
        sparse: The true labels, shape (H, W); each gets the whole share of its pixel.
        unlabelled_value: Value of unlabelled pixels.
        candidates: Classes that get shares; by default those of the true labels.
    """
    labelled = sparse != unlabelled_value
    present = (np.unique(sparse[labelled]) if candidates is None else candidates).astype(sparse.dtype)
    classes = np.zeros((NUM_KEPT, *sparse.shape), sparse.dtype)
    shares = np.zeros((NUM_KEPT, *sparse.shape), np.uint8)
    if not len(present):
        return SoftLabels(classes, shares)
    known = probs[torch.from_numpy(present.astype(np.int64)).to(probs.device)]
    values, index = (part[:NUM_KEPT] for part in known.sort(dim=0, descending=True, stable=True))
    parts = (255 * (values / values.sum(0).clamp(min=torch.finfo(values.dtype).tiny))).round()
    parts[0] = 255 - parts[1:].sum(0)  # the largest absorbs rounding, so that the sum is exact
    classes[: len(index)] = present[index.cpu().numpy()]
    shares[: len(index)] = parts.cpu().numpy().astype(np.uint8)
    classes[:, labelled], shares[:, labelled] = 0, 0
    classes[0, labelled], shares[0, labelled] = sparse[labelled], 255
    return SoftLabels(classes, shares)


def has_soft_labels(manifest: Manifest) -> bool:
    """Whether the annotations of a manifest have soft labels."""
    return manifest.info.command == PSEUDO_LABELS and bool(manifest.info.settings.get(SOFT))


def soft_labels_path(annotation: Path) -> Path:
    """Return the path of the soft labels of an annotation."""
    return annotation.with_suffix(".npz")


def write_soft_labels(path: Path, labels: SoftLabels) -> None:
    """Write soft labels as a compressed ``.npz`` of the arrays ``classes`` and ``shares``."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, classes=labels.classes, shares=labels.shares)
    write_atomically(path, buffer.getvalue())


def read_row_soft_labels(manifest: Manifest, row: ManifestRow) -> SoftLabels:
    """Read the soft labels beside the annotation of a row.

    Raises:
        TrainingError: If they are missing, damaged, of another size or kind, or of other classes than the manifest's.
    """
    path = soft_labels_path(manifest.resolve(row.annotation))
    shape = (NUM_KEPT, row.height, row.width)
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            classes = _read_array(archive, "classes", shape, (np.uint8, np.uint16))
            shares = _read_array(archive, "shares", shape, (np.uint8,))
    except FileNotFoundError as error:
        raise TrainingError(
            f"{path}: no such file, but {manifest.path} says that there are soft labels beside its annotations. Copy "
            "them too, or make them again with `agmm stages --soft`."
        ) from error
    except Exception as error:  # the errors of zip, its compressions and NumPy's header share no base class
        raise TrainingError(
            f"{path}: the soft labels are damaged ({error}). Copy them, or make them again with `agmm stages --soft`."
        ) from error
    if (largest := int(classes.max(initial=0))) >= manifest.label_space.num_classes:
        raise TrainingError(
            f"{path}: holds class {largest}, but label space '{manifest.label_space.name}' has classes 0 to "
            f"{manifest.label_space.num_classes - 1}."
        )
    if not np.isin(shares.sum(0, dtype=np.uint16), (0, 255)).all():
        raise TrainingError(f"{path}: the shares of a pixel sum to neither 255 nor 0. Copy or make them again.")
    return SoftLabels(classes, shares)


def _read_array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtypes: Sequence[type[np.unsignedinteger[Any]]]
) -> NDArray[Any]:
    """Read an array written by ``write_soft_labels``; one of unexpected size is rejected unread."""
    with archive.open(f"{name}.npy") as file:
        got, by_column, dtype = read_npy_header(file)
        if got != shape or dtype not in dtypes or by_column:
            kinds = " or ".join(np.dtype(kind).name for kind in dtypes)
            raise ValueError(f"expected {name} of shape {shape} as {kinds}, got {got} as {dtype}")
        size = math.prod(shape) * dtype.itemsize
        if len(data := file.read(size + 1)) != size:
            raise ValueError(f"{name} are truncated" if len(data) < size else f"there are more bytes after {name}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
