"""Buildings and gardens behind the pavement, and the end of the street."""

from __future__ import annotations

from sparsekit.demo_data.buildings import draw_building, draw_row
from sparsekit.demo_data.canvas import Canvas
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.furniture import draw_fence, draw_wall
from sparsekit.demo_data.ground import Side, Street
from sparsekit.demo_data.nature import draw_bush, draw_hedge, draw_skyline, draw_tree, draw_tufts

# How often each kind of ground lies along each kind of street.
_GROUNDS = {
    "downtown": {"building": 0.84, "park": 0.06, "wall": 0.05, "lot": 0.05},
    "residential": {"building": 0.3, "house": 0.4, "park": 0.12, "wall": 0.1, "hedge": 0.08},
    "boulevard": {"building": 0.55, "park": 0.27, "wall": 0.08, "hedge": 0.1},
    "suburb": {"house": 0.25, "park": 0.34, "wall": 0.14, "hedge": 0.12, "lot": 0.15},
}
_BORDERS = {"fence": 0.4, "wall": 0.16, "hedge": 0.18, "none": 0.26}


def draw_background(canvas: Canvas, dice: Dice, street: Street) -> None:
    """Draw woods on the horizon, then houses or trees across the end of the street."""
    draw_skyline(canvas, dice.part(), 320, dice.between(9, 22))
    if street.kind == "downtown" or dice.chance(0.4):
        draw_row(canvas, dice.part(), street.kind, -70, 70, street.end + 25)
        return
    for _ in range(14):
        z = street.end + dice.between(14, 30)
        draw_tree(canvas, dice.part(), dice.between(-45, 45), z, dice.between(7, 14), autumn=street.autumn)


def draw_frontage(canvas: Canvas, dice: Dice, street: Street, side: Side) -> None:
    """Draw buildings, gardens, walls and fences along one side of the street, from far to near."""
    for z0, z1 in reversed(_plots(dice, street)):
        kind = dice.weighted(_GROUNDS[street.kind])
        if kind == "building":
            _cast_building_shadow(canvas, side, z0, z1, 12.0)
            draw_building(canvas, dice.part(), side, street.kind, z0, z1, 0.0)
        elif kind == "house":
            setback, gap = dice.between(3, 7), 0.1 * (z1 - z0)
            draw_building(canvas, dice.part(), side, street.kind, z0 + gap, z1 - gap, setback)
            _draw_garden(canvas, dice, street, side, z0, z1, trees=2, depth=setback)
        elif kind == "park":
            _draw_garden(canvas, dice, street, side, z0, z1, trees=7, depth=14)
        elif kind == "lot":  # a building far back behind a yard
            draw_building(canvas, dice.part(), side, street.kind, z0, z1, dice.between(10, 16))
            if dice.chance(0.7):
                draw_fence(canvas, dice.part(), side.line, z0, z1)
        else:
            for _ in range(dice.integer(1, 4)):  # trees behind it
                x, z = side.line + side.sign * dice.between(2.5, 9), dice.between(z0, z1)
                draw_tree(canvas, dice.part(), x, z, dice.between(5, 12), autumn=street.autumn)
            if kind == "wall":
                draw_wall(canvas, dice.part(), side.line, z0, z1, side.sign)
            else:
                height = dice.pick((1.1, 1.6, 2.4, 5.0))
                draw_hedge(canvas, dice.part(), side.line, z0, z1, height, side.sign)


def _plots(dice: Dice, street: Street) -> list[tuple[float, float]]:
    """Near and far ends of the plots along the street, which leave the road across free."""
    plots: list[tuple[float, float]] = []
    z = dice.between(-2, 6)
    while z < street.end:
        z0, z1 = max(2.0, z), z + dice.between(9, 24)
        z = z1 + (dice.between(1, 4) if street.kind != "downtown" else 0)
        if street.crossing and z1 > street.crossing - 3 and z0 < street.crossing + 12:
            z0, z1 = (z0, street.crossing - 3) if z0 < street.crossing - 6 else (street.crossing + 12, z1)
        if z1 - z0 >= 3:
            plots.append((z0, z1))
    return plots


def _cast_building_shadow(canvas: Canvas, side: Side, z0: float, z1: float, height: float) -> None:
    dx, dz = (step * height for step in canvas.light.cast)
    if canvas.light.shadow < 0.1 or dx * side.sign >= 0:
        return  # no sun, or the shadow falls away from the street
    x = side.line
    far0, far1 = max(1.0, z0 + dz), max(1.0, z1 + dz)
    canvas.darken([(x, 0, z0), (x, 0, z1), (x + dx, 0, far1), (x + dx, 0, far0)], canvas.light.shadow)


def _draw_garden(
    canvas: Canvas, dice: Dice, street: Street, side: Side, z0: float, z1: float, *, trees: int, depth: float
) -> None:
    """A lawn with trees and bushes, perhaps with a fence, a low wall or a hedge in front."""
    spots = sorted((dice.between(z0, z1) for _ in range(trees + 3)), reverse=True)
    for k, z in enumerate(spots):
        x = side.line + side.sign * dice.between(1.2, depth)
        if k % 3 == 2:
            draw_bush(canvas, dice.part(), x, z, dice.between(0.8, 2.2))
        elif trees > 3 or depth > 5 or dice.chance(0.4):
            draw_tree(canvas, dice.part(), x, z, dice.between(5, 13), autumn=street.autumn)
    for _ in range(6):
        draw_tufts(canvas, dice.part(), side.line, side.line + side.sign * 5, dice.between(z0, z1))
    border = dice.weighted(_BORDERS)
    if border == "fence":
        draw_fence(canvas, dice.part(), side.line, z0, z1)
    elif border == "wall":
        draw_wall(canvas, dice.part(), side.line, z0, z1, side.sign)
    elif border == "hedge":
        draw_hedge(canvas, dice.part(), side.line, z0, z1, dice.between(0.8, 1.8), side.sign)
