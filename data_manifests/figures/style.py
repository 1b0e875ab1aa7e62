"""The common style of figures for papers: sizes, colours, fonts, and file formats."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifests.files.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 300
#: Text width of a two-column paper, in inches.
TEXT_WIDTH = 6.9
FONT_SIZE = 7.5
INK, FAINT, LINE = "#1d2129", "#5a6270", "#d5d8de"
#: Colours for comparisons, distinct for every colour vision (Okabe and Ito, 2008).
SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b08900", "#56a0d3")

#: matplotlib settings.
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans", "font.size": FONT_SIZE, "axes.titlesize": FONT_SIZE, "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 1, "ytick.labelsize": FONT_SIZE - 1, "legend.fontsize": FONT_SIZE - 0.5,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6, "lines.linewidth": 1.3, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "text.parse_math": False, "pdf.fonttype": 42, "figure.facecolor": "white",
}  # fmt: skip


def font_path() -> Path | None:
    """Return the font of all figures, which is part of matplotlib; None if that is not installed."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    data = Path(spec.origin).with_name("mpl-data")
    if not data.is_dir():  # elsewhere on some systems; only matplotlib knows, and its import is slow
        import matplotlib

        data = Path(matplotlib.get_data_path())
    return data / "fonts/ttf/DejaVuSans.ttf"


def wrap(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Break a text into lines, after spaces, hyphens, underscores and slashes; inside a word only if it must be.

    Args:
        text: Any white space in it counts as one space.
        fits: Whether a text is narrow enough for a line. Single letters are lines even if they do not fit.

    Example:
        >>> wrap("scribbles, 80 % length", lambda line: len(line) <= 12)
        ['scribbles,', '80 % length']
        >>> wrap("aachen_000000_000019", lambda line: len(line) <= 8)
        ['aachen_', '000000_', '000019']
    """
    rest, lines = " ".join(text.split()), []
    while rest and not fits(rest):
        # Width grows with the number of letters, so bisection handles texts of any length.
        most = max(1, bisect_right(range(1, len(rest)), False, key=lambda letters: not fits(rest[:letters])))
        breaks = [i + 1 for i in range(most) if rest[i] in " -_/" and rest[i + 1 : i + 2] != "%"]
        end = most if rest[most : most + 1] == " " else max(breaks, default=most)
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines, rest] if rest else lines


def styled() -> AbstractContextManager[None]:
    """Context in which figures are created and drawn with the common style."""
    import matplotlib

    return matplotlib.rc_context(STYLE)  # type: ignore[arg-type]


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure as PNG or PDF, by the suffix of each path; equal figures give equal bytes.

    The PDF embeds fonts and keeps lines and text as vectors.
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
