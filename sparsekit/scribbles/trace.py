"""Scribbles: one stroke per region, through its middle, never on another class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_manifests import LabelMap, Mark
from sparsekit.geometry.polylines import Ints, Polylines
from sparsekit.geometry.regions import Regions, edge_distances, find_regions
from sparsekit.randomness import ImageStream, require_stream
from sparsekit.scribbles.lines import CONTROLS, Canvas, part_of, shape_lines, simplify
from sparsekit.scribbles.overshoot import overshoot
from sparsekit.scribbles.paths import long_paths
from sparsekit.scribbles.settings import DEFAULT_LENGTH, ScribbleSettings


def trace_scribbles(
    label_map: LabelMap,
    settings: ScribbleSettings | None = None,
    shares: Sequence[float] = (DEFAULT_LENGTH,),
    *,
    rng: ImageStream,
    unlabelled_value: int = 255,
    instances: LabelMap | None = None,
) -> list[list[Mark]]:
    """Draw one or more strokes in each region of a label map.

    Every pixel of a stroke has the stroke's class: each point is the centre of a disc inside the region, and each
    segment stays within the discs of its two ends. Every class of the label map gets a stroke, and so does every
    region of at least ``settings.min_area`` pixels. Where there is no room for a curve, the stroke is a straight line;
    where there is no room for a line, a dot. A budget of the image, ``per="image"``, may leave out both, and
    ``sloppiness`` takes strokes across borders.

    Args:
        label_map: Train ids of any integer type, shape (H, W).
        settings: How to draw; by default ``ScribbleSettings()``.
        shares: Shares of the strokes' full length to draw, each in (0, 1]; shorter strokes are parts of longer ones.
        rng: The image's random stream; equal streams give equal strokes.
        unlabelled_value: Value of void pixels, which no stroke touches.
        instances: For ``per="instance"``, instance numbers, shape (H, W), 0 outside instances.

    Returns:
        The strokes for each share. The first strokes of all regions, by region number, precede the second strokes.

    Raises:
        ValueError: If a share is out of range, or ``label_map`` is not an array of ids of shape (H, W).

    References:
        Lin et al., "ScribbleSup", CVPR 2016; Boettcher et al., "Scribbles for All", NeurIPS 2024.

    Example:
        >>> label_map = np.zeros((40, 60), np.uint8)
        >>> label_map[:, 45:] = 1
        >>> (strokes,) = trace_scribbles(label_map, rng=ImageStream(0, "a", "scribbles"))
        >>> [stroke.class_id for stroke in strokes]
        [0, 1]
    """
    require_stream(rng)
    if outside := [share for share in shares if not 0 < share <= 1]:
        raise ValueError(f"A share of the length must be above 0 and at most 1, got {outside[0]}.")
    settings = settings or ScribbleSettings()
    regions = find_regions(label_map, unlabelled_value, instances if settings.per == "instance" else None)
    chosen = _chosen_regions(regions, settings)
    distances = edge_distances(regions, chosen)
    marks: list[list[Mark]] = [[] for _ in shares]
    per_image = settings.per == "image"
    for paths, numbers in long_paths(regions, distances, chosen, 1 if per_image else settings.strokes):
        # Every region consumes its numbers, drawn or not, so that other settings do not change its stroke.
        drawn = rng.uniforms(CONTROLS * len(regions)).reshape(-1, CONTROLS)
        controls = drawn[numbers]
        canvas = Canvas(regions.numbers, distances, numbers, settings.width)
        lines = simplify(shape_lines(paths, controls, settings.wobble, canvas), settings.tolerance, canvas)
        widths = canvas.widths(lines)
        for strokes, share in zip(marks, shares, strict=True):
            kept = part_of(lines, controls[:, -1], share)
            strokes += _to_marks(lines.keep(kept), widths[kept], numbers, regions.class_ids)
    if per_image:
        rank = _ranks(regions)
        marks = [sorted(strokes, key=lambda mark: rank[mark.region])[: settings.strokes] for strokes in marks]
    if settings.sloppiness:
        sloppy, shape = rng.branch("sloppiness"), (regions.numbers.shape[0], regions.numbers.shape[1])
        marks = [overshoot(strokes, settings.sloppiness, settings.width, shape, sloppy) for strokes in marks]
    return marks


def _ranks(regions: Regions) -> list[int]:
    """Place of each region in the order of strokes: the largest of each class, then the others, large ones first."""
    order = np.lexsort((-regions.areas, ~regions.largest_of_each_class()))
    return np.argsort(order).tolist()  # type: ignore[no-any-return]


def _chosen_regions(regions: Regions, settings: ScribbleSettings) -> Ints:
    chosen = regions.largest_of_each_class()
    if settings.per != "class":
        chosen |= regions.areas >= settings.min_area
    return np.flatnonzero(chosen)


def _to_marks(lines: Polylines, widths: Ints, numbers: Ints, class_ids: Ints) -> list[Mark]:
    points = [(row, col) for row, col in lines.points.tolist()]
    bounds = [*lines.first.tolist(), len(points)]
    all_widths = widths.tolist()
    marks = []
    for number, begin, end in zip(numbers.tolist(), bounds, bounds[1:], strict=False):
        row, col = points[begin]
        corners, widths_there = tuple(points[begin:end]), tuple(all_widths[begin:end])
        marks.append(Mark("stroke", int(class_ids[number]), row, col, corners, widths_there, number))
    return marks
