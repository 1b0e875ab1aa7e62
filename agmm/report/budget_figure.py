"""The figure of budgets: mIoU over clicks and over minutes of annotation, beside full supervision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agmm.errors import TrainingError
from agmm.report.budget import BudgetPoint, Budgets
from agmm.report.style import LEGEND_MARGIN, break_lines, check_figure, new_figure, plain_grid, run_color
from data_manifests.figures.style import FAINT, TEXT_WIDTH, save_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Position of a point on a horizontal axis; None if it has none.
Place = Callable[[BudgetPoint], float | None]

_HEIGHT = 2.7  # of the axes, in inches


def draw_budget(budgets: Budgets, paths: Sequence[Path]) -> None:
    """Draw a line for each way to train, with a band of one standard deviation over its seeds.

    The left axes show clicks per image, the right ones estimated minutes of annotation per image; empty axes are
    omitted. Annotations without clicks (scribbles) are diamonds at their minutes. Full masks are a dashed line, and the
    axis on the right shows the share of it.

    Args:
        budgets: The points.
        paths: Files to write, each ending in .png or .pdf.

    Raises:
        TrainingError: If no point has clicks or minutes, or matplotlib is not installed.
        ValueError: If a path has another ending.
    """
    check_figure(paths)
    points = [point for point in budgets.points if point.scores is not None and not point.is_full]
    places: list[tuple[str, Place]] = [
        ("clicks per image", lambda point: point.clicks if _has_clicks(point) else None),
        ("minutes of annotation per image", lambda point: point.minutes),
    ]
    shown = [(label, place) for label, place in places if any(place(point) for point in points)]
    if not shown:
        raise TrainingError(
            "The figure of budgets needs runs on clicks, or annotations with marks to estimate the minutes; got none."
        )
    with styled():
        figure = new_figure(TEXT_WIDTH, _HEIGHT + 0.2 * -(-len(_ways(points)) // 2))
        axes_of = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, (label, place) in zip(axes_of, shown, strict=True):
            _draw_ways(axes, points, place)
            _scale(axes, [x for point in points if (x := place(point))], label)
            _draw_full(axes, budgets)
        axes_of[0].set_ylabel("mIoU (%)")
        _share_axis(axes_of[-1], budgets)
        _legend(figure, axes_of)
    save_figure(figure, paths)


def _ways(points: Sequence[BudgetPoint]) -> list[str]:
    return list(dict.fromkeys(point.way for point in points))


def _has_clicks(point: BudgetPoint) -> bool:
    """Whether its annotation consists of clicks; strokes also count as marks but are worth more."""
    parts = point.annotation.split(" + ")  # clicks added to other marks
    return all("click" in part or part.startswith("points") for part in parts)


def _draw_ways(axes: Axes, points: Sequence[BudgetPoint], place: Place) -> None:
    ways = _ways(points)
    for number, way in enumerate(ways):
        color = run_color(number)
        dashes = "-" if number < 6 else "--"
        of_way = [(x, p.scores, _has_clicks(p)) for p in points if p.way == way and p.scores and (x := place(p))]
        line = sorted([(x, scores.mean, scores.deviation or 0.0) for x, scores, clicks in of_way if clicks])
        axes.plot([], [], dashes, color=color, marker="o", markersize=3.5, label=way)
        if line:
            xs, means, deviations = zip(*line, strict=True)
            axes.plot(xs, means, dashes, color=color, marker="o", markersize=3.5)
            low = [m - d for m, d in zip(means, deviations, strict=True)]
            high = [m + d for m, d in zip(means, deviations, strict=True)]
            axes.fill_between(xs, low, high, color=color, alpha=0.18, linewidth=0)
        for x, scores, clicks in of_way:
            if not clicks:
                beside = 1 + 0.04 * (number - (len(ways) - 1) / 2)  # equal scores would hide each other
                axes.errorbar(
                    x * beside,
                    scores.mean,
                    yerr=scores.deviation or 0.0,
                    fmt="D",
                    color=color,
                    markersize=4,
                    elinewidth=0.8,
                )


def _draw_full(axes: Axes, budgets: Budgets) -> None:
    if (full := budgets.full) is None or full.scores is None:
        return
    mean, deviation = full.scores.mean, full.scores.deviation or 0.0
    minutes = "" if full.minutes is None else f" ({full.minutes:.3g} min/image)"
    axes.axhline(mean, color=FAINT, linewidth=1, linestyle="--", label=f"full masks{minutes}")
    axes.axhspan(mean - deviation, mean + deviation, color=FAINT, alpha=0.15, linewidth=0)


def _scale(axes: Axes, values: Sequence[float], label: str) -> None:
    """A logarithmic axis whose ticks are the budgets themselves, where there is room."""
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks = budget_ticks(values)
    axes.set_xticks(ticks, [f"{value:.2g}" if value < 100 else f"{value:.0f}" for value in ticks])
    axes.margins(x=0.08)
    axes.set_xlabel(label)
    plain_grid(axes)


def budget_ticks(values: Sequence[float]) -> list[float]:
    """The values that have room for a label: a ratio of 1.25 apart, or a sixth of a short logarithmic axis."""
    ordered = sorted(set(values))
    apart = min(1.25, (ordered[-1] / ordered[0]) ** (1 / 6))
    ticks = ordered[:1]
    for value in ordered:
        if value / ticks[-1] > apart:
            ticks.append(value)
    return ticks


def _share_axis(axes: Axes, budgets: Budgets) -> None:
    if (full := budgets.full) is None or full.scores is None:
        return
    top = full.scores.mean

    def to_share(miou: Any) -> Any:
        return 100 * miou / top

    def to_miou(share: Any) -> Any:
        return share * top / 100

    share = axes.secondary_yaxis("right", functions=(to_share, to_miou))
    share.set_ylabel("share of full supervision (%)")


def _legend(figure: Figure, axes_of: Sequence[Axes]) -> None:
    handles, labels = axes_of[0].get_legend_handles_labels()
    from matplotlib.lines import Line2D

    if any(container.get_label() for axes in axes_of for container in axes.containers):
        handles.append(Line2D([], [], marker="D", linestyle="", markersize=4, color=FAINT))
        labels.append("scribbles and other marks")
    labels = [break_lines(label, TEXT_WIDTH / 2 - LEGEND_MARGIN) for label in labels]  # two columns fit side by side
    figure.legend(handles, labels, loc="outside upper center", ncols=2, handlelength=2.2)
