"""The golden figures; ``python -m tests.golden.make_render`` draws them again: look at them before you commit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from data_manifests import LabelClass, LabelSpace, Mark
from data_manifests.figures.drawing import Image, colorize
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from sparsekit.figures.overlay import draw_marks
from sparsekit.figures.sheets import Grid, lay_out

SPACE = LabelSpace(
    "golden",
    (
        LabelClass("ground", (128, 64, 128), (0,)),
        LabelClass("sky", (70, 130, 180), (1,)),
        LabelClass("lamp", (220, 220, 0), (2,)),
    ),
)


def scene(height: int = 48, width: int = 96) -> Image:
    """An image that fades from dark to light."""
    ramp = np.linspace(10, 245, width).round().astype(np.uint8)
    return np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)


def clicks() -> Image:
    """Dots over dark and light, at corners, edges and over each other."""
    places = [(0, 0), (24, 12), (24, 17), (47, 95), (20, 50), (30, 70), (10, 95), (47, 40), (6, 30)]
    marks = [Mark("click", i % 3, row, col) for i, (row, col) in enumerate(places)]
    return draw_marks(scene(), marks, SPACE, dot_size=13)


def strokes() -> Image:
    """Two strokes as the annotation has them."""
    annotation = np.full((48, 96), 255, np.uint8)
    for class_id, row in ((0, 14), (2, 34)):
        points = np.array([[[x, row + (x // 8) % 3 * 2]] for x in range(8, 90, 8)], np.int32)
        cv2.polylines(annotation, [points], False, class_id, 3)
    marks = [Mark("stroke", 0, 14, 8), Mark("stroke", 2, 34, 8)]
    return draw_marks(scene(), marks, SPACE, annotation=annotation)


def areas() -> Image:
    """A box, a polygon and a block."""
    marks = [
        Mark("box", 0, 8, 6, ((8, 6), (8, 30), (28, 30), (28, 6))),
        Mark("polygon", 2, 40, 40, ((40, 36), (10, 48), (36, 62))),
        Mark("block", 1, 20, 72, ((20, 72), (20, 79), (27, 79), (27, 72))),
    ]
    return draw_marks(scene(), marks, SPACE)


def sheet() -> Image:
    """Two images of three panels with captions, names and a legend."""
    label_map = np.zeros((48, 96), np.uint8)
    label_map[:20], label_map[40:] = 1, 255
    group = [clicks(), strokes(), colorize(label_map, SPACE)]
    legend = [(c.name, c.color) for c in SPACE.classes]
    return lay_out(
        [group, group], Grid(2, 1, 3, 600), 96,
        captions=("clicks", "strokes", "full mask"), names=("first", "second"), legend=legend,
    ).to_image()  # fmt: skip


#: What draws each golden figure, by the name of its file.
GOLDEN_FIGURES: dict[str, Callable[[], Image]] = {
    "render_clicks": clicks,
    "render_strokes": strokes,
    "render_areas": areas,
    "render_sheet": sheet,
}


if __name__ == "__main__":
    for name, draw in GOLDEN_FIGURES.items():
        write_atomically(Path(__file__).parent / f"{name}.png", encode_image(draw()))
