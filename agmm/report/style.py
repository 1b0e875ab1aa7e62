"""Style of the figures of runs, on top of the common style in ``data_manifests.figures.style``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agmm.errors import TrainingError
from data_manifests import LabelClass
from data_manifests.colors import Color
from data_manifests.figures.style import FONT_SIZE, INK, LINE, SERIES_COLORS, styled, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf")
#: Width of one column of a two-column paper, in inches.
COLUMN_WIDTH = 3.35
#: Height of a line of text, in inches.
LINE_HEIGHT = FONT_SIZE / 72 * 1.5
#: Width of a legend beside its words: lines and frame, in inches.
LEGEND_MARGIN = 0.6
#: Colour of wrong pixels; distinct from image and classes for every colour vision.
ERROR_COLOR = (213, 94, 0)


def run_color(number: int) -> str:
    """Colour of a run by its position; colours repeat after the sixth."""
    return SERIES_COLORS[number % len(SERIES_COLORS)]


def check_figure(paths: Sequence[Path] = ()) -> None:
    """Check early whether a figure can be made.

    Args:
        paths: Files to write.

    Raises:
        TrainingError: If matplotlib is not installed.
        ValueError: If a path ends in neither .png nor .pdf.
    """
    if wrong := [path.name for path in paths if path.suffix.lower() not in SUFFIXES]:
        raise ValueError(f"A figure's name must end in {' or '.join(SUFFIXES)}, got '{wrong[0]}'.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise TrainingError("Figures need matplotlib: pip install 'sparsekit-agmm[figures]'.") from error


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """Make an empty figure; width and height in inches."""
    from matplotlib.figure import Figure

    with styled():
        return Figure(figsize=(width, height), layout="constrained" if constrained else None)


def class_legend(figure: Figure, classes: Sequence[LabelClass], y: float) -> None:
    """Add a legend of the class colours below a figure; ``y`` is its upper edge as a share of the height."""
    columns = legend_columns(classes, figure.get_figwidth())
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=5, color=to_unit(c.color), markeredgecolor=INK,
               markeredgewidth=0.4, label=c.name)
        for column in range(columns)  # matplotlib fills columns first; names are read along rows, as in other figures
        for c in classes[column::columns]
    ]  # fmt: skip
    figure.legend(
        handles=dots, loc="upper center", bbox_to_anchor=(0.5, y), ncols=columns, handletextpad=0.1, columnspacing=1.2,
        borderaxespad=0,
    )  # fmt: skip


def legend_columns(classes: Sequence[LabelClass], width: float) -> int:
    """Number of class names that fit side by side into a width in inches."""
    longest = max((len(c.name) for c in classes), default=0)
    return max(1, min(len(classes), int(width / (0.052 * longest + 0.28))))


def legend_height(classes: Sequence[LabelClass], width: float) -> float:
    """Height of the legend of classes in inches, including the gap above it."""
    return LINE_HEIGHT * -(-len(classes) // legend_columns(classes, width)) + 0.1 if classes else 0.02


def break_lines(text: str, width: float) -> str:
    """Break the lines of a text that would be wider than ``width`` inches.

    Example:
        >>> break_lines("agmm", 1.0), break_lines("study/runs/20-clicks/seed-0", 1.0)
        ('agmm', 'study/runs/20-\\nclicks/seed-0')
    """
    most = max(3, int(width / (0.56 * FONT_SIZE / 72)))
    return "\n".join(part for line in text.split("\n") for part in wrap(line, lambda part: len(part) <= most))


def plain_grid(axes: Axes) -> None:
    """Draw faint horizontal lines behind the data."""
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)


def to_unit(color: Color) -> tuple[float, float, float]:
    """Convert a colour of 0..255 to matplotlib's 0..1."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255
