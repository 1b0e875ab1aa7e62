"""Buildings: facades with windows, doors, shops and balconies, and roofs."""

from __future__ import annotations

from dataclasses import dataclass

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import Canvas, Place
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.ground import Side
from sparsekit.demo_data.light import Face

PLASTER: tuple[Color, ...] = (
    (206, 194, 170), (196, 178, 142), (188, 160, 120), (178, 140, 108), (206, 200, 190), (164, 160, 152),
    (214, 196, 150), (186, 150, 134), (152, 160, 162), (170, 178, 168), (140, 134, 126), (200, 176, 160),
)  # fmt: skip
BRICK: tuple[Color, ...] = ((146, 88, 70), (128, 78, 64), (156, 104, 82), (112, 80, 70))
CONCRETE: tuple[Color, ...] = ((148, 148, 144), (128, 130, 132), (166, 164, 156), (108, 112, 116))
ROOFS: tuple[Color, ...] = ((122, 68, 54), (88, 66, 60), (84, 86, 92), (104, 80, 68), (70, 72, 78))
SIGNS: tuple[Color, ...] = (
    (176, 44, 40), (40, 84, 150), (210, 170, 50), (48, 116, 76), (60, 60, 64), (200, 196, 186), (150, 60, 110),
)  # fmt: skip


@dataclass(frozen=True)
class Facade:
    """An upright rectangle along the street or across it.

    Args:
        corner: x and z of its near or left end.
        along: Step in x and z for each metre along it.
        out: Step in x and z for each metre away from it.
        face: Where it looks.
    """

    corner: tuple[float, float]
    along: tuple[float, float]
    out: tuple[float, float]
    face: Face

    def at(self, s: float, y: float, out: float = 0.0) -> Place:
        """The place s metres along, y metres up, and some metres in front of it."""
        return (
            self.corner[0] + self.along[0] * s + self.out[0] * out,
            y,
            self.corner[1] + self.along[1] * s + self.out[1] * out,
        )

    def panel(self, s0: float, s1: float, y0: float, y1: float, out: float = 0.0) -> list[Place]:
        """Outline of a rectangle on it."""
        return [self.at(s0, y0, out), self.at(s1, y0, out), self.at(s1, y1, out), self.at(s0, y1, out)]


@dataclass(frozen=True)
class Style:
    """What the floors of one building look like.

    Args:
        walls: Colour of the walls.
        trim: Colour of frames, ledges and sills.
        floors: Number of floors.
        floor: Height of a floor in metres.
        ground_floor: Height of the ground floor in metres.
        bay: Wanted width of a bay in metres.
        window: Width and height of a window as shares of bay and floor.
        shops: Whether the ground floor is shops.
        balconies: Share of bays with a balcony.
        ribbons: Whether windows join to bands.
        ledges: Whether a ledge runs along each floor.
        shutters: Colour of the shutters, or None.
        roof: ``flat``, ``pitched`` or ``mansard``.
        roof_color: Colour of the roof.
        grain: Roughness of the walls.
    """

    walls: Color
    trim: Color
    floors: int
    floor: float
    ground_floor: float
    bay: float
    window: tuple[float, float]
    shops: bool
    balconies: float
    ribbons: bool
    ledges: bool
    shutters: Color | None
    roof: str
    roof_color: Color
    grain: float

    @property
    def height(self) -> float:
        """Height up to the eaves in metres."""
        return self.ground_floor + (self.floors - 1) * self.floor


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


def draw_facade(canvas: Canvas, dice: Dice, facade: Facade, length: float, style: Style) -> None:
    """Draw the wall of a building with all that is on it; what would be smaller than a pixel is left out."""
    bays = max(1, round(length / style.bay))
    bay = length / bays
    top = style.height
    pairs = []
    for k in reversed(range(bays)):  # far bays first: balconies and awnings stand out in front of them
        s0, s1 = k * bay, (k + 1) * bay
        (u0, _), (u1, v1) = (canvas.camera.project(facade.at(s, 0)) for s in (s0, s1))
        wall = scale(style.walls, 0.985 + 0.03 * dice.uniform())
        canvas.surface(facade.panel(s0, s1, 0, top), wall, facade.face, shade=0.1, grain=style.grain, mottle=0.07)
        pairs.append((k, s0, s1, abs(u1 - u0)))
        del v1
    if style.ledges:
        for floor in range(1, style.floors):
            y = style.ground_floor + (floor - 1) * style.floor - 0.1
            _draw_ledge(canvas, facade, length, y, style.trim)
    _draw_ledge(canvas, facade, length, top - 0.3, style.trim)
    door = dice.below(bays)
    for k, s0, s1, seen in pairs:
        if seen < 4:
            continue
        _draw_ground_bay(canvas, dice, facade, s0, s1, style, seen, door=k == door)
        for floor in range(1, style.floors):
            y = style.ground_floor + (floor - 1) * style.floor
            width = (0.96 if style.ribbons else style.window[0]) * bay
            height = style.window[1] * style.floor
            left = (s0 + s1 - width) / 2
            sill = y + 0.55 * (style.floor - height)
            balcony = dice.chance(style.balconies) and seen > 8
            if balcony:
                sill, height = y + 0.1, style.floor * 0.72
            _draw_window(canvas, dice, facade, (left, left + width, sill, sill + height), style, seen)
            if balcony:
                _draw_balcony(canvas, facade, s0 + 0.15 * bay, s1 - 0.15 * bay, y, style)


