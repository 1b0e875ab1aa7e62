"""Cars, vans, trucks, buses and trams."""

from __future__ import annotations

from dataclasses import dataclass

from sparsekit.demo_data import labels
from sparsekit.demo_data.body import Body, End, Part, Pose, Station
from sparsekit.demo_data.canvas import Canvas
from sparsekit.demo_data.dice import Color, Dice, mix, scale

PAINTS: tuple[Color, ...] = (
    (168, 170, 174), (112, 116, 122), (44, 46, 50), (206, 206, 204), (46, 62, 98), (136, 36, 34), (62, 82, 70),
    (148, 138, 118), (78, 88, 100), (30, 32, 38), (90, 30, 36), (96, 124, 158), (190, 158, 60), (186, 96, 48),
)  # fmt: skip
LIVERIES: tuple[Color, ...] = (
    (196, 170, 60),
    (178, 52, 46),
    (206, 202, 192),
    (60, 98, 150),
    (84, 130, 84),
    (150, 156, 160),
)
PLATE: Color = (216, 214, 204)
TAIL: Color = (150, 26, 24)
LAMP: Color = (206, 208, 204)


@dataclass(frozen=True)
class CarShape:
    """The side view of a car: heights in metres, distances from the rear end as shares of the length.

    Args:
        length: In metres.
        tail: Distance and height of the upper edge of the boot or tailgate.
        rear_glass: Distance and height of the lower edge of the rear window.
        roof_rear: Distance and height of the roof's rear edge.
        roof_front: Distance and height of the roof's front edge.
        cowl: Distance and height of the lower edge of the windscreen.
        nose: Distance and height of the bonnet's front edge.
        half: Half the width.
    """

    length: float
    tail: tuple[float, float]
    rear_glass: tuple[float, float]
    roof_rear: tuple[float, float]
    roof_front: tuple[float, float]
    cowl: tuple[float, float]
    nose: tuple[float, float]
    half: float


SHAPES = {
    "hatchback": CarShape(
        3.9, (0.01, 0.92), (0.03, 0.96), (0.16, 1.46), (0.52, 1.48), (0.75, 0.98), (0.97, 0.74), 0.86
    ),
    "saloon": CarShape(4.6, (0.01, 0.92), (0.17, 1.02), (0.32, 1.40), (0.52, 1.42), (0.71, 0.98), (0.98, 0.72), 0.89),
    "estate": CarShape(4.6, (0.01, 0.90), (0.02, 0.98), (0.10, 1.42), (0.52, 1.46), (0.71, 0.98), (0.98, 0.74), 0.89),
    "offroad": CarShape(4.5, (0.01, 1.05), (0.02, 1.12), (0.10, 1.66), (0.52, 1.70), (0.70, 1.12), (0.98, 0.92), 0.93),
    "van": CarShape(4.9, (0.005, 1.10), (0.01, 1.16), (0.04, 1.92), (0.66, 1.95), (0.84, 1.12), (0.99, 0.90), 0.96),
}
_SHARES = {"hatchback": 0.3, "saloon": 0.25, "estate": 0.2, "offroad": 0.17, "van": 0.08}


