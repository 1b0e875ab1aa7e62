"""Volumes, read as slices and written back: NIfTI (nibabel, extra ``medical``), and TIFF with several pages.

The only module that knows files of volumes.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.atomic import atomic_path
from data_manifests.files.axes import AXES, DEFAULT_AXIS, DIRECTIONS, Axis
from data_manifests.files.paths import is_endless, is_remote
from data_manifests.files.samples import MAX_PIXELS_VARIABLE, max_pixels
from data_manifests.files.tiff import is_tiff, num_pages, read_pages

#: Size of a header in bytes, by nibabel's name.
_HEADERS = {"Nifti1Header": 348, "Nifti2Header": 540}

#: Bytes of header extensions; scanners write some kilobytes.
_MOST_BEFORE_DATA = 1 << 24

#: In an affine, in millimetres; headers hold single floats.
_FARTHEST = 1e12

NIFTI_SUFFIXES = (".nii", ".nii.gz")
_TIFF_SUFFIXES = (".tif", ".tiff")
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, *_TIFF_SUFFIXES)


@dataclass(frozen=True)
class Grid:
    """Where the slices of a volume lie in its file.

    Args:
        shape: Shape of the stored array, without bands.
        affine: Millimetres of the voxels of the stored array, rows of a 4x4 matrix; empty for TIFF, whose slices are
            its pages.
        axis: Plane of the slices; only where there is an affine.
    """

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...] = ()
    axis: Axis = DEFAULT_AXIS

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON-ready data."""
        return {"shape": list(self.shape), "affine": [list(row) for row in self.affine], "axis": self.axis}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Rebuild from ``to_dict``.

        Raises:
            ValueError: If it holds anything else.
        """
        depth, height, width = data["shape"]
        if any(type(side) is not int or side < 1 for side in (depth, height, width)):
            raise ValueError(f"shape {data['shape']}")
        affine = tuple(tuple(float(value) for value in row) for row in data["affine"])
        if data["axis"] not in AXES or (affine and not _places_voxels(np.array(affine))):
            raise ValueError(f"axis {data['axis']!r}, affine {data['affine']}")
        return cls((depth, height, width), affine, data["axis"])

    def slices(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Slices of a stored array, shape (slices, H, W) or (slices, H, W, bands)."""
        return self._turned(stored, back=False)

    def stored(self, slices: NDArray[Any]) -> NDArray[Any]:
        """The array to store for slices of shape (slices, H, W); undoes ``slices``."""
        return self._turned(slices, back=True)

    def _turned(self, values: NDArray[Any], *, back: bool) -> NDArray[Any]:
        if not self.affine:
            return values
        from nibabel import orientations

        stored = orientations.io_orientation(np.array(self.affine))
        shown = orientations.axcodes2ornt(DIRECTIONS[self.axis])
        turn = orientations.ornt_transform(shown, stored) if back else orientations.ornt_transform(stored, shown)
        return np.ascontiguousarray(orientations.apply_orientation(values, turn))


def _places_voxels(affine: NDArray[np.float64]) -> bool:
    """Whether a 4x4 matrix gives each voxel a place of its own."""
    is_usual = affine.shape == (4, 4) and bool((np.abs(affine) <= _FARTHEST).all())  # also false for NaN
    return is_usual and abs(np.linalg.det(affine[:3, :3])) >= 1e-12


@dataclass(frozen=True)
class Volume:
    """A volume in memory.

    Args:
        slices: Values as stored, shape (slices, H, W) or (slices, H, W, bands); rows run down, columns to the right.
        grid: Where they lie in the file.
        white_is_zero: Whether 0 is displayed as white.
    """

    slices: NDArray[Any] = field(repr=False)
    grid: Grid
    white_is_zero: bool = False


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI, by its name."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def is_volume(path: Path) -> bool:
    """Whether a file is NIfTI by its name, or a TIFF with several pages; False for what cannot be opened."""
    if is_nifti(path):
        return True
    if is_remote(path) or path.suffix.lower() not in _TIFF_SUFFIXES or is_endless(path):
        return False
    try:
        with path.open("rb") as file:
            return is_tiff(file) and num_pages(file) > 1
    except Exception:  # readers raise undocumented errors on damaged bytes; told when the file is read
        return False


def require_an_end(path: Path) -> None:
    """Check that a path is no pipe or device.

    Raises:
        DataError: If it is.
    """
    if is_endless(path):
        raise DataError(f"{path}: cannot be opened (it is a pipe or a device).")


def volume_stem(path: Path) -> Path:
    """The path of a volume without its ending, which may be ``.nii.gz``."""
    return path.with_suffix("").with_suffix("") if _is_packed(path) else path.with_suffix("")


def _is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".nii.gz")


