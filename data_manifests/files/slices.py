"""Files that are slices of volumes: which slice of which volume each is, and how they make a volume again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.paths import absolute, is_remote
from data_manifests.files.text import read_json
from data_manifests.files.volumes import Grid, check_size

#: File in a folder of slices that says where they lie in their volumes.
NOTE = "volumes.json"

_PREFIX = "slice_"


@dataclass(frozen=True)
class SliceOf:
    """The slice that an image or mask is.

    Args:
        folder: Of the dataset of slices.
        volume: Name of the volume, unique in its dataset.
        number: Of the slice, from 0.
        grid: Of the volume.
    """

    folder: Path
    volume: str
    number: int
    grid: Grid


def slice_name(number: int) -> str:
    """Name of a slice's file, without ending.

    Example:
        >>> slice_name(7)
        'slice_007'
    """
    return f"{_PREFIX}{number:03d}"


def slice_of(path: Path) -> SliceOf | None:
    """Which slice of which volume a file is, by the ``volumes.json`` above it; None for other files.

    Raises:
        DataError: If that is damaged.
    """
    number = path.stem.removeprefix(_PREFIX)
    if is_remote(path) or path.stem == number or not number.isdecimal():
        return None
    for folder in path.parents[1:]:
        if (note := folder / NOTE).is_file():
            parts = path.parent.relative_to(folder).parts
            kind = next((i for i, part in enumerate(parts[:2]) if part in ("images", "masks")), None)
            if kind is None:
                return None
            volume = "/".join((*parts[:kind], *parts[kind + 1 :]))
            grid = _grids(note, note.stat().st_mtime_ns).get(volume)
            return SliceOf(absolute(folder), volume, int(number), grid) if grid else None
    return None


def require_one_volume(one: SliceOf, other: SliceOf) -> None:
    """Check that two slices of a volume of this name are of one dataset; merged manifests may name several.

    Raises:
        DataError: If they are not.
    """
    if one.folder != other.folder:
        raise DataError(
            f"volume '{one.volume}' is in {one.folder} and in {other.folder}, and its slices would become one volume. "
            "Take the manifests of the two datasets one by one."
        )


@lru_cache(maxsize=8)
def _grids(path: Path, _: int) -> dict[str, Grid]:
    try:
        grids = {name: Grid.from_dict(data) for name, data in read_note(path)["volumes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: damaged ({error}). Remove the folder, and slice the volumes again.") from error
    for name, grid in grids.items():
        check_size(path / name, grid.shape)
    return grids


def read_note(path: Path) -> dict[str, Any]:
    """Contents of a ``volumes.json``.

    Raises:
        DataError: If it is not JSON.
    """
    try:
        data: Any = read_json(path)
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}). Remove the folder, and slice the volumes again.") from error
    return data if isinstance(data, dict) else {}


def stack(slices: Mapping[int, NDArray[Any]], grid: Grid, fill: int) -> NDArray[Any]:
    """Slices by number as one array of shape (slices, H, W) or (slices, H, W, bands).

    Args:
        slices: Each of shape (H, W) or (H, W, bands), and of one type.
        grid: Of their volume.
        fill: Value of slices that are missing.

    Raises:
        DataError: If a slice has another size than the volume.
    """
    first = next(iter(slices.values()))
    shape = grid.slices(np.empty(grid.shape, np.bool_)).shape
    values = np.full((*shape, *first.shape[2:]), fill, first.dtype)
    for number, one in slices.items():
        if number >= shape[0] or one.shape[:2] != shape[1:]:
            sides = "x".join(map(str, grid.shape))
            raise DataError(f"slice {number} of {one.shape[1]}x{one.shape[0]} is none of a volume of {sides} voxels.")
        values[number] = one
    return values