def draw_car(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """Draw a car of some make."""
    shape = SHAPES[dice.weighted(_SHARES)]
    paint = dice.vary(dice.pick(PAINTS), 0.15)
    canvas.start_instance(labels.CAR)
    body = Body(canvas, pose, shape.length)
    half, length = shape.half, shape.length
    top = half * 0.72
    glass = _car_glass(canvas, dice)
    body.ground_shadow(half, shape.roof_rear[1] * 0.8)
    radius = 0.33 if shape.half < 0.92 else 0.37
    axles = (0.19 * length, 0.81 * length)
    body.underside(half, axles, radius)
    dark = mix(paint, (40, 40, 42), 0.55) if dice.chance(0.5) else scale(paint, 0.8)

    def station(spot: tuple[float, float], width: float, color: Color, part: Part) -> Station:
        return Station(spot[0] * length, spot[1], width, color, part)

    lower = 0.52 * shape.tail[1]
    stations = [
        Station(0.05, 0.24, half * 0.95, dark, "rear"),
        Station(0.0, lower, half, paint, "rear"),
        station(shape.tail, half * 0.97, scale(paint, 1.05), "up"),
        station(shape.rear_glass, half * 0.9, glass, "rear"),
        station(shape.roof_rear, top, paint, "up"),
        station(shape.roof_front, top, glass, "fore"),
        station(shape.cowl, half * 0.9, paint, "up"),
        station(shape.nose, half * 0.95, paint, "fore"),
        Station(length, 0.5, half, dark, "fore"),
        Station(length - 0.05, 0.22, half * 0.95, dark, "fore"),
    ]
    body.hull(stations)
    side = body.sides([(s.a, s.y, s.half) for s in stations], paint, 0.25)
    if side:
        _draw_side(body, shape, paint, glass, side, axles, radius)
    _draw_ends(body, dice, shape, paint, lower)


def _car_glass(canvas: Canvas, dice: Dice) -> Color:
    return mix(dice.vary((38, 44, 50), 0.2), canvas.light.weather.horizon, dice.between(0.05, 0.25))


def _draw_side(
    body: Body, shape: CarShape, paint: Color, glass: Color, side: int, axles: tuple[float, float], radius: float
) -> None:
    length, half, belt = shape.length, shape.half, shape.cowl[1] + 0.02
    roof = shape.roof_front[1] - 0.1
    top, low = half * 0.75, half * 0.93
    rear, front = max(shape.rear_glass[0], 0.05) * length + 0.18, shape.cowl[0] * length - 0.12
    rear_top, front_top = shape.roof_rear[0] * length + 0.12, shape.roof_front[0] * length
    pillar = 0.48 * length
    body.side_panel(0.05, length - 0.05, 0.24, 0.36, half, scale(paint, 0.55))
    windows = [
        [(rear, belt, low), (rear_top, roof, top), (pillar - 0.05, roof, top), (pillar - 0.05, belt, low)],
        [(pillar + 0.04, belt, low), (pillar + 0.04, roof, top), (front_top, roof, top), (front, belt, low)],
    ]
    for window in windows:
        body.sides(window, glass, 0.3)
    for a in (0.30 * length, pillar, 0.70 * length):
        body.side_panel(a - 0.012, a + 0.012, 0.36, belt, half, scale(paint, 0.6))
    body.side_panel(0.06, length - 0.1, belt - 0.16, belt - 0.12, half, scale(paint, 1.16))
    for a in axles:
        body.wheel(a, radius, half, side)
    body.side_panel(front - 0.3, front - 0.1, belt, belt + 0.14, half + 0.12, scale(paint, 0.7))  # the mirror


def _draw_ends(body: Body, dice: Dice, shape: CarShape, paint: Color, lower: float) -> None:
    half, tail, nose = shape.half, shape.tail[1], shape.nose[1]
    dark_hours = body.canvas.light.name in ("dusk", "rain", "mist")
    brake = dice.chance(0.3)
    for sign in (-1, 1):
        b0, b1 = sorted((sign * half * 0.62, sign * half * 0.97))
        lamp = (232, 60, 44) if brake or dark_hours else TAIL
        body.end_panel("rear", b0, b1, tail - 0.24, tail - 0.03, lamp, glow=brake or dark_hours)
        body.end_panel("rear", b0, b1, tail - 0.13, tail - 0.08, (214, 150, 110))
        body.end_panel(
            "fore", b0, b1, nose - 0.2, nose - 0.02, (255, 248, 226) if dark_hours else LAMP, glow=dark_hours
        )
        body.end_panel("fore", b0, b1, 0.36, 0.44, (60, 60, 62))
    body.end_panel("rear", -0.26, 0.26, lower + 0.02, lower + 0.13, PLATE)
    body.end_panel("rear", -half * 0.95, half * 0.95, 0.34, 0.38, scale(paint, 0.6))
    body.end_panel("fore", -half * 0.5, half * 0.5, nose - 0.2, nose - 0.07, (40, 40, 42))
    body.end_panel("fore", -half * 0.48, half * 0.48, nose - 0.15, nose - 0.12, (150, 150, 150))
    body.end_panel("fore", -half * 0.6, half * 0.6, 0.27, 0.40, (36, 36, 38))
    body.end_panel("fore", -0.26, 0.26, 0.42, 0.53, PLATE)


def _draw_box(body: Body, a0: float, a1: float, y0: float, y1: float, half: float, color: Color) -> int:
    """A box-shaped part of a vehicle; tells which side is seen, as ``Body.sides``."""
    roof = scale(color, 0.95)
    body.hull([Station(a0, y0, half, color, "rear"), Station(a0, y1, half, roof, "up"),
               Station(a1, y1, half, color, "fore"), Station(a1, y0, half, color, "fore")])  # fmt: skip
    return body.sides([(a0, y0, half), (a0, y1, half), (a1, y1, half), (a1, y0, half)], color, 0.15)


def draw_truck(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """Draw a lorry with a closed box."""
    cargo = dice.between(3.6, 6.2)
    cab = 1.9
    length, half = cargo + cab + 0.3, 1.2
    top = dice.between(2.7, 3.7)
    canvas.start_instance(labels.TRUCK)
    body = Body(canvas, pose, length)
    body.ground_shadow(half, top * 0.9)
    axles = (0.18 * length, 0.30 * length, length - 1.2)
    body.underside(half, axles, 0.5)
    skin, paint = dice.vary(dice.pick(LIVERIES), 0.12), dice.vary(dice.pick(PAINTS + LIVERIES), 0.12)
    nearer_cab = body.at(length, 0, 0)[2] < body.at(0, 0, 0)[2]
    for part in ("cargo", "cab") if nearer_cab else ("cab", "cargo"):
        if part == "cargo":
            side = _draw_box(body, 0.0, cargo, 0.95, top, half, skin)
            body.end_panel("rear", -0.03, 0.03, 1.0, top - 0.1, scale(skin, 0.6))
            for b in (-0.7, 0.7):
                body.end_panel("rear", b - 0.04, b + 0.04, 1.05, top - 0.15, scale(skin, 0.75))
            band = dice.vary(dice.pick(LIVERIES))
            body.side_panel(0.4, cargo - 0.4, 1.6, 2.2, half, band)
            body.side_panel(0.0, cargo, 0.95, 1.06, half, scale(skin, 0.6))
            for sign in (-1, 1):
                b0, b1 = sorted((sign * 0.8, sign * 1.15))
                body.end_panel("rear", b0, b1, 0.7, 0.9, TAIL)
            body.end_panel("rear", -1.15, 1.15, 0.5, 0.7, (58, 58, 60))
            body.end_panel("rear", -0.26, 0.26, 0.75, 0.87, PLATE)
            if side:
                body.side_panel(0.9, cargo, 0.55, 0.85, half * 0.96, (70, 72, 74))
        else:
            _draw_cab(body, canvas, dice, length - cab, paint)
    side = body.sides([(0, 0.9, half), (0, 0.95, half), (length, 0.95, half), (length, 0.9, half)], (50, 50, 52))
    if side:
        for a in axles:
            body.wheel(a, 0.48, half, side)


def _draw_cab(body: Body, canvas: Canvas, dice: Dice, start: float, paint: Color) -> None:
    end, top, half = body.length, 2.7, 1.18
    glass = _car_glass(canvas, dice)
    _draw_box(body, start, end, 0.6, top, half, paint)
    body.end_panel("fore", -1.05, 1.05, 1.5, 2.4, glass, shade=0.3)
    body.end_panel("fore", -0.7, 0.7, 0.95, 1.35, scale(paint, 0.5))
    body.end_panel("fore", -1.18, 1.18, 0.5, 0.85, scale(paint, 0.7))
    for sign in (-1, 1):
        b0, b1 = sorted((sign * 0.75, sign * 1.1))
        body.end_panel("fore", b0, b1, 0.62, 0.8, LAMP)
    body.end_panel("fore", -0.26, 0.26, 0.52, 0.62, PLATE)
    body.side_panel(start + 0.7, end - 0.2, 1.55, 2.35, half, glass, 0.3)
    body.side_panel(start + 0.6, start + 0.63, 0.7, 2.4, half, scale(paint, 0.6))


def draw_bus(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """Draw a city bus."""
    length, half, top = dice.between(10.5, 12.5), 1.25, 3.0
    skin = dice.vary(dice.pick(LIVERIES), 0.12)
    canvas.start_instance(labels.BUS)
    body = Body(canvas, pose, length)
    body.ground_shadow(half, top * 0.9)
    axles = (0.25 * length, 0.78 * length)
    body.underside(half, axles, 0.5)
    side = _draw_box(body, 0.0, length, 0.35, top, half, skin)
    glass = _car_glass(canvas, dice)
    panes = 7
    for k in range(panes):
        a0 = 0.3 + (length - 0.6) * k / panes
        body.side_panel(a0, a0 + (length - 0.6) / panes - 0.12, 1.35, 2.5, half, glass, 0.3)
    for a in (0.42 * length, 0.92 * length):  # doors
        body.side_panel(a - 0.6, a + 0.6, 0.45, 2.5, half, scale(glass, 0.85), 0.2)
        body.side_panel(a - 0.02, a + 0.02, 0.45, 2.5, half, skin)
    trim = dice.vary(dice.pick(LIVERIES))
    body.side_panel(0.0, length, 0.95, 1.12, half, trim)
    body.side_panel(0.0, length, 0.35, 0.5, half, scale(skin, 0.5))
    if side:
        for a in axles:
            body.wheel(a, 0.48, half, side)
    body.end_panel("rear", -1.0, 1.0, 1.6, 2.4, glass, shade=0.3)
    body.end_panel("rear", -1.25, 1.25, 0.95, 1.12, trim)
    body.end_panel("rear", -0.9, 0.9, 0.6, 1.4, scale(skin, 0.86))
    for y in (0.66, 0.8, 0.94):
        body.end_panel("rear", -0.7, 0.7, y, y + 0.05, scale(skin, 0.5))
    body.end_panel("fore", -1.15, 1.15, 1.05, 2.45, glass, shade=0.35)
    body.end_panel("fore", -1.25, 1.25, 0.35, 0.5, scale(skin, 0.5))
    ends: tuple[End, ...] = ("rear", "fore")
    for part in ends:
        board = (240, 168, 60)
        body.end_panel(part, -0.8, 0.8, 2.56, 2.84, (30, 30, 32))
        for k in range(6):
            b = -0.7 + 0.23 * k
            body.end_panel(part, b, b + dice.between(0.08, 0.18), 2.62, 2.78, board, glow=True)
        for sign in (-1, 1):
            b0, b1 = sorted((sign * 0.95, sign * 1.2))
            body.end_panel(part, b0, b1, 0.6, 0.85, TAIL if part == "rear" else LAMP)


def draw_tram(canvas: Canvas, dice: Dice, pose: Pose) -> None:
    """Draw a tram of two or three cars; Cityscapes counts trams as trains."""
    cars = dice.integer(2, 3)
    each, half, top = dice.between(9, 11), 1.25, 3.4
    length = cars * each
    skin, trim = dice.vary(dice.pick(LIVERIES), 0.12), dice.vary(dice.pick(LIVERIES), 0.1)
    canvas.start_instance(labels.TRAIN)
    body = Body(canvas, pose, length)
    body.ground_shadow(half, top * 0.9)
    glass = _car_glass(canvas, dice)
    order = range(cars) if body.at(length, 0, 0)[2] < body.at(0, 0, 0)[2] else reversed(range(cars))
    for car in order:
        a0, a1 = car * each + 0.15, (car + 1) * each - 0.15
        if car:
            _draw_box(body, a0 - 0.3, a0, 0.5, top - 0.3, half * 0.85, (44, 44, 46))
        _draw_box(body, a0, a1, 0.2, top, half, skin)
        body.side_panel(a0, a1, 0.2, 0.45, half, (60, 60, 62))
        body.side_panel(a0, a1, 1.05, 1.2, half, trim)
        body.side_panel(a0 + 0.3, a1 - 0.3, 1.45, 2.65, half, glass, 0.3)
        for k in range(1, 6):
            a = a0 + (a1 - a0) * k / 6
            body.side_panel(a - 0.06, a + 0.06, 1.45, 2.65, half, skin)
        body.side_panel((a0 + a1) / 2 - 0.65, (a0 + a1) / 2 + 0.65, 0.4, 2.7, half, scale(trim, 0.8))
        body.side_panel((a0 + a1) / 2 - 0.5, (a0 + a1) / 2 + 0.5, 0.9, 2.5, half, glass, 0.3)
    ends: tuple[End, ...] = ("rear", "fore")
    for part in ends:
        body.end_panel(part, -1.1, 1.1, 1.3, 2.7, glass, shade=0.35, inset=0.15)
        body.end_panel(part, -0.7, 0.7, 2.85, 3.15, (34, 34, 36), inset=0.15)
        body.end_panel(part, -0.5, 0.4, 2.92, 3.08, (240, 168, 60), glow=True, inset=0.15)
        body.end_panel(part, -1.25, 1.25, 1.05, 1.2, trim, inset=0.15)
        body.end_panel(part, -1.2, 1.2, 0.2, 0.5, (60, 60, 62), inset=0.15)
        for b in (-0.9, 0.65):
            lamp = TAIL if part == "rear" else LAMP
            body.end_panel(part, b, b + 0.25, 0.7, 0.92, lamp, inset=0.15)
