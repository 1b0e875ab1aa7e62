"""Statistics of annotations as text and as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_manifests.image_io import atomic_path
from sparsekit.errors import AnnotationError
from sparsekit.stats import PERCENTILES, AnnotationStats
from sparsekit.tables import format_table, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FIGURE_SUFFIXES = (".png", ".pdf")


def format_stats(stats: AnnotationStats) -> str:
    """A summary in three lines and a table with a row for each class that occurs, and for their sum."""
    rows = stats.rows()
    total = rows[-1]
    marks = f"{total['marks']:,} marks" if stats.has_marks else "no file of marks"
    summary = (
        f"{stats.name}: {stats.num_images:,} images, {marks}, {total['labelled_pixels']:,} labelled "
        f"pixels ({percent(total['share_of_image'], 4)} % of the images, "
        f"{percent(total['share_of_annotated'], 4)} % of their annotated pixels)\n"
        f"reached: {total['images_reached']:,} of {total['images']:,} classes of images "
        f"({percent(total['images_reached_share'])} %), {total['regions_reached']:,} of {total['regions']:,} regions "
        f"({percent(total['regions_reached_share'])} %)\n"
        f"off-class pixels: {total['off_class_pixels']:,}\n"
    )
    occurring = [row for row in rows[:-1] if row["images"] or row["labelled_pixels"] or row["marks"]]
    if absent := [row["class"] for row in rows[:-1] if row not in occurring]:
        summary += f"not in these images: {', '.join(absent)}\n"
    return f"{summary}\n{format_table([_cells(row, strokes=bool(total['strokes'])) for row in [*occurring, total]])}"


def _cells(row: dict[str, Any], *, strokes: bool) -> dict[str, str]:
    distances = [number(row[f"border_distance_p{p}"]) for p in PERCENTILES]
    cells = {
        "class": row["class"],
        "images": f"{row['images']:,}",
        "reached %": percent(row["images_reached_share"]),
        **({} if row["marks"] is None else {"marks": f"{row['marks']:,}"}),
        "labelled px": f"{row['labelled_pixels']:,}",
        "% of class": percent(row["share_of_annotated"], 4),
        "off-class": f"{row['off_class_pixels']:,}",
        "regions": f"{row['regions']:,}",
        "regions reached %": percent(row["regions_reached_share"]),
        f"border px p{'/'.join(map(str, PERCENTILES))}": "/".join(distances),
    }
    if strokes:
        cells["strokes"] = f"{row['strokes']:,}"
        cells["length px"] = number(row["stroke_length_median"])
        cells["width px"] = number(row["stroke_width_median"])
    return cells


def check_figure_path(path: Path) -> None:
    """Refuse early what ``draw_stats`` could not write.

    Raises:
        AnnotationError: If matplotlib is not installed.
        ValueError: If the path ends in neither .png nor .pdf.
    """
    if path.suffix.lower() not in _FIGURE_SUFFIXES:
        raise ValueError(f"A figure's name must end in {' or '.join(_FIGURE_SUFFIXES)}, got '{path.name}'.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AnnotationError("Figures need matplotlib: pip install 'sparsekit[figures]'.") from error


def draw_stats(all_stats: Sequence[AnnotationStats], path: Path) -> None:
    """Draw annotations side by side: coverage and reach of each class, and the distance to the border.

    Args:
        all_stats: One or several annotations, of equal or different classes.
        path: Ends in .png or .pdf; its folder is made.

    Raises:
        AnnotationError: If matplotlib is not installed.
        ValueError: If the path ends in neither .png nor .pdf.
    """
    check_figure_path(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for stats in all_stats for name in stats.classes))
    figure = Figure(figsize=(12, 4 + 0.28 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _draw_bars(axes[0, 0], all_stats, names, "share_of_annotated", "labelled pixels, % of the class", log=True)
    _draw_bars(axes[0, 1], all_stats, names, "images_reached_share", "images in which the class is reached, %")
    _draw_bars(axes[1, 0], all_stats, names, "regions_reached_share", "regions reached, %")
    _draw_border_distances(axes[1, 1], all_stats)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    format_ = path.suffix.lower()[1:]
    with atomic_path(path) as partial:
        # Without the date, equal statistics give an equal file.
        metadata = {"CreationDate": None} if format_ == "pdf" else {"Software": None}
        figure.savefig(partial, format=format_, dpi=150, metadata=metadata)


def _draw_bars(
    axes: Axes, all_stats: Sequence[AnnotationStats], names: list[str], column: str, title: str, *, log: bool = False
) -> None:
    height = 0.8 / len(all_stats)
    any_above_zero = False
    for i, stats in enumerate(all_stats):
        values = {row["class"]: row[column] for row in stats.rows()}
        shares = [100 * (values.get(name) or 0) for name in names]
        any_above_zero |= any(shares)
        axes.barh(np.arange(len(names)) + (i + 0.5) * height - 0.4, shares, height, label=stats.name)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    if not log:
        axes.set_xlim(0, 100)
    elif any_above_zero:
        axes.set_xscale("log")


def _draw_border_distances(axes: Axes, all_stats: Sequence[AnnotationStats]) -> None:
    for stats in all_stats:
        tenths = stats.total.border
        values = sorted(tenths)
        shares = [100 * n / tenths.total() for n in accumulate(tenths[v] for v in values)]
        axes.step([v / 10 for v in values], shares, where="post", label=stats.name)
        if values:
            axes.set_xscale("log")
    axes.set_title("labelled pixels at most so far from their class's border, %", fontsize="medium")
    axes.set_xlabel("pixels")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
