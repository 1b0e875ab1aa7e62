"""Street furniture: lamps, fences, walls, guard rails, bins, benches, bridges."""

from __future__ import annotations

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import Canvas, Place
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.light import Face
from sparsekit.demo_data.shapes import box, cast_shadow, ellipse, rod

METAL: tuple[Color, ...] = ((112, 116, 118), (92, 98, 94), (136, 138, 138), (72, 80, 78), (98, 92, 86))
BOARDS: tuple[Color, ...] = ((126, 98, 70), (108, 92, 78), (146, 124, 96), (96, 100, 92))
POSTERS: tuple[Color, ...] = ((178, 34, 38), (34, 76, 150), (222, 180, 60), (70, 120, 90), (222, 222, 218))
STONES: tuple[Color, ...] = ((142, 134, 122), (122, 118, 112), (160, 146, 126), (132, 108, 94), (150, 148, 144))
_WHITE: Color = (222, 222, 218)


def draw_lamp(canvas: Canvas, dice: Dice, x: float, z: float, sign: int) -> None:
    """Draw a street lamp whose arm reaches over the road."""
    canvas.start(labels.POLE)
    metal, height = dice.vary(dice.pick(METAL), 0.15), dice.between(5.5, 8.5)
    cast_shadow(canvas, x, z, height, 0.16)
    rod(canvas, (x, 0, z), (x, height, z), 0.14, metal)
    rod(canvas, (x, 0, z), (x, 1.1, z), 0.2, scale(metal, 0.9))
    reach = x - sign * dice.between(0.9, 2.0)
    rod(canvas, (x, height, z), (reach, height + 0.35, z), 0.08, metal)
    rod(canvas, (reach, height + 0.35, z), (reach - sign * 0.6, height + 0.38, z), 0.18, scale(metal, 0.8))
    if canvas.light.name == "dusk":
        lamp = canvas.camera.project((reach - sign * 0.3, height + 0.28, z))
        size = canvas.meters(z) * 0.14
        canvas.fill(ellipse(lamp, size * 2, size), (255, 226, 168), "glow", z)


def draw_fence(canvas: Canvas, dice: Dice, x: float, z0: float, z1: float) -> None:
    """Draw a fence along the street: boards, railings or wire mesh."""
    canvas.start(labels.FENCE)
    face: Face = "west" if x > 0 else "east"
    kind = dice.pick(("boards", "railing", "railing", "mesh"))
    height = dice.between(0.9, 1.3) if kind == "railing" else dice.between(1.2, 2.0)
    color = dice.vary(dice.pick(BOARDS if kind == "boards" else METAL), 0.15)
    behind = mix(color, (92, 104, 66), 0.75)  # what is seen through it belongs to it, as in Cityscapes
    pieces = max(2, round((z1 - z0) / 2.0))
    step = (z1 - z0) / pieces
    for k in reversed(range(pieces)):
        a, b = z0 + k * step, z0 + (k + 1) * step

        def rect(za: float, zb: float, y0: float, y1: float) -> list[Place]:
            return [(x, y0, za), (x, y0, zb), (x, y1, zb), (x, y1, za)]

        canvas.surface(rect(a, b, 0.05, height), color if kind == "boards" else behind, face, grain=0.12, mottle=0.1)
        bars = 8 if canvas.meters(a) * abs(x) / a > 12 else 0  # finer than a pixel further away
        for i in range(bars):
            s = a + step * i / bars
            if kind == "boards":
                canvas.surface(rect(s, s + step / bars * 0.9, 0.05, height), dice.vary(color, 0.08), face, grain=0.1)
            else:
                wide = 0.045 if kind == "railing" else 0.015
                canvas.surface(rect(s, s + wide, 0.08, height), color, face)
        rails = (0.15, height - 0.05) if kind != "mesh" else (0.1, height / 2, height - 0.04)
        for y in rails if kind != "boards" else ():
            canvas.surface(rect(a, b, y - 0.03, y + 0.04), scale(color, 1.08), face)
        canvas.surface(rect(a, a + 0.1, 0, height + 0.06), scale(color, 0.85), face)
    canvas.darken([(x, 0, z0), (x, 0, z1), (x - 0.3, 0, z1), (x - 0.3, 0, z0)], 0.2)


