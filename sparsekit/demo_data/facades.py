"""Facades: windows, doors, shops, ledges and balconies on an upright wall."""

from __future__ import annotations

from dataclasses import dataclass

from sparsekit.demo_data.canvas import Canvas, Place
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.light import Face

SIGNS: tuple[Color, ...] = (
    (176, 44, 40), (40, 84, 150), (210, 170, 50), (48, 116, 76), (60, 60, 64), (200, 196, 186), (150, 60, 110),
)  # fmt: skip
DOORS: tuple[Color, ...] = ((92, 62, 44), (60, 74, 82), (70, 84, 66), (120, 50, 44))


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

    def seen_width(self, canvas: Canvas, s0: float, s1: float) -> float:
        """Width of a stretch of it in the image, in fine pixels."""
        left, right = (canvas.camera.project(self.at(s, 0)) for s in (s0, s1))
        return abs(right[0] - left[0])

    def panel(self, s0: float, s1: float, y0: float, y1: float, out: float = 0.0) -> list[Place]:
        """Outline of a rectangle on it."""
        return [self.at(s0, y0, out), self.at(s1, y0, out), self.at(s1, y1, out), self.at(s0, y1, out)]


@dataclass(frozen=True)
class Style:
    """Appearance of the floors of one building.

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


def draw_facade(canvas: Canvas, dice: Dice, facade: Facade, length: float, style: Style) -> None:
    """Draw the wall of a building with all that is on it; what would be smaller than a pixel is left out."""
    bays = max(1, round(length / style.bay))
    bay = length / bays
    top = style.height
    for k in reversed(range(bays)):  # far bays first: balconies and awnings stand out in front of them
        s0, s1 = k * bay, (k + 1) * bay
        wall = scale(style.walls, 0.985 + 0.03 * dice.uniform())
        canvas.surface(facade.panel(s0, s1, 0, top), wall, facade.face, shade=0.1, grain=style.grain, mottle=0.07)
    if style.ledges:
        for floor in range(1, style.floors):
            y = style.ground_floor + (floor - 1) * style.floor - 0.1
            _draw_ledge(canvas, facade, length, y, style.trim)
    _draw_ledge(canvas, facade, length, top - 0.3, style.trim)
    door = dice.below(bays)
    for k in reversed(range(bays)):
        s0, s1 = k * bay, (k + 1) * bay
        if (seen := facade.seen_width(canvas, s0, s1)) < 4:
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
            draw_window(canvas, dice, facade, (left, left + width, sill, sill + height), style, seen)
            if balcony:
                _draw_balcony(canvas, facade, s0 + 0.15 * bay, s1 - 0.15 * bay, y, style)


def _draw_ledge(canvas: Canvas, facade: Facade, length: float, y: float, color: Color) -> None:
    """A ledge along the wall with the shadow it throws."""
    pieces = max(1, round(length / 4))
    for k in range(pieces):
        s0, s1 = length * k / pieces, length * (k + 1) / pieces
        canvas.surface(facade.panel(s0, s1, y - 0.22, y), scale(color, 0.62), facade.face)
        canvas.surface(facade.panel(s0, s1, y, y + 0.2), color, facade.face)


def choose_glass(canvas: Canvas, dice: Dice) -> tuple[Color, Face]:
    """Colour of a window pane and how it is lit: dark, mirroring the sky, or with the light on."""
    if dice.chance(canvas.light.weather.lit):
        return dice.vary((250, 208, 132), 0.15), "glow"
    dark = dice.vary((50, 58, 66), 0.3)
    return mix(dark, canvas.light.weather.horizon, dice.between(0.0, 0.45) ** 2), "front"


def draw_window(
    canvas: Canvas, dice: Dice, facade: Facade, edges: tuple[float, float, float, float], style: Style, seen: float
) -> None:
    """Draw a window.

    Args:
        canvas: Where to draw.
        dice: Chooses whether the light is on.
        facade: The wall.
        edges: Left and right along the wall, bottom and top, in metres.
        style: Colours.
        seen: How wide its bay is on the image, in fine pixels.
    """
    s0, s1, y0, y1 = edges
    pane, face = choose_glass(canvas, dice)
    fine = seen > 14  # wide enough on the image for frames and bars
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
    if style.shops:
        _draw_shop(canvas, dice, facade, s0, s1, style, seen)
    elif door:
        _draw_door(canvas, dice, facade, (s0 + s1) / 2, style, seen)
    else:
        if seen > 5:
            canvas.surface(facade.panel(s0, s1, 0, 0.6), scale(style.walls, 0.74), facade.face, grain=0.08)
        width, height = style.window[0] * (s1 - s0), style.window[1] * style.ground_floor
        left = (s0 + s1 - width) / 2
        draw_window(canvas, dice, facade, (left, left + width, 1.0, 1.0 + height), style, seen)


def _draw_shop(canvas: Canvas, dice: Dice, facade: Facade, s0: float, s1: float, style: Style, seen: float) -> None:
    top, middle = style.ground_floor, (s0 + s1) / 2
    pane = mix((46, 52, 58), (190, 176, 140), dice.between(0, 0.45))
    face: Face = "glow" if dice.chance(0.5 * canvas.light.weather.lit + 0.1) else "front"
    canvas.surface(facade.panel(s0 + 0.15, s1 - 0.15, 0.35, top - 1.0), pane, face, shade=0.3, mottle=0.3)
    if seen > 10:
        for _ in range(3):  # things in the window
            s, y = dice.between(s0 + 0.3, s1 - 0.9), dice.between(0.4, top - 2.2)
            goods = scale(dice.vary(dice.pick(SIGNS), 0.2), 0.7)
            canvas.surface(facade.panel(s, s + 0.5, y, y + dice.between(0.3, 1)), goods, face)
        frame = facade.panel(middle - 0.05, middle + 0.05, 0.1, top - 1.0)
        canvas.surface(frame, scale(style.trim, 0.6), facade.face)
    board = dice.vary(dice.pick(SIGNS))
    canvas.surface(facade.panel(s0, s1, top - 0.95, top - 0.35), board, facade.face)
    if seen > 12:  # lettering, as it looks from too far to be read
        ink = (236, 232, 220) if board[1] < 140 else (40, 40, 44)
        s = s0 + 0.4
        while s < s1 - 0.5:
            width = dice.between(0.1, 0.3)
            canvas.surface(facade.panel(s, s + width, top - 0.78, top - 0.52), ink, facade.face)
            s += width + 0.09
    if seen > 6 and dice.chance(0.3):  # an awning
        upper, lower = [facade.at(s, top - 1.0) for s in (s0, s1)], [facade.at(s, 2.4, 1.2) for s in (s1, s0)]
        canvas.surface(upper + lower, scale(board, 1.05), facade.face, shade=0.2)
        canvas.surface(facade.panel(s0, s1, 2.2, 2.4, 1.2), scale(board, 0.8), facade.face)


def _draw_door(canvas: Canvas, dice: Dice, facade: Facade, middle: float, style: Style, seen: float) -> None:
    canvas.surface(facade.panel(middle - 0.75, middle + 0.75, 0, 2.5), style.trim, facade.face)
    wood = dice.vary(dice.pick(DOORS), 0.15)
    canvas.surface(facade.panel(middle - 0.55, middle + 0.55, 0, 2.2), wood, facade.face, shade=-0.2)
    if seen > 14:
        canvas.surface(facade.panel(middle - 0.35, middle + 0.35, 1.3, 2.0), (70, 78, 84), facade.face)
        step = facade.panel(middle - 0.85, middle + 0.85, 0, 0.14, 0.4)
        canvas.surface(step, scale(style.trim, 0.9), facade.face)


def _draw_balcony(canvas: Canvas, facade: Facade, s0: float, s1: float, y: float, style: Style) -> None:
    out = 1.0
    rail = scale(style.trim, 0.92)
    near = [facade.at(s0, y), facade.at(s0, y, out), facade.at(s0, y + 1, out), facade.at(s0, y + 1)]
    below = [facade.at(s0, y), facade.at(s1, y), facade.at(s1, y, out), facade.at(s0, y, out)]
    canvas.surface(below, scale(style.trim, 0.5), facade.face)
    canvas.surface(near, scale(rail, 0.86), "front")
    canvas.surface(facade.panel(s0, s1, y, y + 1, out), rail, facade.face, shade=0.15)
    canvas.surface(facade.panel(s0, s1, y, y + 0.14, out), scale(rail, 0.7), facade.face)
