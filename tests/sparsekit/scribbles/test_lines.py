"""Lines keep to what is safe by construction, also where the drawn pixels happen to stay inside without it."""

import numpy as np

from sparsekit.geometry.polylines import Polylines, safe
from sparsekit.geometry.regions import edge_distances, find_regions
from sparsekit.scribbles.lines import CONTROLS, Canvas, shape_lines
from sparsekit.scribbles.paths import long_paths
from tests.helpers.label_maps import VOID, rough_map


def shaped(seed: int) -> tuple[Polylines, Polylines, Canvas]:
    """Paths of a map, and the lines that they become."""
    regions = find_regions(rough_map(seed), VOID)
    distances = edge_distances(regions)
    ((paths, numbers),) = long_paths(regions, distances, np.arange(len(regions)))
    canvas = Canvas(regions.numbers, distances, numbers, width=1 + seed % 12)
    controls = np.random.default_rng(seed).random((len(numbers), CONTROLS))
    return paths, shape_lines(paths, controls, 2.0, canvas), canvas


def test_what_cannot_be_shaped_is_drawn_as_it_was_found() -> None:
    num_unshaped = 0
    for seed in range(60):
        paths, lines, canvas = shaped(seed)
        for number in set(lines.line[1:][~canvas.fitting(lines)].tolist()):
            assert lines.points[lines.line == number].tolist() == paths.points[paths.line == number].tolist()
            num_unshaped += 1
    assert num_unshaped  # or nothing was tested


def test_no_segment_is_wider_than_is_safe() -> None:
    num_narrowed = 0
    for seed in range(60):
        paths, shaped_paths, canvas = shaped(seed)
        for lines in (paths, shaped_paths):
            widths, reach = canvas.widths(lines), canvas.reach(lines)
            narrow = np.minimum(widths[1:], widths[:-1])
            is_safe = safe(lines.points[:-1], lines.points[1:], reach[:-1], reach[1:], narrow)
            assert (is_safe | ~lines.joined).all() and widths.min() >= 1
            num_narrowed += np.count_nonzero(widths < canvas.wanted_widths(reach))
    assert num_narrowed
