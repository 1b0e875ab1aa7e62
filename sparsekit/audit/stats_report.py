"""Statistics of annotations as text and as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_manifests.errors import counted
from data_manifests.figures.style import LINE, SERIES_COLORS, TEXT_WIDTH, save_figure, styled
from sparsekit.audit.stats import PERCENTILES, AnnotationStats
from sparsekit.audit.tables import format_table, number, percent
from sparsekit.errors import AnnotationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FIGURE_SUFFIXES = (".png", ".pdf")
_LONGEST_NAME = 32
#: First columns of the table of statistics.
_TABLE_BEGIN = b"annotation,class,"


def format_stats(stats: AnnotationStats) -> str:
    """Format a summary of three lines and a table with one row per class that occurs, and one for their sum."""
    rows = stats.rows()
    total = rows[-1]
    marks = counted(total["marks"], "mark") if stats.has_marks else "no file of marks"
    labelled = counted(total["labelled_pixels"], "labelled pixel")
    of_images, of_regions = counted(total["images"], "image-class pair"), counted(total["regions"], "region")
    summary = (
        f"{stats.name}: {counted(stats.num_images, 'image')}, {marks}, {labelled} "
        f"({percent(total['share_of_image'], 4)} % of the images, {percent(total['share_of_annotated'], 4)} % of their "
        f"annotated pixels)\nreached: {total['images_reached']:,} of {of_images} "
        f"({percent(total['images_reached_share'])} %), {total['regions_reached']:,} of {of_regions} "
        f"({percent(total['regions_reached_share'])} %)\noff-class pixels: {total['off_class_pixels']:,}; right, of "
        f"those the full masks annotate: {percent(total['share_right'], 2)} %\n"
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
        "right %": percent(row["share_right"]),
        "regions": f"{row['regions']:,}",
        "regions reached %": percent(row["regions_reached_share"]),
        f"border px p{'/'.join(map(str, PERCENTILES))}": "/".join(distances),
    }
    if strokes:
        cells["strokes"] = f"{row['strokes']:,}"
        cells["length px"] = number(row["stroke_length_median"])
        cells["width px"] = number(row["stroke_width_median"])
    return cells


def check_csv_path(path: Path) -> None:
    """Check early that the path does not hold a file other than a table of statistics, such as a manifest.

    Raises:
        AnnotationError: If it does.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        begin = file.read(len(_TABLE_BEGIN))
    if begin not in (b"", _TABLE_BEGIN):
        raise AnnotationError(f"{path}: already exists and is not a table of statistics. Give another name.")


def check_figure_path(path: Path) -> None:
    """Check early that ``draw_stats`` can write the figure.

    Raises:
        AnnotationError: If matplotlib is not installed.
        ValueError: If the path ends in neither .png nor .pdf.
    """
    if path.suffix.lower() not in _FIGURE_SUFFIXES:
        raise ValueError(f"A figure's name must end in {' or '.join(_FIGURE_SUFFIXES)}, got '{path.name}'.")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AnnotationError("Figures need matplotlib: pip install 'sparsekit-agmm[figures]'.") from error


