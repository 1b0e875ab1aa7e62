"""Networks that guide clicks: files of predictions or probabilities, one for each image, named by image id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelSpace
from data_manifests.errors import counted, list_some
from data_manifests.files.masks import read_mask
from data_manifests.files.npy import read_npy_header
from sparsekit.clicks.settings import GUIDED, Uncertainty
from sparsekit.errors import AnnotationError

_SUFFIXES = {"predictions": ".png", "probabilities": ".npy"}

#: A float16 in 0..1 is a multiple of 2**-24, so that sums and differences of these integers are exact.
_UNIT = 1 << 24

#: Float16 probabilities of many classes may miss 1 by this much in all.
_SUM_TOLERANCE = 0.05

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Guidance:
    """Output of a network for one image.

    Args:
        values: For ``corrective``, the predicted train ids. For ``uncertain``, the uncertainty of each pixel, of any
            type that can be compared. Shape (H, W).
        top_share: For ``uncertain``, the share of the pixels from which clicks are drawn first.
    """

    values: NDArray[Any]
    top_share: float = 1.0


@dataclass(frozen=True)
class Guide:
    """Files of a network that guide clicks.

    Args:
        strategy: ``uncertain``, which reads ``IMAGE_ID.npy`` (probabilities, float16, shape (C, H, W)), or
            ``corrective``, which reads ``IMAGE_ID.png`` (label maps of train ids); ``agmm predict`` writes both.
        folder: Folder of the files.
        uncertainty: For ``uncertain``: 1 minus the difference of the two highest probabilities (``margin``), the
            entropy, or 1 minus the highest probability (``least-confidence``).
        top_share: For ``uncertain``: the share of the pixels, by uncertainty, from which clicks are drawn first, in
            (0, 1]. Clicks on the most uncertain pixels alone lie side by side.

    Raises:
        ValueError: If the strategy is not guided, or a value is out of range.
    """

    strategy: str
    folder: Path
    uncertainty: Uncertainty = "margin"
    top_share: float = 0.05

    def __post_init__(self) -> None:
        if self.strategy not in GUIDED:
            raise ValueError(f"Strategy '{self.strategy}' has no guide. Choose from: {', '.join(GUIDED)}.")
        if self.uncertainty not in get_args(Uncertainty):
            raise ValueError(
                f"Unknown uncertainty '{self.uncertainty}'. Choose from: {', '.join(get_args(Uncertainty))}."
            )
        if not 0 < self.top_share <= 1:
            raise ValueError(f"top_share must be a share above 0 and at most 1, got {self.top_share}.")

    @property
    def kind(self) -> str:
        """``probabilities`` or ``predictions``."""
        return GUIDED[self.strategy]

    def provenance(self, image_ids: Iterable[str]) -> dict[str, Any]:
        """Settings for ``manifest.json``: the folder, and a SHA-256 over the files of the images.

        Raises:
            AnnotationError: If a file is missing; names the first ones.
        """
        paths = [(image_id, self.path_of(image_id)) for image_id in sorted(image_ids)]
        if missing := [str(path) for _, path in paths if not path.is_file()]:
            raise AnnotationError(
                f"{self.folder}: lacks the {self.kind} of {counted(len(missing), 'image')} of {len(paths):,}: "
                f"{list_some(missing, 3)}. `agmm predict RUN MANIFEST` writes files named by image id."
            )
        digest = hashlib.sha256()
        for image_id, path in paths:
            digest.update(f"{len(image_id)} {image_id} {_sha256(path)}\n".encode())
        return {self.kind: self.folder, f"{self.kind}_sha256": digest.hexdigest()}

    @property
    def settings(self) -> dict[str, Any]:
        """How the files are used, for ``manifest.json``."""
        return {"uncertainty": self.uncertainty, "top_share": self.top_share} if self.strategy == "uncertain" else {}

    def path_of(self, image_id: str) -> Path:
        """The file of an image."""
        return self.folder / f"{image_id}{_SUFFIXES[self.kind]}"

    def read(self, image_id: str, shape: tuple[int, int], space: LabelSpace) -> Guidance:
        """Read the file of an image.

        Args:
            image_id: The image.
            shape: Its height and width.
            space: The classes.

        Raises:
            DataError: If the file cannot be read, has another size, or holds other classes.
        """
        path = self.path_of(image_id)
        if self.strategy == "corrective":
            predicted = space.to_train_ids(read_mask(path), "train_ids", path)
            _check_size(path, predicted.shape, shape)
            return Guidance(predicted)
        return Guidance(_uncertainties(path, shape, space.num_classes, self.uncertainty), self.top_share)


def _check_size(path: Path, found: tuple[int, ...], shape: tuple[int, int]) -> None:
    if found != shape:
        raise AnnotationError(
            f"{path}: is {found[1]}x{found[0]} (width x height), but the full mask of the image is "
            f"{shape[1]}x{shape[0]}. Give the network's output at the size of the image."
        )


def _uncertainties(path: Path, shape: tuple[int, int], num_classes: int, measure: Uncertainty) -> NDArray[np.int64]:
    """Uncertainty of each pixel as integers, the same on every machine; larger is less certain, shape (H, W)."""
    probabilities = _read_probabilities(path, (num_classes, *shape))
    information = _information() if measure == "entropy" else None
    first, second, entropy, total = (np.zeros(shape, np.int64) for _ in range(4))
    for of_class in probabilities:  # class by class, in little memory
        if not ((of_class >= 0) & (of_class <= 1)).all():  # also false for what is not a number
            raise AnnotationError(f"{path}: expected probabilities between 0 and 1, got others.")
        units = (of_class.astype(np.float64) * _UNIT).astype(np.int64)
        total += units
        if information is not None:
            entropy += information[np.abs(of_class).view(np.uint16)]
        else:
            second = np.maximum(second, np.minimum(first, units))
            first = np.maximum(first, units)
    if (np.abs(total - _UNIT) > _SUM_TOLERANCE * _UNIT).any():
        raise AnnotationError(f"{path}: the probabilities of the classes do not sum to 1 at every pixel.")
    if measure == "entropy":
        return entropy
    return _UNIT - first + (second if measure == "margin" else 0)


def _information() -> NDArray[np.int64]:
    """-p log p of every float16 in 0..1, by its bits, rounded so that the last bit of a logarithm does not matter."""
    p = np.arange(np.float16(1).view(np.uint16) + 1, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.rint(-p * np.log2(np.where(p > 0, p, 1)) * _UNIT).astype(np.int64)


def _read_probabilities(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float16]:
    """Read an NPY file of float16 after checking its header, so that no header makes it read more."""
    with path.open("rb") as file:
        try:
            found, is_fortran, dtype = read_npy_header(file)
        except ValueError as error:
            raise AnnotationError(f"{path}: not a readable NPY file ({error}).") from error
        if dtype != np.float16 or len(found) != 3 or is_fortran:
            raise AnnotationError(
                f"{path}: expected probabilities of type float16 and shape (classes, height, width) in C order, got "
                f"{dtype} of shape {found}{' in Fortran order' * is_fortran}. In NumPy: np.save(path, "
                "np.ascontiguousarray(probabilities, np.float16))."
            )
        _check_size(path, found[1:], shape[1:])
        if found[0] != shape[0]:
            raise AnnotationError(f"{path}: has {counted(found[0], 'class', 'classes')}, but there are {shape[0]}.")
        data = file.read(2 * found[0] * found[1] * found[2])
    if len(data) < 2 * found[0] * found[1] * found[2]:
        raise AnnotationError(f"{path}: ends before its last probability; write it again.")
    return np.frombuffer(data, dtype).reshape(shape).astype(np.float16)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
