"""Decode TIFF files with tifffile, which preserves every sample type and number of bands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.samples import Header, Samples, as_shown, turn

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION, _NODATA = 274, 42113
#: GeoTIFF's tags of pixel scale and transformation.
_PLACES = (33550, 34264)
_MODES = {0: "grey", 1: "grey", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
#: Pages of no more columns are taken for bands.
_MOST_BANDS = 16
_JPEG_COMPRESSIONS = (6, 7)


def is_tiff(file: IO[bytes]) -> bool:
    """Whether an open file, positioned at its start, is a TIFF; the position is restored."""
    start = file.read(4)
    file.seek(0)
    return start in _STARTS


def tiff_header(path: Path, file: IO[bytes]) -> Header:
    """See ``read_header``."""
    with _open(file) as tiff:
        return _header(path, _only_page(path, tiff))


def tiff_samples(path: Path, file: IO[bytes]) -> Samples:
    """See ``read_samples``.

    Raises:
        NotImplementedError: If tifffile has no decoder for it.
    """
    with _open(file) as tiff:
        page = _only_page(path, tiff)
        header = _header(path, page)
        if int(page.photometric) not in (0, 1, 2, 3):  # CMYK, YCbCr, ...
            raise NotImplementedError("its kind of colour needs Pillow")
        _check_is_whole(page, file)
        try:
            values = page.asarray()
        except (ValueError, NotImplementedError) as error:
            # The words depend on its version.
            has_no_decoder = any(word in str(error) for word in ("codec", "unpack", "not supported"))
            if has_no_decoder or isinstance(error, NotImplementedError):
                raise NotImplementedError(str(error)) from error
            raise
        return _samples(page, turn(_bands_last(page, values), header.orientation))


def check_tiff_is_whole(path: Path, file: IO[bytes]) -> None:
    """See ``check_is_whole``."""
    with _open(file) as tiff:
        _check_is_whole(_only_page(path, tiff), file)


def tiff_bands(path: Path, file: IO[bytes]) -> int:
    """Number of bands."""
    with _open(file) as tiff:
        return int(_only_page(path, tiff).samplesperpixel)


@dataclass(frozen=True)
class TiffLayout:
    """Size and kind of the pixels of a TIFF with one page, as its header declares them."""

    height: int
    width: int
    dtype: np.dtype[Any]
    mode: str
    orientation: int
    white_is_zero: bool
    has_alpha: bool
    nodata: float | None
    is_georeferenced: bool


def tiff_layout(path: Path) -> TiffLayout:
    """Size and kind of an image of any size; see ``read_header`` for errors."""
    with path.open("rb") as file, _open(file) as tiff:
        page = _only_page(path, tiff)
        tag, nodata = page.tags.get(_ORIENTATION), page.tags.get(_NODATA)
        if page.dtype is None:
            raise OSError("samples of an unknown type")
        return TiffLayout(
            page.imagelength, page.imagewidth, page.dtype, _mode(page), int(tag.value) if tag else 1,
            int(page.photometric) == 0, _has_alpha(page), _number(nodata.value) if nodata else None,
            any(name in page.tags for name in _PLACES),
        )  # fmt: skip


def is_placed(path: Path) -> bool:
    """Whether a TIFF has GeoTIFF's coordinates."""
    with path.open("rb") as file, _open(file) as tiff:
        return any(name in tiff.pages.first.tags for name in _PLACES)


def num_pages(file: IO[bytes]) -> int:
    """Number of pages; overviews and transparency masks do not count."""
    with _open(file) as tiff:
        return _count_pages(tiff)


def read_pages(path: Path, file: IO[bytes], check_size: Callable[[tuple[int, ...]], None]) -> tuple[NDArray[Any], bool]:
    """Decode all pages of a TIFF.

    Args:
        path: For messages.
        file: The open file.
        check_size: Called with the shape that the headers declare, before decoding.

    Returns:
        Samples as stored, shape (pages, H, W) or (pages, H, W, bands), and whether 0 is displayed as white.

    Raises:
        DataError: If the pages differ, or have an order that leaves open which of them are slices.
    """
    with _open(file) as tiff:
        first: Any = tiff.pages.first
        if len(tiff.series) > 1:
            raise DataError(f"{path}: its pages differ in size or type; expected slices of one volume.")
        series = tiff.series[0]
        axes = "".join(axis for axis, side in zip(series.axes, series.shape, strict=True) if side > 1 or axis in "YX")
        check_size(series.shape)
        bands = next((axis for axis in "SC" if axis in axes), "")
        if len(axes) != 3 + len(bands) or not axes.replace(bands or " ", "").endswith("YX"):
            raise DataError(f"{path}: has the axes {series.axes}; expected pages of rows and columns.")
        sides = dict(zip(series.axes, series.shape, strict=True))
        if sides["X"] <= _MOST_BANDS < sides[axes[0]]:
            raise DataError(
                f"{path}: has {sides[axes[0]]} pages of {sides['X']}x{sides['Y']} pixels, rather an image of "
                f"{sides['X']} bands that was written as pages. Write bands as samples (planarconfig of tifffile)."
            )
        if (tag := first.tags.get(_ORIENTATION)) and tag.value != 1:
            raise DataError(f"{path}: its pages have an orientation ({tag.value}). Save them upright.")
        if _end_of_data(first) > file.seek(0, 2):
            raise OSError("the file ends before its pixels do")
        values = series.asarray().reshape([sides[axis] for axis in axes])
        if bands:
            values = np.moveaxis(values, axes.index(bands), 3)
        return values, int(first.photometric) == 0