def draw_stats(all_stats: Sequence[AnnotationStats], path: Path) -> None:
    """Draw annotations side by side at the text width of a paper: a row of dots per class, and curves below.

    Dots show the labelled share of the class's pixels, and the reached shares of its images and regions. The first axis
    is logarithmic; classes without labels have no dot there. Curves show the distance of labels to the border of their
    class. Classes that do not occur are omitted.

    Args:
        all_stats: One or more annotations, with equal or different classes.
        path: Ends in .png or .pdf; its folder is created.

    Raises:
        AnnotationError: If matplotlib is not installed.
        ValueError: If the path ends in neither .png nor .pdf.
    """
    check_figure_path(path)
    from matplotlib.figure import Figure

    tables = [{row["class"]: row for row in stats.rows()} for stats in all_stats]
    names = list(dict.fromkeys(name for stats in all_stats for name in stats.classes))
    names = [n for n in names if any(t[n]["images"] or t[n]["labelled_pixels"] for t in tables if n in t)] or names
    class_height = 0.09 + 0.05 * len(all_stats)  # in inches
    with styled():
        height = max(0.6, class_height * len(names))
        figure = Figure(figsize=(TEXT_WIDTH, height + 2.5), layout="constrained")
        grid = figure.add_gridspec(2, 3, height_ratios=(height + 0.4, 1.4))
        first = figure.add_subplot(grid[0, 0])
        _draw_dots(first, tables, names, "share_of_annotated", "pixels labelled, %", log=True)
        for column, (key, title) in enumerate(
            (("images_reached_share", "images reached, %"), ("regions_reached_share", "regions reached, %")), start=1
        ):
            axes = figure.add_subplot(grid[0, column], sharey=first)
            _draw_dots(axes, tables, names, key, title)
            axes.tick_params(labelleft=False)
        first.set_yticks(range(len(names)), [_short(name) for name in names])
        first.set_ylim(len(names) - 0.5, -0.5)
        _draw_border_distances(figure.add_subplot(grid[1, :]), all_stats)
        handles = [
            first.plot([], [], "o", markersize=3.5, color=_color(i), label=_short(stats.name))[0]
            for i, stats in enumerate(all_stats)
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3, handletextpad=0.1)
    save_figure(figure, [path])


def _short(name: str) -> str:
    """Cut the middle out of a name that would leave no room for the drawing."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"


def _color(number: int) -> str:
    return SERIES_COLORS[number % len(SERIES_COLORS)]


def _draw_dots(
    axes: Axes,
    tables: Sequence[dict[str, dict[str, Any]]],
    names: list[str],
    column: str,
    title: str,
    *,
    log: bool = False,
) -> None:
    axes.hlines(range(len(names)), 0, 1, transform=axes.get_yaxis_transform(), color=LINE, linewidth=0.5, zorder=0)
    drawn: list[float] = []
    for i, table in enumerate(tables):
        shift = 0.7 * ((i + 0.5) / len(tables) - 0.5)
        shares = [(row, table[name][column]) for row, name in enumerate(names) if name in table]
        dots = [(100 * value, row + shift) for row, value in shares if value is not None and (value or not log)]
        if dots:  # without any dots, the layout would have no size
            axes.plot([x for x, _ in dots], [y for _, y in dots], "o", markersize=3.5, color=_color(i), clip_on=False)
        drawn += [x for x, _ in dots]
    axes.set_title(title)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if not log:
        axes.set_xlim(0, 100)
    elif drawn:
        _scale_log(axes, min(drawn), max(drawn))


def _scale_log(axes: Axes, least: float, most: float) -> None:
    """Make the x axis logarithmic over whole powers of ten, with plain numbers."""
    exponents = range(
        math.floor(math.log10(least)), max(math.ceil(math.log10(most)), math.floor(math.log10(least)) + 1) + 1
    )
    axes.set_xscale("log")
    axes.set_xlim(10.0 ** exponents[0], 10.0 ** exponents[-1])
    axes.set_xticks([10.0**e for e in exponents], [f"{10.0**e:g}" for e in exponents])
    axes.minorticks_off()


def _draw_border_distances(axes: Axes, all_stats: Sequence[AnnotationStats]) -> None:
    farthest = 0.0
    for i, stats in enumerate(all_stats):
        tenths = stats.total.border
        values = sorted(tenths)
        shares = [100 * n / tenths.total() for n in accumulate(tenths[v] for v in values)]
        axes.step([v / 10 for v in values], shares, where="post", color=_color(i))
        farthest = max([farthest, *(v / 10 for v in values)])
    if farthest:
        _scale_log(axes, 1.0, farthest)  # no label is nearer than 1 pixel
    axes.set_xlabel("distance to the border of the class, at most, pixels")
    axes.set_ylabel("labelled pixels, %")
    axes.set_ylim(0, 100)
    axes.grid(color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
