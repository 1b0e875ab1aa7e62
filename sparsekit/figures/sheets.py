"""Lay out figures: images in rows and columns, captions, and a legend of the classes."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from data_manifests.colors import Color
from data_manifests.errors import counted
from data_manifests.figures.drawing import Image, draw_dot, rim_width
from data_manifests.figures.style import font_path, wrap
from sparsekit.errors import AnnotationError

_INK = (32, 32, 32)
_MIN_WIDTH = 320
_SMALL_SIDE = 480  # images whose longer side is at most half of this are enlarged
_LINE = 1.25  # distance of two lines of text, in text sizes
_DOTS_PER_INCH = 300  # a figure 2048 pixels wide fills the text width of a page


@dataclass(frozen=True)
class Text:
    """Text in a figure; ``x`` is its left end or, if centred, its middle; ``y`` is the baseline; in pixels."""

    text: str
    x: float
    y: float
    size: int
    centered: bool = False


@dataclass(frozen=True)
class Dot:
    """The mark of a class in the legend; centre and diameter in pixels."""

    x: float
    y: float
    size: float
    color: Color


@dataclass
class Sheet:
    """The elements of a figure with their positions; ``to_image`` draws pixels, ``to_pdf`` a PDF.

    Args:
        width: In pixels.
        height: In pixels.
        images: Left and upper edge in pixels, and the image.
        texts: Captions and class names.
        dots: Class colours.
    """

    width: int
    height: int = 0
    images: list[tuple[int, int, Image]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)

    def to_image(self) -> Image:
        """Draw the figure on white: RGB, uint8, shape (height, width, 3)."""
        canvas = np.full((self.height, self.width, 3), 255, np.uint8)
        for x, y, image in self.images:
            canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
        for dot in self.dots:
            draw_dot(canvas, dot.y, dot.x, dot.size, dot.color, _INK)
        page = PillowImage.fromarray(canvas)
        draw = ImageDraw.Draw(page)
        for text in self.texts:
            anchor = "ms" if text.centered else "ls"
            draw.text((text.x, text.y), text.text, _INK, _font(text.size), anchor=anchor)
        return np.asarray(page)

    def to_pdf(self, note: str = "") -> bytes:
        """Draw the figure as a PDF page: images as pixels, text and legend as vectors with the font embedded.

        Args:
            note: Stored in the metadata of the file, not visible on the page.

        Raises:
            AnnotationError: If matplotlib is not installed.
        """
        try:
            import matplotlib
            from matplotlib.figure import Figure
            from matplotlib.font_manager import FontProperties
            from matplotlib.patches import Circle
        except ImportError as error:
            raise AnnotationError(
                "PDF needs matplotlib: pip install 'sparsekit-agmm[figures]'. PNG works without it."
            ) from error
        points = 72 / _DOTS_PER_INCH
        page = Figure(figsize=(self.width / _DOTS_PER_INCH, self.height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH)
        for x, y, image in self.images:
            height, width = image.shape[:2]
            bottom = 1 - (y + height) / self.height
            axes = page.add_axes((x / self.width, bottom, width / self.width, height / self.height))
            axes.imshow(image, interpolation="none", aspect="auto")
            axes.axis("off")
        over = page.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        over.axis("off")
        for dot in self.dots:
            rim = rim_width(dot.size)
            outline = {
                "facecolor": _unit(dot.color),
                "edgecolor": _unit(_INK),
                "linewidth": rim * points,
            }
            over.add_patch(Circle((dot.x, dot.y), (dot.size - rim) / 2, **outline))
        with matplotlib.rc_context({"pdf.fonttype": 42}):
            for text in self.texts:
                over.text(
                    text.x, text.y, text.text, color=_unit(_INK), va="baseline", parse_math=False,
                    ha="center" if text.centered else "left",
                    fontproperties=FontProperties(fname=font_path(), size=text.size * points),
                )  # fmt: skip
            buffer = io.BytesIO()
            page.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Keywords": note})
        return buffer.getvalue()


@dataclass(frozen=True)
class Grid:
    """Arrangement of images: groups in rows and columns; each group shows the panels of one image side by side.

    Args:
        rows: Rows of groups.
        columns: Groups per row.
        panels: Panels per group.
        max_width: Largest width of the figure in pixels; images are scaled down to fit.
    """

    rows: int
    columns: int
    panels: int
    max_width: int

    @property
    def num_groups(self) -> int:
        """Groups on a full sheet."""
        return self.rows * self.columns

    def gaps(self) -> tuple[int, int]:
        """Gaps between two panels of a group and between two groups, in pixels."""
        narrow = max(2, round(self.max_width / 200))
        return narrow, narrow if self.panels == 1 else 3 * narrow

    def share_of(self, width: int, columns: int) -> int:
        """Width of a panel in pixels if ``columns`` groups and their gaps fill ``width``."""
        narrow, wide = self.gaps()
        return (width - (columns - 1) * wide - columns * (self.panels - 1) * narrow) // (columns * self.panels)

    def zoom(self, longest: int) -> int:
        """Whole factor that enlarges images whose longest side has ``longest`` pixels, as far as there is room."""
        return max(1, min(_SMALL_SIDE, self.share_of(self.max_width, self.columns)) // longest)

    def panel_width(self, widest: int) -> int:
        """Width of a panel in pixels if the widest image has ``widest`` pixels.

        Raises:
            ValueError: If ``max_width`` leaves less than 8 pixels per panel.
        """
        width = min(widest, self.share_of(self.max_width, self.columns))
        if width < min(8, widest):
            raise ValueError(
                f"max_width of {self.max_width} leaves {counted(max(0, width), 'pixel')} for each of "
                f"{self.columns * self.panels} images in a row. Give a larger --max-width or fewer columns."
            )
        return width


def lay_out(
    groups: Sequence[Sequence[Image]],
    grid: Grid,
    room_width: int,
    *,
    captions: Sequence[str] = (),
    names: Sequence[str] = (),
    legend: Sequence[tuple[str, Color]] = (),
) -> Sheet:
    """Arrange images, captions and a legend.

    Args:
        groups: The panels of each image, none wider than ``room_width``; at most ``grid.num_groups``.
        grid: The arrangement.
        room_width: Space for one panel, in pixels.
        captions: One per panel of a group, above the first row.
        names: One per group, below it.
        legend: Class names and their colours.
    """
    narrow, wide = grid.gaps()
    columns = min(grid.columns, len(groups))
    # Spread tiny images, so that there is room for text.
    room_width = max(room_width, grid.share_of(min(_MIN_WIDTH, grid.max_width), columns))
    group_width = grid.panels * room_width + (grid.panels - 1) * narrow
    sheet = Sheet(columns * group_width + (columns - 1) * wide)
    size = _text_size(sheet.width, columns * grid.panels)
    y = 0
    if captions:
        written = [_wrap(caption, size, room_width) for caption in captions]
        most = max(map(len, written))
        for column in range(columns):
            for panel, lines in enumerate(written):
                middle = column * (group_width + wide) + panel * (room_width + narrow) + room_width / 2
                _add_lines(sheet, lines, middle, size + _LINE * size * (most - len(lines)), size)
        y = round(1.4 * size + _LINE * size * (most - 1))
    small = round(0.8 * size)
    for start in range(0, len(groups), columns):
        row = groups[start : start + columns]
        named = [_wrap(name, small, group_width) for name in names[start : start + columns]]
        row_height = max(image.shape[0] for group in row for image in group)
        for column, group in enumerate(row):
            group_left = column * (group_width + wide)
            for panel, image in enumerate(group):
                x = group_left + panel * (room_width + narrow) + (room_width - image.shape[1]) // 2
                sheet.images.append((x, y + (row_height - image.shape[0]) // 2, image))
            if names:
                _add_lines(sheet, named[column], group_left + group_width / 2, y + row_height + 1.1 * small, small)
        more_lines = max(map(len, named), default=1) - 1
        y += row_height + (round(1.3 * size + _LINE * small * more_lines) if names else 0) + narrow
    sheet.height = y - narrow
    _add_legend(sheet, legend, size)
    return sheet


def _wrap(text: str, size: int, width: float) -> list[str]:
    font = _font(size)
    return wrap(text, lambda line: font.getlength(line) <= width)


def _add_lines(sheet: Sheet, lines: Sequence[str], middle: float, baseline: float, size: int) -> None:
    """Write centred lines of text, the first at a baseline."""
    for number, line in enumerate(lines):
        sheet.texts.append(Text(line, middle, baseline + _LINE * size * number, size, centered=True))


def shrink(image: Image, panel_size: tuple[int, int]) -> Image:
    """Scale an image down to fit into a panel by area averaging; an image that fits is unchanged.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        panel_size: (height, width) in pixels.
    """
    height, width = fitting_size(image.shape, panel_size)
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def fitting_size(shape: tuple[int, ...], panel_size: tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels of an image after scaling it down to fit into a panel, never up."""
    height, width = shape[:2]
    scale = min(1.0, panel_size[0] / height, panel_size[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shorten(text: str, size: int, width: float) -> str:
    """Cut the middle out of a text that is wider than ``width`` pixels."""
    text = " ".join(text.split())
    font = _font(size)

    def keep(letters: int) -> str:
        return text[: letters - letters // 2] + "…" + text[len(text) - letters // 2 :]

    if font.getlength(text) <= width:
        return text
    # Width grows with the number of letters, so bisection handles names of any length.
    fitting = bisect_right(range(len(text)), width, key=lambda letters: font.getlength(keep(letters)))
    return keep(max(fitting - 1, 0))


def _add_legend(sheet: Sheet, legend: Sequence[tuple[str, Color]], size: int) -> None:
    """Write class names below the images, in as many columns as fit."""
    if not legend:
        return
    before_name, between = 1.25 * size, 1.4 * size
    names = [shorten(name, size, sheet.width - before_name) for name, _ in legend]
    widths = [before_name + _font(size).getlength(name) for name in names]
    for columns in range(len(names), 0, -1):
        column_widths = [max(widths[i::columns]) for i in range(columns)]
        legend_width = sum(column_widths) + (columns - 1) * between
        if legend_width <= sheet.width - size:
            break
    # Balance the rows, so that the last one is not almost empty.
    rows = -(-len(names) // columns)
    columns = -(-len(names) // rows)
    column_widths = [max(widths[i::columns]) for i in range(columns)]
    legend_width = sum(column_widths) + (columns - 1) * between
    left = max(0.0, (sheet.width - legend_width) / 2)
    top, line_height = sheet.height + 0.7 * size, 1.45 * size
    for i, (name, (_, color)) in enumerate(zip(names, legend, strict=True)):
        x = left + sum(column_widths[: i % columns]) + (i % columns) * between
        baseline = top + (i // columns) * line_height + 0.85 * size
        sheet.dots.append(Dot(x + 0.45 * size, baseline - 0.36 * size, 0.9 * size, color))
        sheet.texts.append(Text(name, x + before_name, baseline, size))
    sheet.height = round(top + rows * line_height)


def _text_size(width: int, images_in_row: int) -> int:
    """Height of the text in pixels; a single image is printed one column wide, a row of several across the page."""
    return max(11, round(width * (0.023 if images_in_row == 1 else 0.015)))


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = font_path()
    font = ImageFont.load_default(size) if path is None else ImageFont.truetype(str(path), size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise AnnotationError("Figures need a Pillow with FreeType: pip install --upgrade --force-reinstall pillow.")
    return font


def _unit(color: Color) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255
