"""Traffic lights and traffic signs, seen from the front."""

from __future__ import annotations

from collections.abc import Sequence

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import Canvas, Point
from sparsekit.demo_data.dice import Color, Dice, scale
from sparsekit.demo_data.furniture import METAL
from sparsekit.demo_data.shapes import CIRCLE, box, cast_shadow, ellipse, rod

RED: Color = (178, 34, 38)
BLUE: Color = (34, 76, 150)
WHITE: Color = (222, 222, 218)
BLACK: Color = (40, 40, 42)
YELLOW: Color = (232, 180, 40)

# Outlines within -1..1, the second number down; no horizontal line crosses one more than twice.
_TRIANGLE: tuple[Point, ...] = ((-1, 0.8), (1, 0.8), (0, -0.95))
_SQUARE: tuple[Point, ...] = ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95))
_DIAMOND: tuple[Point, ...] = ((-1, 0), (0, -1), (1, 0), (0, 1))
_OCTAGON: tuple[Point, ...] = (
    (-0.41, -1), (0.41, -1), (1, -0.41), (1, 0.41), (0.41, 1), (-0.41, 1), (-1, 0.41), (-1, -0.41),
)  # fmt: skip
_BOARD: tuple[Point, ...] = ((-1.7, -0.7), (1.4, -0.7), (1.8, 0), (1.4, 0.7), (-1.7, 0.7))
_BAR: tuple[Point, ...] = ((-0.7, -0.16), (0.7, -0.16), (0.7, 0.16), (-0.7, 0.16))
_STROKE: tuple[Point, ...] = ((-0.09, -0.2), (0.09, -0.2), (0.07, 0.5), (-0.07, 0.5))
_ARROW: tuple[Point, ...] = (
    (-0.16, 0.6), (-0.16, -0.1), (-0.45, -0.1), (0, -0.7), (0.45, -0.1), (0.16, -0.1), (0.16, 0.6),
)  # fmt: skip
_LETTER_P: tuple[Point, ...] = (
    (-0.4, -0.65), (0.2, -0.65), (0.45, -0.4), (0.45, -0.1), (0.2, 0.12), (-0.1, 0.12), (-0.1, 0.65), (-0.4, 0.65),
)  # fmt: skip
_HOLE_OF_P: tuple[Point, ...] = ((-0.1, -0.4), (0.1, -0.4), (0.1, -0.12), (-0.1, -0.12))

# What is laid over what on each kind of sign: outline, size, colour.
_FACES: dict[str, tuple[tuple[Sequence[Point], float, Color], ...]] = {
    "ring": ((CIRCLE, 1, RED), (CIRCLE, 0.74, WHITE), (_BAR, 0.55, BLACK)),
    "no entry": ((CIRCLE, 1, RED), (_BAR, 1, WHITE)),
    "direction": ((CIRCLE, 1, BLUE), (_ARROW, 0.8, WHITE)),
    "warning": ((_TRIANGLE, 1.1, RED), (_TRIANGLE, 0.74, WHITE), (_STROKE, 1, BLACK)),
    "parking": ((_SQUARE, 1, BLUE), (_LETTER_P, 1, WHITE), (_HOLE_OF_P, 1, BLUE)),
    "priority": ((_DIAMOND, 1.1, WHITE), (_DIAMOND, 0.72, YELLOW)),
    "stop": ((_OCTAGON, 1.05, RED), (_BAR, 0.95, WHITE)),
    "guide": ((_BOARD, 1, YELLOW), (_BAR, 1.4, BLACK)),
    "way": ((_BOARD, 1, BLUE), (_BAR, 1.4, WHITE)),
    "yield": ((_TRIANGLE, -1.1, RED), (_TRIANGLE, -0.74, WHITE)),
}


def draw_traffic_light(canvas: Canvas, dice: Dice, x: float, z: float, sign: int) -> None:
    """Draw a traffic light on its pole, perhaps with a second one on an arm over the road."""
    metal = dice.vary(dice.pick(METAL), 0.15)
    canvas.start(labels.POLE)
    arm = dice.chance(0.5)
    height = 5.8 if arm else 3.3
    cast_shadow(canvas, x, z, height, 0.14)
    rod(canvas, (x, 0, z), (x, height, z), 0.15, metal)
    lit = dice.pick((0, 1, 2, 2, 0))
    if arm:
        reach = x - sign * dice.between(3.0, 4.6)
        rod(canvas, (x, height - 0.1, z), (reach, height, z), 0.11, metal)
        _draw_lights(canvas, reach, 4.9, z, lit, board=True)
    _draw_lights(canvas, x - sign * 0.02, 2.4, z, lit, board=dice.chance(0.5))


def _draw_lights(canvas: Canvas, x: float, y: float, z: float, lit: int, *, board: bool) -> None:
    canvas.start(labels.TRAFFIC_LIGHT)
    if board:
        box(canvas, (x - 0.26, y - 0.12, z - 0.1), (x + 0.26, y + 1.12, z), (30, 32, 32), faces=("front",))
        box(canvas, (x - 0.2, y - 0.06, z - 0.12), (x + 0.2, y + 1.06, z), (44, 46, 46), faces=("front",))
    else:
        box(canvas, (x - 0.2, y - 0.06, z - 0.12), (x + 0.2, y + 1.06, z), (58, 64, 56), faces=("front",))
    zoom = canvas.meters(z)
    for k, on in enumerate(((236, 52, 40), (250, 180, 46), (60, 226, 150))):
        spot = canvas.camera.project((x, y + 0.84 - 0.33 * k, z - 0.12))
        lamp = ellipse(spot, 0.11 * zoom, 0.11 * zoom)
        if k == lit:
            canvas.fill(ellipse(spot, 0.15 * zoom, 0.15 * zoom), scale(on, 0.55), "glow", z)
            canvas.fill(lamp, on, "glow", z)
        else:
            canvas.fill(lamp, scale(on, 0.2), "front", z)


def draw_sign(canvas: Canvas, dice: Dice, x: float, z: float) -> None:
    """Draw one or two traffic signs on a post."""
    metal, height = dice.vary((140, 142, 142), 0.15), dice.between(2.3, 2.9)
    cast_shadow(canvas, x, z, height, 0.08)
    canvas.start(labels.POLE)
    rod(canvas, (x, 0, z), (x, height + 0.3, z), 0.08, metal)
    canvas.start(labels.TRAFFIC_SIGN)
    y = height
    for _ in range(dice.integer(1, 2)):
        draw_sign_face(canvas, dice, x, y, z - 0.05, dice.between(0.3, 0.4))
        y -= 0.82


def draw_sign_face(canvas: Canvas, dice: Dice, x: float, y: float, z: float, half: float) -> None:
    """Draw the front of a sign of some kind, ``half`` metres from its middle to its edge."""
    zoom = canvas.meters(z)
    u, v = canvas.camera.project((x, y, z))
    size = half * zoom
    bright = dice.between(0.8, 1.05)
    for outline, share, color in _FACES[dice.pick(tuple(_FACES))]:
        points = [(u + p * size * share, v + q * size * share) for p, q in outline]
        canvas.fill(points, scale(color, bright), "front", z)