def draw_wall(canvas: Canvas, dice: Dice, x: float, z0: float, z1: float, sign: int) -> None:
    """Draw a free-standing wall along the street, of stone, brick or concrete."""
    canvas.start(labels.WALL)
    height, stone = dice.between(1.0, 2.8), dice.vary(dice.pick(STONES), 0.15)
    face: Face = "west" if sign > 0 else "east"
    far_x = x + sign * 0.35
    courses = 0 if dice.chance(0.3) else max(3, round(height / 0.32))
    pieces = max(2, round((z1 - z0) / 1.6))
    step = (z1 - z0) / pieces
    for k in reversed(range(pieces)):
        a, b = z0 + k * step, z0 + (k + 1) * step
        panel: list[Place] = [(x, 0, a), (x, 0, b), (x, height, b), (x, height, a)]
        canvas.surface(panel, dice.vary(stone, 0.04), face, shade=0.12, grain=0.1, mottle=0.16)
        if courses and canvas.meters(a) * abs(x) / a > 8:
            for row in range(courses):
                y0, y1 = height * row / courses, height * (row + 1) / courses
                for half in (0, 1):
                    s = a + step * (half + 0.5 * (row % 2)) / 2
                    block: list[Place] = [(x, y0 + 0.02, s), (x, y0 + 0.02, s + step * 0.48),
                                          (x, y1 - 0.02, s + step * 0.48), (x, y1 - 0.02, s)]  # fmt: skip
                    canvas.surface(block, dice.vary(stone, 0.1), face, grain=0.1, mottle=0.1)
        cap: list[Place] = [(x, height - 0.02, a), (x, height - 0.02, b), (x, height + 0.12, b), (x, height + 0.12, a)]
        canvas.surface(cap, scale(stone, 1.1), face)
        if height < canvas.camera.height:
            top: list[Place] = [
                (x, height + 0.12, a),
                (x, height + 0.12, b),
                (far_x, height + 0.12, b),
                (far_x, height + 0.12, a),
            ]
            canvas.surface(top, scale(stone, 1.05), "up")
    canvas.surface(
        [(x, 0, z0), (far_x, 0, z0), (far_x, height + 0.12, z0), (x, height + 0.12, z0)], stone, "front", mottle=0.1
    )


def draw_guard_rail(canvas: Canvas, dice: Dice, x: float, z0: float, z1: float) -> None:
    """Draw a crash barrier, which is void in Cityscapes."""
    canvas.start(labels.GUARD_RAIL)
    metal = dice.vary((150, 152, 152), 0.1)
    face: Face = "west" if x > 0 else "east"
    pieces = max(2, round((z1 - z0) / 4))
    step = (z1 - z0) / pieces
    for k in reversed(range(pieces)):
        a, b = z0 + k * step, z0 + (k + 1) * step
        rod(canvas, (x, 0, a), (x, 0.7, a), 0.12, scale(metal, 0.7))
        for y0, y1, tone in ((0.42, 0.75, 0.85), (0.46, 0.56, 1.05), (0.62, 0.72, 1.05)):
            canvas.surface([(x, y0, a), (x, y0, b), (x, y1, b), (x, y1, a)], scale(metal, tone), face)