def _draw_ledge(canvas: Canvas, facade: Facade, length: float, y: float, color: Color) -> None:
    """A ledge along the wall with the shadow it throws."""
    pieces = max(1, round(length / 4))
    for k in range(pieces):
        s0, s1 = length * k / pieces, length * (k + 1) / pieces
        canvas.surface(facade.panel(s0, s1, y - 0.22, y), scale(color, 0.62), facade.face)
        canvas.surface(facade.panel(s0, s1, y, y + 0.2), color, facade.face)


def _glass(canvas: Canvas, dice: Dice) -> tuple[Color, Face]:
    if dice.chance(canvas.light.weather.lit):
        return dice.vary((250, 208, 132), 0.15), "glow"
    dark = dice.vary((50, 58, 66), 0.3)
    return mix(dark, canvas.light.weather.horizon, dice.between(0.0, 0.45) ** 2), "front"


def _draw_window(
    canvas: Canvas, dice: Dice, facade: Facade, edges: tuple[float, float, float, float], style: Style, seen: float
) -> None:
    s0, s1, y0, y1 = edges
    pane, face = _glass(canvas, dice)
    fine = seen > 14  # wide enough on the picture for frames and bars
    if fine:
        frame = 0.09
        if style.shutters and not style.ribbons:
            for a, b in ((s0 - 0.5, s0 - 0.05), (s1 + 0.05, s1 + 0.5)):
                canvas.surface(facade.panel(a, b, y0, y1), dice.vary(style.shutters, 0.05), facade.face)
        canvas.surface(facade.panel(s0 - frame, s1 + frame, y0 - frame, y1 + frame), style.trim, facade.face)
    canvas.surface(facade.panel(s0, s1, y0, y1), pane, face, shade=0.35, mottle=0.1)
    if not fine:
        return
    if face != "glow":  # the wall above keeps the sky off the upper edge; a curtain or blind behind the pane
        canvas.surface(facade.panel(s0, s1, y1 - 0.16, y1), scale(pane, 0.6), face)
        if dice.chance(0.3):
            drop = dice.between(0.2, 0.9) * (y1 - y0)
            canvas.surface(facade.panel(s0 + 0.05, s1 - 0.05, y1 - drop, y1 - 0.1), dice.vary((150, 146, 138)), face)
    bars = max(2, round((s1 - s0) / 1.1)) if style.ribbons else 2
    for k in range(1, bars):
        s = s0 + (s1 - s0) * k / bars
        canvas.surface(facade.panel(s - 0.04, s + 0.04, y0, y1), style.trim, facade.face)
    if seen > 30 and not style.ribbons:
        y = y0 + 0.68 * (y1 - y0)
        canvas.surface(facade.panel(s0, s1, y - 0.035, y + 0.035), style.trim, facade.face)
    canvas.surface(facade.panel(s0 - 0.15, s1 + 0.15, y0 - 0.2, y0 - 0.08), scale(style.trim, 1.08), facade.face)
    canvas.surface(facade.panel(s0 - 0.15, s1 + 0.15, y0 - 0.3, y0 - 0.2), scale(style.walls, 0.72), facade.face)


