"""Planes in which volumes are sliced. Imports no NumPy, so that the command line lists them at once."""

from __future__ import annotations

from typing import Literal, get_args

Axis = Literal["axial", "coronal", "sagittal"]
AXES: tuple[Axis, ...] = get_args(Axis)
DEFAULT_AXIS: Axis = "axial"

#: Where slices, rows and columns of each plane run to: Left, Right, Posterior, Anterior, Superior or Inferior. Slices
#: look as radiologists and DICOM viewers show them, whatever the order of the stored array.
DIRECTIONS: dict[Axis, tuple[str, str, str]] = {
    "axial": ("S", "P", "L"),
    "coronal": ("P", "I", "L"),
    "sagittal": ("L", "I", "P"),
}
