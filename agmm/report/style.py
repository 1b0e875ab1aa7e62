"""How figures look: sizes, colours and fonts of all of them, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agmm.errors import TrainingError
from data_manifests import LabelClass
from data_manifests.image_io import write_atomically
from data_manifests.label_space import Color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf")
DOTS_PER_INCH = 300
#: Width of one column and of the whole text of a two-column paper, in inches.
COLUMN_WIDTH, TEXT_WIDTH = 3.35, 6.9
FONT_SIZE = 7.5
#: Height of a line of text, in inches.
LINE_HEIGHT = FONT_SIZE / 72 * 1.5
INK, FAINT, LINE = "#1d2129", "#5a6270", "#d5d8de"
#: Wrong pixels; told from picture and classes by people of every colour vision.
ERROR_COLOR = (213, 94, 0)
#: One colour for each run, told apart by people of every colour vision (Okabe and Ito, 2008), on white and on black.
RUN_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b08900", "#56a0d3")

_RC: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": FONT_SIZE, "axes.titlesize": FONT_SIZE, "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 1, "ytick.labelsize": FONT_SIZE - 1, "legend.fontsize": FONT_SIZE - 0.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "lines.linewidth": 1.3, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "text.parse_math": False, "pdf.fonttype": 42, "figure.facecolor": "white",
}  # fmt: skip


def run_color(number: int) -> str:
    """Colour of a run by its position; they begin again after the sixth."""
    return RUN_COLORS[number % len(RUN_COLORS)]


def check_figure(paths: Sequence[Path] = ()) -> None:
    """Find out before any work whether a figure can be made.

    Args:
        paths: Files it will be written to.

    Raises:
        TrainingError: If matplotlib is not installed.
        ValueError: If a path ends in neither .png nor .pdf.
    """
    if wrong := [path.name for path in paths if path.suffix.lower() not in SUFFIXES]:
        raise ValueError(f"A figure's name must end in {' or '.join(SUFFIXES)}, got '{wrong[0]}'.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise TrainingError("Figures need matplotlib: pip install 'sparsekit[figures]'.") from error


def new_figure(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty figure; width and height in inches."""
    from matplotlib.figure import Figure

    with styled():
        return Figure(figsize=(width, height), layout="constrained" if constrained else None)


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure as PNG or PDF, after each path's ending; equal figures give equal bytes.

    Fonts are embedded in the PDF, and lines and words stay vectors.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for path in paths:
        kind = path.suffix.lower().lstrip(".")
        metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
        buffer = io.BytesIO()
        with styled():
            FigureCanvasAgg(figure)
            figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        write_atomically(path, buffer.getvalue())


def class_legend(figure: Figure, classes: Sequence[LabelClass], y: float) -> None:
    """Name the class colours below a figure; ``y`` is the legend's upper edge as a share of the height."""
    columns = legend_columns(classes, figure.get_figwidth())
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=5, color=to_unit(c.color), markeredgecolor=INK,
               markeredgewidth=0.4, label=c.name)
        for c in classes
    ]  # fmt: skip
    figure.legend(
        handles=dots, loc="upper center", bbox_to_anchor=(0.5, y), ncols=columns, handletextpad=0.1, columnspacing=1.2,
        borderaxespad=0,
    )  # fmt: skip


def legend_columns(classes: Sequence[LabelClass], width: float) -> int:
    """How many class names fit beside each other into a width in inches."""
    longest = max((len(c.name) for c in classes), default=0)
    return max(1, min(len(classes), int(width / (0.052 * longest + 0.28))))


def legend_height(classes: Sequence[LabelClass], width: float) -> float:
    """Height of the legend of classes in inches, with the gap above it."""
    return LINE_HEIGHT * -(-len(classes) // legend_columns(classes, width)) + 0.1 if classes else 0.02


def shorten(text: str, width: float) -> str:
    """Take out the middle of a line of text that would be wider than ``width`` inches.

    Example:
        >>> shorten("agmm", 1.0), shorten("study/runs/20-clicks/seed-0", 1.0)
        ('agmm', 'study/ru…s/seed-0')
    """
    most = max(3, int(width / (0.56 * FONT_SIZE / 72)))
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def plain_grid(axes: Axes) -> None:
    """Faint horizontal lines behind the data."""
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)


def to_unit(color: Color) -> tuple[float, float, float]:
    """A colour of 0..255 as matplotlib takes it."""
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def styled() -> AbstractContextManager[None]:
    """The style, within which axes are added and drawn."""
    import matplotlib

    return matplotlib.rc_context(_RC)  # type: ignore[arg-type]
