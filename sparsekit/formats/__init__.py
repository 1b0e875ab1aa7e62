"""Formats of other tools, one module each, with its writer and its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from data_manifests import LabelSpace
    from sparsekit.formats.shared.job import ExportJob
    from sparsekit.formats.shared.label_values import LabelValues
    from sparsekit.formats.shared.source import Imported, ImportSource

__all__ = ["DRAWN_FORMATS", "EXPORTED", "FORMATS", "IMPORTED", "Format", "Overlaps", "load_format"]


@dataclass(frozen=True)
class Format:
    """A format: the ``FORMAT`` of its module.

    Args:
        write: Writes an export.
        read: Reads the annotations of a folder, image by image; None if the format is only written.
        values: Values of its label maps; None if it has no label maps.
        needs_marks: Whether writing it needs marks, not only label maps.
        losses: Lists what an export would lose, one clause each.
    """

    write: Callable[[ExportJob], None]
    read: Callable[[ImportSource], Iterator[Imported]] | None = None
    values: Callable[[LabelSpace], LabelValues] | None = None
    needs_marks: bool = False
    losses: Callable[[ExportJob], list[str]] = lambda job: []


_EXPORT, _BOTH = ("export",), ("export", "import")

#: All formats by name, with the directions each supports. The module of that name (with ``_`` for ``-``) loads on first
#: use, so the command line lists formats without NumPy and OpenCV.
FORMATS: dict[str, tuple[str, ...]] = {
    "agmm": _BOTH,
    "tel": _BOTH,
    "urss": _BOTH,
    "spml": _EXPORT,
    "pixelpick": _EXPORT,
    "s4a": _EXPORT,
    "nnunet": _EXPORT,
    "mmseg": _EXPORT,
    "hf": _EXPORT,
    "labelme": _BOTH,
    "cvat": _BOTH,
    "label-studio": _BOTH,
    "coco": _BOTH,
    "sam": _BOTH,
}
#: Names of the formats that can be written.
EXPORTED = tuple(FORMATS)
#: Names of the formats that can be read.
IMPORTED = tuple(name for name, directions in FORMATS.items() if "import" in directions)

#: Names of the formats whose shapes can fill a mask.
DRAWN_FORMATS = ("labelme", "cvat", "label-studio", "coco")
#: Which of two overlapping shapes is on top: the one the tool draws last, or the smaller one.
Overlaps = Literal["order", "area"]


def load_format(name: str, direction: str) -> Format:
    """Load a format.

    Args:
        name: A name of ``FORMATS``.
        direction: ``export`` or ``import``.

    Raises:
        ValueError: If the format is unknown or does not support the direction.
    """
    if direction not in FORMATS.get(name, ()):
        choices = ", ".join(EXPORTED if direction == "export" else IMPORTED)
        raise ValueError(f"Unknown format '{name}'. Choose from: {choices}.")
    found: Format = import_module(f"sparsekit.formats.{name.replace('-', '_')}").FORMAT
    return found
