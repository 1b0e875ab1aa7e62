"""Shapes that many things are made of: rounded limbs, discs, leafy blobs, boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data.canvas import Canvas, Place, Point
from sparsekit.demo_data.dice import Color, Dice
from sparsekit.demo_data.light import Face

# tan(a/2) at eighths of a right angle; (1-t^2)/(1+t^2) and 2t/(1+t^2) are then its cosine and sine, the same on every
# machine, which those of the C library are not.
_TANGENTS = (0.0, 0.098491, 0.198912, 0.303347, 0.414214, 0.534511, 0.668179, 0.820679)
_QUARTER = [((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)) for t in _TANGENTS]
#: 32 points around the unit circle.
CIRCLE: tuple[Point, ...] = tuple(
    _QUARTER + [(-y, x) for x, y in _QUARTER] + [(-x, -y) for x, y in _QUARTER] + [(y, -x) for x, y in _QUARTER]
)


def ellipse(center: Point, across: float, down: float) -> list[Point]:
    """Outline of an ellipse with the given half axes; small ones get fewer corners."""
    step = 1 if across + down > 40 else 2 if across + down > 8 else 4
    return [(center[0] + across * x, center[1] + down * y) for x, y in CIRCLE[::step]]


def limb(start: Point, end: Point, start_radius: float, end_radius: float) -> list[Point]:
    """Outline of a straight limb between two points, with blunt round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.sqrt(dx * dx + dy * dy)) or 1.0
    dx, dy = dx / length, dy / length
    a, b = start_radius, end_radius
    return [
        (start[0] - dy * a, start[1] + dx * a),
        (start[0] - (dx + dy) * a * 0.7, start[1] + (dx - dy) * a * 0.7),
        (start[0] - (dx - dy) * a * 0.7, start[1] - (dx + dy) * a * 0.7),
        (start[0] + dy * a, start[1] - dx * a),
        (end[0] + dy * b, end[1] - dx * b),
        (end[0] + (dx + dy) * b * 0.7, end[1] - (dx - dy) * b * 0.7),
        (end[0] + (dx - dy) * b * 0.7, end[1] + (dx + dy) * b * 0.7),
        (end[0] - dy * b, end[1] + dx * b),
    ]


def blobs(
    dice: Dice,
    centers: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    ragged: float = 0.3,
) -> NDArray[np.float64]:
    """Outlines of clumps of leaves.

    Args:
        dice: Chooses how the outlines wander.
        centers: Middles as columns and rows, shape (number, 2).
        across: Half of each one's width, shape (number,).
        down: Half of each one's height, shape (number,).
        ragged: How far an outline wanders, as a share of its radius.

    Returns:
        Corners, shape (number, corners, 2).
    """
    circle = np.array(CIRCLE[:: 2 if across.max(initial=0) > 12 else 4])
    reach = 1 - ragged + 2 * ragged * dice.noise_bytes(len(centers), len(circle)) / 255
    sizes = np.stack([across, down], axis=1)
    outlines: NDArray[np.float64] = centers[:, None] + circle * reach[..., None] * sizes[:, None]
    # Down the right side and down the left one no corner lies above the last, as Canvas.fill_many asks for.
    top, bottom, count = 3 * len(circle) // 4, len(circle) // 4, len(circle)
    right = [i % count for i in range(top, bottom + count + 1)]
    left = list(range(top, bottom - 1, -1))
    for way in (right, left):
        outlines[:, way, 1] = np.maximum.accumulate(outlines[:, way, 1], axis=1)
    return outlines


def rod(canvas: Canvas, start: Place, end: Place, width: float, color: Color, shade: float = 0.0) -> None:
    """A round rod, brighter on one side; never thinner than a pixel or so, as a camera's blur would have it.

    Args:
        canvas: Where to draw.
        start: One end.
        end: The other end.
        width: Its thickness in metres.
        color: Its colour.
        shade: As in ``Canvas.fill``.
    """
    z = (start[2] + end[2]) / 2
    radius = max(1.1, canvas.meters(z) * width / 2)
    a, b = canvas.camera.project(start), canvas.camera.project(end)
    canvas.fill(limb(a, b, radius, radius), color, "front", z, shade=shade)
    if radius > 2:
        side = 0.45 * radius if canvas.light.sun_side > 0 else -0.45 * radius
        lit = limb((a[0] + side, a[1]), (b[0] + side, b[1]), radius * 0.45, radius * 0.45)
        canvas.fill(lit, (color[0] * 1.3, color[1] * 1.3, color[2] * 1.3), "front", z, shade=shade)


def box(
    canvas: Canvas, low: Place, high: Place, color: Color, *, faces: Sequence[Face] = (), grain: float = 0.0
) -> None:
    """A box with its sides along the axes: top, the side towards the camera, and the front; never seen from below.

    Args:
        canvas: Where to draw.
        low: Its left, bottom, near corner.
        high: Its right, top, far corner.
        color: Its colour.
        faces: Only these faces; all that can be seen where empty.
        grain: As in ``Canvas.fill``.
    """
    (x0, y0, z0), (x1, y1, z1) = low, high
    if y1 < canvas.camera.height and (not faces or "up" in faces):
        canvas.surface([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], color, "up", grain=grain)
    if x1 < 0 and (not faces or "east" in faces):
        canvas.surface([(x1, y0, z0), (x1, y0, z1), (x1, y1, z1), (x1, y1, z0)], color, "east", grain=grain)
    if x0 > 0 and (not faces or "west" in faces):
        canvas.surface([(x0, y0, z0), (x0, y0, z1), (x0, y1, z1), (x0, y1, z0)], color, "west", grain=grain)
    if not faces or "front" in faces:
        canvas.surface([(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)], color, "front", grain=grain)


def cast_shadow(canvas: Canvas, x: float, z: float, height: float, width: float = 0.42) -> None:
    """The shadow of something slim and upright, and the dark spot at its foot."""
    light = canvas.light
    if light.shadow > 0.1:
        dx, dz = light.cast[0] * height, light.cast[1] * height
        far = max(1.0, z + dz)
        half = width / 2
        canvas.darken(
            [(x - half, 0, z), (x + half, 0, z), (x + dx + half, 0, far), (x + dx - half, 0, far)], light.shadow
        )
    half = width * 0.7
    spot: list[Place] = [
        (x - half, 0, z - 0.12),
        (x + half, 0, z - 0.12),
        (x + half, 0, z + 0.12),
        (x - half, 0, z + 0.12),
    ]
    canvas.darken(spot, 0.45)