def _draw_ground_bay(
    canvas: Canvas, dice: Dice, facade: Facade, s0: float, s1: float, style: Style, seen: float, *, door: bool
) -> None:
    top = style.ground_floor
    if style.shops:
        pane = mix((46, 52, 58), (190, 176, 140), dice.between(0, 0.45))
        face: Face = "glow" if dice.chance(0.5 * canvas.light.weather.lit + 0.1) else "front"
        canvas.surface(facade.panel(s0 + 0.15, s1 - 0.15, 0.35, top - 1.0), pane, face, shade=0.3, mottle=0.3)
        if seen > 10:
            for _ in range(3):  # things in the window
                s, y = dice.between(s0 + 0.3, s1 - 0.9), dice.between(0.4, top - 2.2)
                goods = dice.vary(dice.pick(SIGNS), 0.2)
                canvas.surface(facade.panel(s, s + 0.5, y, y + dice.between(0.3, 1)), scale(goods, 0.7), face)
            middle = (s0 + s1) / 2
            canvas.surface(
                facade.panel(middle - 0.05, middle + 0.05, 0.1, top - 1.0), scale(style.trim, 0.6), facade.face
            )
        board = dice.vary(dice.pick(SIGNS))
        canvas.surface(facade.panel(s0, s1, top - 0.95, top - 0.35), board, facade.face)
        if seen > 12:  # lettering, as it looks from too far to be read
            s = s0 + 0.4
            while s < s1 - 0.5:
                width = dice.between(0.1, 0.3)
                ink = (236, 232, 220) if board[1] < 140 else (40, 40, 44)
                canvas.surface(facade.panel(s, s + width, top - 0.78, top - 0.52), ink, facade.face)
                s += width + 0.09
        if dice.chance(0.3) and seen > 6:
            awning = [
                facade.at(s0, top - 1.0),
                facade.at(s1, top - 1.0),
                facade.at(s1, 2.4, 1.2),
                facade.at(s0, 2.4, 1.2),
            ]
            canvas.surface(awning, scale(board, 1.05), facade.face, shade=0.2)
            canvas.surface(facade.panel(s0, s1, 2.2, 2.4, 1.2), scale(board, 0.8), facade.face)
        return
    if door:
        middle = (s0 + s1) / 2
        canvas.surface(facade.panel(middle - 0.75, middle + 0.75, 0, 2.5), style.trim, facade.face)
        wood = dice.vary(dice.pick(((92, 62, 44), (60, 74, 82), (70, 84, 66), (120, 50, 44))), 0.15)
        canvas.surface(facade.panel(middle - 0.55, middle + 0.55, 0, 2.2), wood, facade.face, shade=-0.2)
        if seen > 14:
            canvas.surface(facade.panel(middle - 0.35, middle + 0.35, 1.3, 2.0), (70, 78, 84), facade.face)
            canvas.surface(
                facade.panel(middle - 0.85, middle + 0.85, 0, 0.14, 0.4), scale(style.trim, 0.9), facade.face
            )
        return
    if seen > 5:
        canvas.surface(facade.panel(s0, s1, 0, 0.6), scale(style.walls, 0.74), facade.face, grain=0.08)
    width, height = style.window[0] * (s1 - s0), style.window[1] * top
    left = (s0 + s1 - width) / 2
    _draw_window(canvas, dice, facade, (left, left + width, 1.0, 1.0 + height), style, seen)


def _draw_balcony(canvas: Canvas, facade: Facade, s0: float, s1: float, y: float, style: Style) -> None:
    out = 1.0
    rail = scale(style.trim, 0.92)
    near = [facade.at(s0, y), facade.at(s0, y, out), facade.at(s0, y + 1, out), facade.at(s0, y + 1)]
    below = [facade.at(s0, y), facade.at(s1, y), facade.at(s1, y, out), facade.at(s0, y, out)]
    canvas.surface(below, scale(style.trim, 0.5), facade.face)
    canvas.surface(near, scale(rail, 0.86), "front")
    canvas.surface(facade.panel(s0, s1, y, y + 1, out), rail, facade.face, shade=0.15)
    canvas.surface(facade.panel(s0, s1, y, y + 0.14, out), scale(rail, 0.7), facade.face)


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
            _draw_window(canvas, dice, end, (s, s + 1.1, y, y + 1.4), style, canvas.meters(end.corner[1]) * 2)


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
        if abs(canvas.camera.project(facade.at(s + 1, 0))[0] - canvas.camera.project(facade.at(s, 0))[0]) < 4:
            continue
        canvas.surface(facade.panel(s - 0.75, s + 0.75, eaves + 0.3, eaves + 1.9, -0.2), style.trim, facade.face)
        pane, face = _glass(canvas, dice)
        canvas.surface(facade.panel(s - 0.5, s + 0.5, eaves + 0.5, eaves + 1.7, -0.2), pane, face, shade=0.3)
