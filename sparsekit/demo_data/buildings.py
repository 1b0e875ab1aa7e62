"""Buildings: how one looks, its walls and its roof."""

from __future__ import annotations

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import Canvas
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.facades import Facade, Style, choose_glass, draw_facade, draw_window
from sparsekit.demo_data.ground import Side

PLASTER: tuple[Color, ...] = (
    (206, 194, 170), (196, 178, 142), (188, 160, 120), (178, 140, 108), (206, 200, 190), (164, 160, 152),
    (214, 196, 150), (186, 150, 134), (152, 160, 162), (170, 178, 168), (140, 134, 126), (200, 176, 160),
)  # fmt: skip
BRICK: tuple[Color, ...] = ((146, 88, 70), (128, 78, 64), (156, 104, 82), (112, 80, 70))
CONCRETE: tuple[Color, ...] = ((148, 148, 144), (128, 130, 132), (166, 164, 156), (108, 112, 116))
ROOFS: tuple[Color, ...] = ((122, 68, 54), (88, 66, 60), (84, 86, 92), (104, 80, 68), (70, 72, 78))


def draw_style(dice: Dice, kind: str) -> Style:
    """Choose the look of a building of one kind of street."""
    modern = dice.chance({"downtown": 0.4, "residential": 0.15, "boulevard": 0.35, "suburb": 0.5}[kind])
    low, high = {"downtown": (3, 6), "residential": (2, 3), "boulevard": (3, 5), "suburb": (1, 4)}[kind]
    walls = dice.pick(CONCRETE + PLASTER[4:8]) if modern else dice.pick(PLASTER + BRICK)
    walls = dice.vary(walls, 0.14)
    shops = dice.chance({"downtown": 0.65, "residential": 0.08, "boulevard": 0.3, "suburb": 0.15}[kind])
    return Style(
        walls,
        scale(walls, 0.8) if dice.chance(0.4) else mix(walls, (226, 222, 214), 0.7),
        dice.integer(low, high) + (dice.integer(0, 4) if modern and kind == "downtown" else 0),
        dice.between(2.8, 3.4),
        dice.between(3.6, 4.4) if shops else dice.between(3.0, 3.4),
        dice.between(2.2, 3.6),
        (dice.between(0.36, 0.66), dice.between(0.46, 0.64)),
        shops,
        dice.pick((0.0, 0.0, 0.0, 0.3, 0.8)),
        modern and dice.chance(0.5),
        dice.chance(0.5),
        dice.vary(dice.pick(((92, 112, 88), (96, 80, 66), (110, 116, 124)))) if dice.chance(0.15) else None,
        "flat" if modern else dice.pick(("pitched", "pitched", "mansard")),
        dice.vary(dice.pick(ROOFS)),
        0.09 if walls[0] > 1.3 * walls[2] else 0.05,
    )


def draw_building(canvas: Canvas, dice: Dice, side: Side, kind: str, z0: float, z1: float, setback: float) -> None:
    """Draw a building beside the street: its end wall, its facade and its roof.

    Args:
        canvas: Where to draw.
        dice: Chooses how it looks.
        side: The side of the street it stands on.
        kind: Kind of street.
        z0: Its near end.
        z1: Its far end.
        setback: Metres behind the building line.
    """
    style = draw_style(dice, kind)
    x = side.line + side.sign * setback
    canvas.start(labels.BUILDING)
    depth = 11.0
    end = Facade((min(x, x + side.sign * depth), z0), (1.0, 0.0), (0.0, -1.0), "front")
    _draw_end_wall(canvas, dice, end, depth, style)
    facade = Facade((x, z0), (0.0, 1.0), (-float(side.sign), 0.0), "west" if side.sign > 0 else "east")
    _draw_roof(canvas, dice, facade, z1 - z0, style)
    draw_facade(canvas, dice, facade, z1 - z0, style)


def draw_row(canvas: Canvas, dice: Dice, kind: str, x0: float, x1: float, z: float) -> None:
    """Draw buildings that face the camera, from x0 to x1, as at the end of a street."""
    x = x0
    while x < x1:
        style = draw_style(dice, kind)
        width = dice.between(9, 20)
        facade = Facade((x, z), (1.0, 0.0), (0.0, -1.0), "front")
        canvas.start(labels.BUILDING)
        _draw_roof(canvas, dice, facade, width, style)
        draw_facade(canvas, dice, facade, width, style)
        x += width + (dice.between(2, 9) if dice.chance(0.25) else 0)


def _draw_end_wall(canvas: Canvas, dice: Dice, end: Facade, depth: float, style: Style) -> None:
    wall = dice.vary(scale(style.walls, 0.92), 0.05)
    outline = end.panel(0, depth, 0, style.height)
    if style.roof != "flat":
        outline.insert(3, end.at(depth / 2, style.height + 3.0))
    canvas.surface(outline, wall, "front", shade=0.1, grain=style.grain, mottle=0.04)
    if dice.chance(0.5):
        for floor in range(style.floors):
            s = depth * dice.pick((0.25, 0.6))
            y = 1.0 + floor * style.floor
            draw_window(canvas, dice, end, (s, s + 1.1, y, y + 1.4), style, canvas.meters(end.corner[1]) * 2)


def _draw_roof(canvas: Canvas, dice: Dice, facade: Facade, length: float, style: Style) -> None:
    eaves = style.height
    if style.roof == "flat":
        for _ in range(dice.integer(0, 2)):  # lift housings and vents
            s, size = dice.between(0.1, 0.7) * length, dice.between(1.5, 4)
            canvas.surface(
                facade.panel(s, s + size, eaves, eaves + dice.between(0.8, 2.4), -3), CONCRETE[1], facade.face
            )
        return
    rise, back = (2.6, 1.4) if style.roof == "mansard" else (3.0, 5.5)
    for s in (0.2 * length, 0.75 * length):
        if dice.chance(0.6):
            bottom, top = eaves + rise - 0.8, eaves + rise + 1.0
            canvas.surface(facade.panel(s, s + 0.9, bottom, top, -back), scale(style.walls, 0.8), facade.face)
    slope = [
        facade.at(-0.2, eaves, 0.3),
        facade.at(length + 0.2, eaves, 0.3),
        facade.at(length, eaves + rise, -back),
        facade.at(0, eaves + rise, -back),
    ]
    canvas.surface(slope, style.roof_color, facade.face, shade=0.15, grain=0.12, mottle=0.1)
    dormers = round(length / 4) if style.roof == "mansard" or dice.chance(0.4) else 0
    for k in range(dormers):
        s = (k + 0.5) * length / dormers
        if facade.seen_width(canvas, s, s + 1) < 4:
            continue
        canvas.surface(facade.panel(s - 0.75, s + 0.75, eaves + 0.3, eaves + 1.9, -0.2), style.trim, facade.face)
        pane, face = choose_glass(canvas, dice)
        canvas.surface(facade.panel(s - 0.5, s + 0.5, eaves + 0.5, eaves + 1.7, -0.2), pane, face, shade=0.3)
