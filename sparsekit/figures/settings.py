"""Settings of figures. Imports no NumPy, so that the command line lists the choices at once."""

from __future__ import annotations

from dataclasses import dataclass

#: File formats of figures.
FORMATS = ("png", "pdf")


@dataclass(frozen=True)
class FigureSettings:
    """How figures look.

    Args:
        dot_size: Diameter of a click in pixels of the full image; by default ``overlay.default_dot_size``.
        full_mask: Add the full mask beside the annotations.
        mask_opacity: 1 shows the full mask alone, a smaller value blends it over the image.
        sheet: Rows and columns of a contact sheet; by default one figure per image.
        names: Write the image ids below the images.
        captions: One per manifest; by default derived from its settings.
        max_width: Largest width of a figure in pixels; wider ones are scaled down after drawing, and small images are
            enlarged before.
        file_format: ``png`` or ``pdf``.

    Raises:
        ValueError: If a setting is out of range.
    """

    dot_size: int | None = None
    full_mask: bool = False
    mask_opacity: float = 1.0
    sheet: tuple[int, int] | None = None
    names: bool = False
    captions: tuple[str, ...] = ()
    max_width: int = 2048
    file_format: str = "png"

    def __post_init__(self) -> None:
        if self.dot_size is not None and self.dot_size < 1:
            raise ValueError(f"dot_size must be at least 1, got {self.dot_size}.")
        if not 0 < self.mask_opacity <= 1:
            raise ValueError(f"mask_opacity must be above 0 and at most 1, got {self.mask_opacity}.")
        if self.sheet is not None and min(self.sheet) < 1:
            raise ValueError(f"A sheet needs at least 1 row and 1 column, got {self.sheet[0]}x{self.sheet[1]}.")
        if self.file_format not in FORMATS:
            raise ValueError(f"Unknown format '{self.file_format}'. Choose from: {', '.join(FORMATS)}.")
