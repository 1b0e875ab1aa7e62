"""Scenes: TIFF images read window by window, and label maps written row by row, so that size is no limit.

rasterio (extra ``geo``) reads every compression and keeps coordinates; without it, uncompressed files are mapped.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.atomic import atomic_path
from data_manifests.files.paths import is_remote
from data_manifests.files.samples import MAX_PIXELS_VARIABLE, Samples, max_pixels
from data_manifests.files.tiff import TiffLayout, tiff_layout

#: Scenes may have this many times the pixels of an image.
_LARGER = 64

#: Rows of a block of the label map.
_BLOCK = 256

#: Values at a time when the largest one is looked for.
_LOOKED_AT = 1 << 24


@dataclass(frozen=True)
class Scene:
    """An open scene.

    Args:
        path: The file.
        layout: Its size and kind.
        peak: Largest value of samples of 16 bits; None for others.
        values: Reads rows and columns: shape (H, W) or (H, W, bands).
        place: rasterio's ``crs`` and ``transform``; empty where the file has none.
    """

    path: Path
    layout: TiffLayout
    peak: int | None
    values: Callable[[slice, slice], NDArray[Any]]
    place: dict[str, Any]

    def read(self, rows: slice, cols: slice) -> Samples:
        """A window of the scene."""
        kind = self.layout
        return Samples(
            self.values(rows, cols), "TIFF", kind.mode, None, kind.white_is_zero, kind.has_alpha, kind.nodata, self.peak
        )  # fmt: skip


def scene_size(path: Path) -> tuple[int, int] | None:
    """Height and width of a TIFF on this machine, without the pixel limit; None for other files."""
    layout = _layout(path)
    return (layout.height, layout.width) if layout else None


def _layout(path: Path) -> TiffLayout | None:
    if is_remote(path) or path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return None
    try:
        return tiff_layout(path)
    except Exception:  # readers raise undocumented errors on damaged bytes; told when the file is read
        return None


@contextmanager
def open_scene(path: Path) -> Iterator[Scene]:
    """Open a TIFF to read windows of it.

    Raises:
        DataError: If it is stored rotated or with a palette, has too many pixels even for a scene, or needs rasterio
            and that is not installed.
    """
    layout = _layout(path)
    if layout is None or layout.orientation != 1 or layout.mode == "P":
        raise DataError(f"{path}: cannot be read by windows; expected a TIFF without palette, stored upright.")
    if layout.height * layout.width > _LARGER * max_pixels():
        raise DataError(
            f"{path}: has {layout.width}x{layout.height} pixels; the limit of a scene is {_LARGER} times that of an "
            f"image, {max_pixels():,}. If this size is intended, set {MAX_PIXELS_VARIABLE} to a larger number."
        )
    with _reader(path, layout) as (values, place):
        yield Scene(path, layout, _peak(values, layout), values, place)


@contextmanager
def _reader(path: Path, layout: TiffLayout) -> Iterator[tuple[Callable[[slice, slice], NDArray[Any]], dict[str, Any]]]:
    try:
        import rasterio
        from rasterio.windows import Window
    except ImportError:
        yield _mapped(path, layout), {}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for an image without coordinates
        dataset = rasterio.open(path)
    with dataset:

        def values(rows: slice, cols: slice) -> NDArray[Any]:
            window = Window(cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start)
            try:
                read: NDArray[Any] = dataset.read(window=window)
            except rasterio.errors.RasterioError as error:
                raise DataError(f"{path}: the image is damaged or incomplete ({error}).") from error
            return read[0] if len(read) == 1 else np.moveaxis(read, 0, 2)

        yield values, {"crs": dataset.crs, "transform": dataset.transform} if layout.is_georeferenced else {}


def _mapped(path: Path, layout: TiffLayout) -> Callable[[slice, slice], NDArray[Any]]:
    import tifffile

    try:
        mapped: NDArray[Any] = tifffile.memmap(path, mode="r")
    except ValueError as error:
        raise DataError(
            f"{path}: reading a compressed scene by windows needs a package that is not installed: pip install "
            "'sparsekit-agmm[geo]'"
        ) from error
    bands_first = mapped.ndim == 3 and mapped.shape[1:] == (layout.height, layout.width)
    mapped = np.moveaxis(mapped, 0, 2) if bands_first else mapped
    return lambda rows, cols: np.array(mapped[rows, cols])


def _peak(values: Callable[[slice, slice], NDArray[Any]], layout: TiffLayout) -> int | None:
    if layout.dtype.kind not in "iu" or layout.dtype.itemsize == 1:
        return None
    rows = max(1, _LOOKED_AT // layout.width)
    starts = range(0, layout.height, rows)
    cols = slice(0, layout.width)
    return max(int(values(slice(top, min(top + rows, layout.height)), cols).max()) for top in starts)


@contextmanager
def write_scene_labels(
    path: Path, scene: Scene, dtype: Any, no_data: int, palette: NDArray[np.uint8] | None
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Write the label map of a scene from top to bottom, as a TIFF of the same size and place.

    Args:
        path: Output file.
        scene: The scene.
        dtype: Of the labels.
        no_data: Value of unlabelled pixels.
        palette: Colours of the labels, shape (N, 3), for uint8; other values are white. rasterio writes it.

    Yields:
        A function that takes the next rows, shape (rows, width).
    """
    height, width = scene.layout.height, scene.layout.width
    with atomic_path(path) as partial:
        try:
            import rasterio
            from rasterio.windows import Window
        except ImportError:
            import tifffile

            mapped = tifffile.memmap(partial, shape=(height, width), dtype=dtype, photometric="minisblack")
            yield _in_blocks(1, lambda top, rows: mapped.__setitem__(slice(top, top + len(rows)), rows))[0]
            mapped.flush()
            return
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": np.dtype(dtype).name}
        how = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "bigtiff": "if_safer"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = rasterio.open(partial, "w", nodata=no_data, **profile, **how, **scene.place)
        with file:
            if palette is not None:
                colors = dict.fromkeys(range(256), (255, 255, 255, 255))
                file.write_colormap(1, colors | {i: (*color.tolist(), 255) for i, color in enumerate(palette)})
            take, finish = _in_blocks(
                _BLOCK, lambda top, rows: file.write(rows, 1, window=Window(0, top, width, len(rows)))
            )
            yield take
            finish()


def _in_blocks(
    size: int, write: Callable[[int, NDArray[Any]], None]
) -> tuple[Callable[[NDArray[Any]], None], Callable[[], None]]:
    """Functions that take rows and write them in whole blocks, and that write what is left."""
    waiting: list[NDArray[Any]] = []
    top = 0

    def take(rows: NDArray[Any]) -> None:
        nonlocal top
        waiting.append(rows)
        if (count := sum(map(len, waiting))) >= size:
            together = np.concatenate(waiting)
            whole = count - count % size
            write(top, together[:whole])
            top += whole
            waiting[:] = [together[whole:]]

    def finish() -> None:
        if waiting and (left := np.concatenate(waiting)).size:
            write(top, left)

    return take, finish
