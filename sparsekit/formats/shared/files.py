"""Read untrusted JSON and XML: bounded in size, without entities, with one kind of error for all damage."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_manifests.errors import DataError, list_some
from data_manifests.files import text
from sparsekit.errors import AnnotationError


class RefusedError(Exception):
    """Valid content that is not supported; ``damage_of`` adds its location."""


class SkippableError(RefusedError):
    """A refused shape that ``--skip-unsupported`` skips.

    Args:
        reason: Why it is refused, and what else to do; without a full stop.
        note: Name of such shapes, for the note that counts them.
    """

    def __init__(self, reason: str, note: str) -> None:
        super().__init__(f"{reason}, or give --skip-unsupported to skip such shapes.")
        self.note = note


#: Larger files are rejected; a million strokes take about a tenth of this.
MAX_BYTES = 1 << 30


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        AnnotationError: If it is missing, not a file, or too large.
    """
    try:
        return text.read_bytes(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such file.") from error
    except ValueError as error:
        raise AnnotationError(
            f"{path}: {error}. Give a file of at most {MAX_BYTES} bytes, or export it in parts."
        ) from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        AnnotationError: If it cannot be read.
    """
    data = read_bytes(path)
    try:
        return text.parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise AnnotationError(f"{path}: not JSON, or truncated ({error}).") from error


def parse_xml(data: bytes, where: object) -> Element:
    """Parse XML and return its root element; a document type, which could contain entity bombs, is rejected.

    Raises:
        AnnotationError: If it is not well-formed or has a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise AnnotationError(f"{where}: has a document type (<!DOCTYPE>), which annotations do not need; remove it.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        root: Element = builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AnnotationError(f"{where}: not XML, or truncated ({error}).") from error
    return root


@contextmanager
def damage_of(where: object, what: str) -> Iterator[None]:
    """Convert any error caused by data of unexpected structure to an ``AnnotationError``.

    Args:
        where: The file and the part of it.
        what: The expected content.

    Raises:
        AnnotationError: For any error of structure or value in the block, and any ``RefusedError``.
    """
    try:
        yield
    except RefusedError as error:
        raise AnnotationError(f"{where}: {error}") from error
    except DataError:
        raise
    except KeyError as error:
        raise AnnotationError(f"{where}: not {what}: {error} is missing.") from error
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: not {what}, or damaged ({error}).") from error


def is_hidden(path: Path, folder: Path) -> bool:
    """Whether a file or one of its folders below ``folder`` is hidden, like those of file browsers and notebooks."""
    return any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)


def read_small_image(data: bytes, shape: tuple[int, int], mode: str = "L") -> NDArray[np.uint8]:
    """Decode an image embedded in an annotation; it may not be larger than the annotated image.

    Args:
        data: The image file.
        shape: Height and width of the annotated image.
        mode: Pillow's mode of the result; by default grey values.

    Raises:
        OSError: If it is not an image, or is damaged.
        ValueError: If it is larger.
    """
    with Image.open(io.BytesIO(data)) as decoded:
        if decoded.height > shape[0] or decoded.width > shape[1]:  # before it is decoded
            raise ValueError(
                f"a mask of {decoded.width}x{decoded.height} is larger than its image of {shape[1]}x{shape[0]} (width "
                "x height)"
            )
        return np.asarray(decoded.convert(mode))


def only_file(folder: Path, names: tuple[str, ...], pattern: str) -> Path:
    """Find the file in a folder with one of some names, or else the only one that matches a pattern.

    Raises:
        AnnotationError: If there is none, or several.
    """
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
    if len(found) != 1:
        below = sorted(path for path in folder.rglob(pattern) if not is_hidden(path, folder))
        there = list_some([str(path.relative_to(folder)) for path in below], limit=3) or "none"
        raise AnnotationError(
            f"{folder}: expected {' or '.join(names)}, or one file {pattern}, found {there}. Give the folder of one of "
            "these files, or name the file so."
        )
    return found[0]