def tiff_palette(path: Path, file: IO[bytes]) -> NDArray[np.uint8] | None:
    """See ``read_palette``."""
    with _open(file) as tiff:
        return _palette(_only_page(path, tiff))


def tiff_kind(path: Path, file: IO[bytes], values: NDArray[Any]) -> Samples:
    """Samples decoded by another reader, described by the file's own tags."""
    with _open(file) as tiff:
        page = _only_page(path, tiff)
        signed = values.dtype == np.uint8 and int(page.sampleformat or 1) == 2
        return _samples(page, values.view(np.int8) if signed else values)


def _open(file: IO[bytes]) -> TiffFile:
    import tifffile  # takes half a second

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # problems are reported once, as an error
    file.seek(0)
    tiff = tifffile.TiffFile(file)
    len(tiff.pages)  # finds pages that name an earlier one as the next; tifffile would iterate over these for ever
    return tiff


def _only_page(path: Path, tiff: TiffFile) -> TiffPage:
    """The only page of an image; overviews and transparency masks do not count as pages.

    Raises:
        DataError: If there are several pages.
    """
    if (count := _count_pages(tiff)) > 1:
        raise DataError(
            f"{path}: holds {count} pages; expected one per image or mask. If they are the slices of a volume, all "
            "images and masks must have as many; else split it, for example with tiffsplit."
        )
    page: TiffPage = _pages(tiff)[0]
    return page


def _pages(tiff: TiffFile) -> list[Any]:
    pages = [page for page in tiff.pages if not getattr(page, "subfiletype", 0) & 5]
    if not pages:
        raise OSError("no image in it")
    return pages


def _count_pages(tiff: TiffFile) -> int:
    pages = _pages(tiff)
    images = int((tiff.imagej_metadata or {}).get("images", 1))
    return max(len(pages), images, int(getattr(pages[0], "imagedepth", 1)))


def _header(path: Path, page: TiffPage) -> Header:
    tag = page.tags.get(_ORIENTATION)
    header = as_shown(path, page.imagelength, page.imagewidth, tag.value if tag else 1)
    return replace(header, has_alpha=_has_alpha(page))


def _mode(page: TiffPage) -> str:
    photometric = int(page.photometric)
    return _MODES.get(photometric, "TIFF") + "A" * (_has_alpha(page) and photometric == 2)


def _has_alpha(page: TiffPage) -> bool:
    return bool(page.extrasamples) and int(page.extrasamples[-1]) in (1, 2)


def _check_is_whole(page: TiffPage, file: IO[bytes]) -> None:
    if not page.dataoffsets or not page.size:
        raise OSError("no pixels in it")
    if _end_of_data(page) > file.seek(0, 2):
        raise OSError("the file ends before its pixels do")


def _end_of_data(page: TiffPage) -> int:
    return max((start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)


def _bands_last(page: TiffPage, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim == 3 and page.axes.index("S") == 0:
        values = np.moveaxis(values, 0, 2)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.shape[:2] != (page.imagelength, page.imagewidth):
        raise OSError(f"pixels of shape {values.shape}")
    return values


def _palette(page: TiffPage) -> NDArray[np.uint8] | None:
    if int(page.photometric) != 3 or page.colormap is None:
        return None
    return (np.asarray(page.colormap).T >> 8).astype(np.uint8)


def _samples(page: TiffPage, values: NDArray[Any]) -> Samples:
    photometric = int(page.photometric)
    alpha = _has_alpha(page)
    tag = page.tags.get(_NODATA)
    return Samples(
        values=values,
        format="JPEG" if int(page.compression) in _JPEG_COMPRESSIONS else "TIFF",
        is_lossy=int(page.compression) in _JPEG_COMPRESSIONS,
        mode=_mode(page),
        palette=_palette(page),
        white_is_zero=photometric == 0,
        has_alpha=alpha,
        nodata=_number(tag.value) if tag else None,
    )


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None