def read_volume(path: Path, axis: Axis = DEFAULT_AXIS) -> Volume:
    """Decode a volume without changing a value, except that NIfTI's scale and offset are applied.

    Args:
        path: NIfTI, or TIFF with several pages.
        axis: Plane of the slices of NIfTI. For an oblique volume, the nearest one.

    Raises:
        DataError: If the file is missing, damaged, remote or has more voxels than ``max_pixels``, or if it needs
            nibabel and that is not installed.
    """
    if is_remote(path):
        raise DataError(f"{path}: volumes are read from this machine only. Copy the file.")
    require_an_end(path)
    try:
        return _read_nifti(path, axis) if is_nifti(path) else _read_tiff(path)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.") from error
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # readers raise undocumented errors on damaged bytes
        what = "not gzip" if isinstance(error, zlib.error) else str(error) or type(error).__name__
        raise DataError(f"{path}: the volume is damaged or incomplete ({what}). Copy or download it again.") from error


def _read_tiff(path: Path) -> Volume:
    with path.open("rb") as file:
        values, white_is_zero = read_pages(path, file, lambda shape: check_size(path, shape))
    depth, height, width = values.shape[:3]
    return Volume(values, Grid((depth, height, width)), white_is_zero)


def _read_nifti(path: Path, axis: Axis) -> Volume:
    nibabel = _nibabel(path)
    with path.open("rb") as file:  # names a missing file and a folder as such
        if not file.read(1):
            raise DataError(f"{path}: is an empty file.")
    header = _header(nibabel, path)
    shape = tuple(int(side) for side in header.get_data_shape())
    while len(shape) > 4 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise DataError(f"{path}: expected a volume of three dimensions, or four with channels, got shape {shape}.")
    check_size(path, shape)
    affine = np.asarray(header.get_best_affine(), np.float64)
    if not _places_voxels(affine):
        raise DataError(f"{path}: its header places voxels nowhere (affine {affine.tolist()}). Save it with an affine.")
    values = _plain(path, np.asanyarray(nibabel.arrayproxy.ArrayProxy(str(path), header))).reshape(shape)
    depth, height, width = shape[:3]
    grid = Grid((depth, height, width), tuple(map(tuple, affine.tolist())), axis)
    slices = grid.slices(values)
    return Volume(slices[..., 0] if slices.ndim == 4 and slices.shape[3] == 1 else slices, grid)


def _header(nibabel: Any, path: Path) -> Any:
    """The header alone: extensions after it may declare any size, and nothing in them matters here."""
    with nibabel.openers.ImageOpener(str(path)) as file:
        raw = file.read(_HEADERS["Nifti2Header"])
    kinds = [name for name, size in _HEADERS.items() if int.from_bytes(raw[:4], "little") == size] or [
        name for name, size in _HEADERS.items() if int.from_bytes(raw[:4], "big") == size
    ]
    if not kinds or len(raw) < _HEADERS[kinds[0]]:
        raise OSError("no header of NIfTI")
    header = getattr(nibabel, kinds[0])(raw[: _HEADERS[kinds[0]]])
    if not header["magic"].item().startswith(b"n+") or not 0 <= header.get_data_offset() <= _MOST_BEFORE_DATA:
        raise OSError("its header tells no place of the voxels in this file")
    return header


def _plain(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in the order of this machine; doubles, which scaled values become, as single floats."""
    if values.dtype.names or values.dtype.kind not in "iufb":
        raise DataError(f"{path}: expected a volume of whole numbers or floats, got {values.dtype}.")
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    return values.astype(np.uint8) if values.dtype.kind == "b" else values.astype(values.dtype.newbyteorder("="))


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Check the number of voxels of a volume, with all channels.

    Raises:
        DataError: If there are more than ``max_pixels``.
    """
    voxels = int(np.prod([int(side) for side in shape], dtype=object))
    if voxels > (most := max_pixels()):
        sides = "x".join(map(str, shape))
        raise DataError(
            f"{path}: has {sides} voxels; the limit is {most:,} for a volume. If this size is intended, set "
            f"{MAX_PIXELS_VARIABLE}={voxels}."
        )


def _nibabel(path: Path) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise DataError(
            f"{path}: NIfTI needs a package that is not installed: pip install 'sparsekit-agmm[medical]'"
        ) from error
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # repairs of headers that matter to nobody
    return nibabel


def write_volume(path: Path, slices: NDArray[Any], grid: Grid) -> None:
    """Write slices as a volume like the one they are of, with its affine: NIfTI, or TIFF where ``path`` ends so.

    Args:
        path: Ends in ``.nii.gz``, ``.nii`` or ``.tif``.
        slices: Shape (slices, H, W).
        grid: Of the volume that they are slices of.

    Raises:
        DataError: If NIfTI needs nibabel and that is not installed.
    """
    stored = grid.stored(slices)
    if not is_nifti(path):
        import tifffile

        with atomic_path(path) as partial:
            tifffile.imwrite(partial, stored, photometric="minisblack", compression="zlib", metadata=None)
        return
    nibabel = _nibabel(path)
    affine = np.array(grid.affine) if grid.affine else np.eye(4)
    image = nibabel.Nifti1Image(stored if grid.affine else stored.transpose(2, 1, 0), affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    with atomic_path(path) as partial:
        partial.write_bytes(_gzip(data) if _is_packed(path) else data)


def _gzip(data: bytes) -> bytes:
    """Compress, with equal bytes for equal data: without a time or a name."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()