def draw_clutter(canvas: Canvas, dice: Dice, x: float, z: float) -> None:
    """Draw a bin, a cabinet, a bench, an advertising column or a cone, which are void in Cityscapes, or a bollard."""
    kind = dice.pick(("bin", "cabinet", "bench", "bollard", "column", "cone"))
    cast_shadow(canvas, x, z, 1.0, 0.5)
    canvas.start(labels.STATIC)
    if kind == "bollard":
        canvas.start(labels.POLE)
        rod(canvas, (x, 0, z), (x, 0.9, z), 0.14, dice.vary(dice.pick(METAL), 0.2))
        rod(canvas, (x, 0.68, z), (x, 0.78, z), 0.15, _WHITE)
    elif kind == "cone":
        u, v = canvas.camera.project((x, 0, z))
        zoom = canvas.meters(z)
        for low, high, color in ((0.0, 0.7, (222, 96, 40)), (0.2, 0.34, _WHITE), (0.44, 0.56, _WHITE)):
            a, b = 0.2 * (1 - low / 0.75) * zoom, 0.2 * (1 - high / 0.75) * zoom
            bottom, top = v - low * zoom, v - high * zoom
            canvas.fill([(u - a, bottom), (u + a, bottom), (u + b, top), (u - b, top)], color, "front", z)
    elif kind == "bench":
        wood = dice.vary(dice.pick(BOARDS), 0.15)
        for dx in (-0.7, 0.7):
            rod(canvas, (x + dx, 0, z), (x + dx, 0.8, z), 0.07, (60, 62, 62))
        for y in (0.44, 0.62, 0.76):
            rod(canvas, (x - 0.85, y, z), (x + 0.85, y, z), 0.09, wood)
    elif kind == "column":
        color = dice.vary(dice.pick(STONES), 0.1)
        box(canvas, (x - 0.55, 0, z), (x + 0.55, 2.7, z + 1), color, grain=0.08)
        for _ in range(4):  # posters
            left, low = x + dice.between(-0.52, 0.1), dice.between(0.4, 1.7)
            poster = dice.vary(dice.pick(POSTERS), 0.2)
            box(canvas, (left, low, z - 0.02), (left + 0.42, low + 0.6, z), poster, faces=("front",))
        box(canvas, (x - 0.65, 2.7, z - 0.05), (x + 0.65, 2.9, z + 1), scale(color, 0.7))
    else:
        width, height = (0.5, 0.95) if kind == "bin" else (0.9, 1.3)
        color = dice.vary(dice.pick(((64, 84, 66), (92, 94, 96), (70, 72, 76), (146, 108, 50), (120, 122, 116))), 0.15)
        box(canvas, (x - width / 2, 0, z), (x + width / 2, height, z + 0.45), color, grain=0.05)
        box(
            canvas,
            (x - width / 2 - 0.03, height - 0.14, z - 0.02),
            (x + width / 2 + 0.03, height, z + 0.45),
            scale(color, 0.8),
        )


def draw_bridge(canvas: Canvas, dice: Dice, z: float, left: float, right: float) -> None:
    """Draw an overpass across the street; bridges are void in Cityscapes."""
    canvas.start(labels.BRIDGE)
    concrete = dice.vary((142, 140, 134), 0.12)
    low = dice.between(4.8, 5.6)
    for x in (left - 1.2, right + 0.2):
        box(canvas, (x, 0, z), (x + 1.0, low, z + 8), scale(concrete, 0.9), grain=0.08)
    under: list[Place] = [(-70, low, z), (70, low, z), (70, low, z + 8), (-70, low, z + 8)]
    canvas.surface(under, scale(concrete, 0.4), "front")
    canvas.surface([(-70, low, z), (70, low, z), (70, low + 1.3, z), (-70, low + 1.3, z)], concrete, "front",
                   shade=0.1, grain=0.06, mottle=0.06)  # fmt: skip
    canvas.surface(
        [(-70, low + 1.3, z), (70, low + 1.3, z), (70, low + 1.45, z), (-70, low + 1.45, z)],
        scale(concrete, 1.15),
        "front",
    )
    canvas.start(labels.FENCE)
    for k in range(-14, 15):
        rod(canvas, (k * 2.5, low + 1.45, z), (k * 2.5, low + 2.4, z), 0.06, (96, 100, 104))
    rod(canvas, (-36, low + 2.4, z), (36, low + 2.4, z), 0.08, (96, 100, 104))
    canvas.darken([(left - 6, 0, z), (right + 6, 0, z), (right + 6, 0, z + 8), (left - 6, 0, z + 8)], 0.5)
