"""Decode TIFF files with tifffile, which preserves every sample type and number of bands."""

from __future__ import annotations

import logging
from dataclasses import replace
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
_MODES = {0: "grey", 1: "grey", 2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
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
    return tifffile.TiffFile(file)


def _only_page(path: Path, tiff: TiffFile) -> TiffPage:
    """The only page of an image; overviews and transparency masks do not count as pages.

    Raises:
        DataError: If there are several pages.
    """
    pages: list[Any] = [page for page in tiff.pages if not getattr(page, "subfiletype", 0) & 5]
    images = max(len(pages), int((tiff.imagej_metadata or {}).get("images", 1)))
    if not pages:
        raise OSError("no image in it")
    if images > 1 or getattr(pages[0], "imagedepth", 1) > 1:
        raise DataError(
            f"{path}: holds {max(images, pages[0].imagedepth)} pages; expected one per image or mask. Split it into "
            "single-page files, for example with tiffsplit."
        )
    page: TiffPage = pages[0]
    return page


def _header(path: Path, page: TiffPage) -> Header:
    tag = page.tags.get(_ORIENTATION)
    header = as_shown(path, page.imagelength, page.imagewidth, tag.value if tag else 1)
    return replace(header, has_alpha=_has_alpha(page))


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
        mode=_MODES.get(photometric, "TIFF") + "A" * (alpha and photometric == 2),
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
