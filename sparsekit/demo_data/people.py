"""People on foot, bicycles and motorcycles, and their riders."""

from __future__ import annotations

from collections.abc import Callable

from sparsekit.demo_data import labels
from sparsekit.demo_data.body import RIM, TYRE, Body, Pose
from sparsekit.demo_data.canvas import Canvas, Point
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.shapes import CIRCLE, cast_shadow, ellipse, limb

SKIN: tuple[Color, ...] = ((214, 172, 146), (190, 144, 116), (146, 102, 76), (98, 66, 50), (226, 188, 164))
HAIR: tuple[Color, ...] = ((44, 34, 30), (80, 58, 42), (128, 98, 64), (160, 156, 150), (28, 26, 28))
CLOTHES: tuple[Color, ...] = (
    (52, 58, 76), (40, 40, 44), (112, 44, 46), (150, 146, 138), (86, 96, 74), (62, 88, 126), (176, 160, 128),
    (198, 196, 190), (96, 70, 90), (186, 116, 52), (70, 110, 110), (200, 66, 60), (222, 184, 70),
)  # fmt: skip
TROUSERS: tuple[Color, ...] = ((46, 52, 70), (38, 38, 42), (92, 86, 78), (66, 76, 96), (132, 120, 98))
BIKES: tuple[Color, ...] = ((40, 42, 46), (120, 40, 40), (50, 80, 120), (150, 150, 150), (60, 96, 70), (170, 130, 50))


def draw_person(canvas: Canvas, dice: Dice, x: float, z: float) -> None:
    """Draw somebody who stands or walks, seen from any side, perhaps a child, with a bag or an umbrella."""
    height = dice.between(1.58, 1.92) if dice.chance(0.88) else dice.between(1.0, 1.4)
    cast_shadow(canvas, x, z, height)
    canvas.start_instance(labels.PERSON)
    unit = height / 1.75
    zoom = canvas.meters(z) * unit

    def at(dx: float, dy: float) -> Point:
        u, v = canvas.camera.project((x, 0, z))
        return u + dx * zoom, v - dy * zoom

    skin, hair = dice.vary(dice.pick(SKIN)), dice.vary(dice.pick(HAIR))
    coat, trousers = dice.vary(dice.pick(CLOTHES), 0.15), dice.vary(dice.pick(TROUSERS), 0.15)
    turn = dice.pick((-1, 0, 0, 1))  # walks to the left, to or from the camera, to the right
    stride = dice.between(0.05, 0.32) if turn else dice.between(0.02, 0.08)
    away = not turn and dice.chance(0.5)
    wide = 0.15 if turn else 0.21
    dress = dice.chance(0.2)

    def part(start: Point, end: Point, r0: float, r1: float, color: Color) -> None:
        canvas.fill(limb(at(*start), at(*end), r0 * zoom, r1 * zoom), color, "front", z, shade=0.15)

    shoe = dice.vary((50, 44, 42), 0.3)
    for foot, lift, tone in ((-stride, 0.0, 0.8), (stride, 0.04, 1.0)):
        hip = (0.06 if foot > 0 else -0.06) if not turn else 0.0
        leg = skin if dress else trousers
        knee = (hip + foot * 0.45 + turn * 0.05, 0.47 + lift)
        part((hip, 0.86), knee, 0.085, 0.065, scale(leg, tone))
        part(knee, (hip + foot, 0.08 + lift), 0.065, 0.05, scale(leg, tone))
        part((hip + foot, 0.04 + lift), (hip + foot + turn * 0.11, 0.04 + lift), 0.045, 0.04, shoe)
    swing = stride * 0.8
    _draw_arm(part, -turn, wide, -swing, scale(coat, 0.8), skin)
    hem = 0.52 if dress else dice.pick((0.78, 0.82, 0.6))
    flare = 0.05 if dress or hem < 0.7 else 0.0
    torso = [(-wide - flare, hem), (-wide, 1.1), (-wide - 0.02, 1.38), (-0.07, 1.47),
             (0.07, 1.47), (wide + 0.02, 1.38), (wide, 1.1), (wide + flare, hem)]  # fmt: skip
    canvas.fill([at(*p) for p in torso], coat, "front", z, shade=0.25, mottle=0.1)
    side = 1 if canvas.light.sun_side > 0 else -1
    lit = [(side * wide * 0.3, hem), (side * wide * 0.45, 1.38), (side * wide, 1.36), (side * wide, hem)]
    canvas.fill([at(*p) for p in lit], scale(coat, 1.14), "front", z, shade=0.2)
    if not turn and not away and not dress:
        canvas.fill([at(-0.06, 1.46), at(0.06, 1.46), at(0.0, 1.12)], dice.vary((196, 190, 182), 0.2), "front", z)
    if dice.chance(0.3):  # a bag or rucksack
        bag = dice.vary(dice.pick(CLOTHES), 0.2)
        spot = (-turn * 0.2, 1.2) if turn else (0.0, 1.18) if away else (0.24, 0.82)
        part((spot[0], spot[1] + 0.13), (spot[0], spot[1] - 0.13), 0.12, 0.13, bag)
    _draw_arm(part, turn or 1, wide, swing, scale(coat, 0.92), skin)
    if not turn:
        _draw_arm(part, -1, wide, -swing, scale(coat, 0.88), skin)
    _draw_head(canvas, dice, at, z, zoom, skin, hair, turn, away)
    if canvas.light.name == "rain" and dice.chance(0.6):
        cover = dice.vary(dice.pick(CLOTHES), 0.2)
        part((0.1, 1.2), (0.1, 2.27), 0.015, 0.01, (60, 60, 60))
        dome = [at(0.1 + 0.58 * p, 1.86 - 0.36 * q) for p, q in (*CIRCLE[16::2], CIRCLE[0])]
        canvas.fill(dome, cover, "front", z, shade=0.4)


def _draw_arm(
    part: Callable[[Point, Point, float, float, Color], None],
    side: int,
    wide: float,
    swing: float,
    sleeve: Color,
    skin: Color,
) -> None:
    shoulder = (side * wide * 0.95 if abs(swing) < 0.1 else 0.0, 1.36)
    elbow = (shoulder[0] + side * 0.03 + swing * 0.4, 1.1)
    hand = (elbow[0] + swing * 0.7 + 0.02 * side, 0.86)
    part(shoulder, elbow, 0.06, 0.05, sleeve)
    part(elbow, hand, 0.05, 0.04, sleeve)
    part(hand, (hand[0], hand[1] - 0.05), 0.04, 0.035, skin)


def _draw_head(
    canvas: Canvas, dice: Dice, at: Callable[[float, float], Point], z: float, zoom: float, skin: Color, hair: Color,
    turn: int, away: bool,
) -> None:  # fmt: skip
    canvas.fill(limb(at(0, 1.44), at(turn * 0.02, 1.54), 0.055 * zoom, 0.05 * zoom), scale(skin, 0.85), "front", z)
    middle = at(turn * 0.03, 1.63)
    if dice.chance(0.35):  # long hair falls behind the head
        canvas.fill(limb(at(-turn * 0.02, 1.66), at(-turn * 0.04, 1.46), 0.11 * zoom, 0.09 * zoom), hair, "front", z)
    canvas.fill(ellipse(middle, 0.095 * zoom, 0.125 * zoom), skin, "front", z, shade=0.15)
    crown = at(-turn * 0.02, 1.68 if not away else 1.64)
    canvas.fill(ellipse(crown, 0.105 * zoom, (0.085 if not away else 0.125) * zoom), hair, "front", z, shade=0.2)
    if not away:
        face = at(turn * 0.05, 1.61)
        canvas.fill(ellipse(face, 0.075 * zoom, 0.085 * zoom), skin, "front", z)


def draw_two_wheeler(canvas: Canvas, dice: Dice, pose: Pose, *, motor: bool, ridden: bool) -> None:
    """Draw a bicycle or motorcycle, with or without its rider, who is labelled apart from it."""
    length, radius = (2.1, 0.31) if motor else (1.75, 0.34)
    body = Body(canvas, pose, length)
    cast_shadow(canvas, pose.x, pose.z, 1.7 if ridden else 0.9)
    canvas.start_instance(labels.MOTORCYCLE if motor else labels.BICYCLE)
    frame = dice.vary(dice.pick(BIKES), 0.2)
    axles = (radius, length - radius)
    far_first = sorted(axles, key=lambda a: -body.at(a, 0, 0)[2])
    for a in far_first:
        _draw_wheel(body, a, radius, motor)
    (_draw_motorcycle if motor else _draw_bicycle)(body, frame, axles, radius)
    if ridden:
        canvas.start_instance(labels.RIDER)
        _draw_rider(body, dice, motor)


def _tube(
    body: Body, start: tuple[float, float, float], end: tuple[float, float, float], width: float, color: Color
) -> None:
    """A tube between two (a, b, y) places."""
    canvas, z = body.canvas, body.pose.z
    radius = max(0.9, canvas.meters(z) * width / 2)
    a, b = (canvas.camera.project(body.at(*p)) for p in (start, end))
    canvas.fill(limb(a, b, radius, radius), color, "front", z)


def _draw_wheel(body: Body, a: float, radius: float, motor: bool) -> None:
    side = -1 if body.pose.heading == "left" else 1
    thick = 0.13 if motor else 0.045
    body.disc(a, radius, radius, 0.02 * side, TYRE)
    # Between the spokes the road shines through; the wheel is labelled as a whole.
    inner = (60, 60, 62) if motor else (112, 112, 112)
    body.disc(a, radius * (0.62 if motor else 0.86), radius, 0.02 * side, inner)
    if not motor:
        for da, dy in ((1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7)):
            reach = radius * 0.86
            spoke = ((a - da * reach, 0.0, radius - dy * reach), (a + da * reach, 0.0, radius + dy * reach))
            _tube(body, *spoke, 0.008, (140, 140, 142))
    body.disc(a, radius * (0.3 if motor else 0.12), radius, 0.02 * side, RIM)
    if body.pose.heading in ("away", "towards"):
        _tube(body, (a, 0, 0.02), (a, 0, 2 * radius - 0.02), thick, TYRE)


def _draw_bicycle(body: Body, frame: Color, axles: tuple[float, float], radius: float) -> None:
    rear, front = (axles[0], 0.0, radius), (axles[1], 0.0, radius)
    pedals, seat, head = (0.80, 0.0, 0.28), (0.60, 0.0, 0.92), (1.24, 0.0, 0.88)
    low = (1.28, 0.0, 0.72)
    stay = (0.62, 0.0, 0.8)
    tubes = ((rear, pedals), (rear, stay), (pedals, seat), (pedals, low), (stay, head), (low, front), (head, low))
    for start, end in tubes:
        _tube(body, start, end, 0.045, frame)
    _tube(body, head, (1.22, 0.0, 1.04), 0.035, (60, 60, 62))
    _tube(body, (1.20, -0.28, 1.05), (1.20, 0.28, 1.05), 0.035, (50, 50, 52))
    _tube(body, (1.20, 0.0, 1.05), (1.08, 0.0, 1.05), 0.03, (50, 50, 52))
    _tube(body, (0.48, 0.0, 0.95), (0.74, 0.0, 0.94), 0.09, (36, 36, 38))
    _tube(body, (0.1, 0.0, 0.72), (0.5, 0.0, 0.72), 0.03, frame)


def _draw_motorcycle(body: Body, frame: Color, axles: tuple[float, float], radius: float) -> None:
    rear, front = axles
    dark = (44, 44, 46)
    _tube(body, (rear, 0, radius), (rear + 0.6, 0, 0.42), 0.12, dark)
    _tube(body, (rear + 0.5, 0, 0.42), (front - 0.55, 0, 0.42), 0.34, (74, 74, 78))
    _tube(body, (rear - 0.1, 0.12, 0.34), (rear + 0.7, 0.12, 0.3), 0.09, RIM)
    _tube(body, (front, 0, radius), (front - 0.28, 0, 0.92), 0.09, RIM)
    _tube(body, (rear - 0.22, 0, 0.72), (rear + 0.6, 0, 0.74), 0.2, dark)
    _tube(body, (rear + 0.62, 0, 0.76), (front - 0.36, 0, 0.82), 0.3, frame)
    _tube(body, (front - 0.32, 0, 0.72), (front - 0.2, 0, 0.95), 0.3, frame)
    _tube(body, (front - 0.36, -0.36, 1.02), (front - 0.36, 0.36, 1.02), 0.05, dark)
    lamp = body.face("rear") == "front"
    spot = (rear - 0.3, 0.0, 0.7) if lamp else (front - 0.16, 0.0, 0.9)
    _tube(body, spot, (spot[0], 0.01, spot[2]), 0.16, (170, 40, 34) if lamp else (224, 222, 206))
    if body.pose.heading in ("away", "towards"):
        _tube(body, (rear, 0, 0.35), (rear, 0, 0.72), 0.3, mix(frame, dark, 0.5))


def _draw_rider(body: Body, dice: Dice, motor: bool) -> None:
    canvas, z = body.canvas, body.pose.z
    skin, coat = dice.vary(dice.pick(SKIN)), dice.vary(dice.pick(CLOTHES), 0.15)
    trousers = dice.vary(dice.pick(TROUSERS), 0.15)
    if motor:
        coat, trousers = scale(coat, 0.7), scale(trousers, 0.7)
    hip, neck = ((0.72, 0.98), (1.08, 1.46)) if motor else ((0.60, 1.02), (0.94, 1.54))
    head = (neck[0] + 0.08, neck[1] + 0.2)
    grip = (1.36, 1.06) if motor else (1.16, 1.08)
    far, near = (1, -1) if body.pose.heading == "left" else (-1, 1)
    for side, tone in ((far, 0.82), (near, 1.0)):
        b = 0.11 * side
        knee, foot = ((1.2, 0.78), (1.0, 0.36)) if motor else ((1.0, 0.78 + 0.08 * side), (0.84, 0.24 + 0.12 * side))
        _tube(body, (hip[0], b, hip[1] - 0.04), (knee[0], b * 1.4, knee[1]), 0.17, scale(trousers, tone))
        _tube(body, (knee[0], b * 1.4, knee[1]), (foot[0], b * 1.2, foot[1]), 0.13, scale(trousers, tone))
        _tube(
            body,
            (foot[0] - 0.06, b * 1.2, foot[1] - 0.04),
            (foot[0] + 0.14, b * 1.2, foot[1] - 0.04),
            0.09,
            (40, 38, 38),
        )
    _tube(body, (neck[0], far * 0.2, neck[1] - 0.08), (grip[0], far * 0.26, grip[1]), 0.11, scale(coat, 0.8))
    for b in (-0.1, 0.0, 0.1):  # the back has a width of its own when seen from behind
        _tube(body, (hip[0], b, hip[1]), (neck[0] - 0.04, b * 1.4, neck[1] - 0.1), 0.26, coat)
    if dice.chance(0.35):
        bag = dice.vary(dice.pick(CLOTHES), 0.2)
        _tube(body, (hip[0] + 0.06, 0, hip[1] + 0.18), (neck[0] - 0.18, 0, neck[1] - 0.1), 0.3, bag)
    _tube(body, (neck[0], near * 0.2, neck[1] - 0.08), (grip[0], near * 0.26, grip[1]), 0.11, scale(coat, 0.94))
    _tube(body, (grip[0], near * 0.26, grip[1]), (grip[0] + 0.04, near * 0.26, grip[1]), 0.09, skin)
    zoom = canvas.meters(z)
    middle = canvas.camera.project(body.at(head[0], 0, head[1]))
    canvas.fill(ellipse(middle, 0.1 * zoom, 0.125 * zoom), skin, "front", z)
    cover = dice.vary(dice.pick(CLOTHES), 0.2) if motor or dice.chance(0.6) else dice.pick(HAIR)
    size = 0.135 if motor else 0.115
    lift = 0.0 if motor else 0.045 * zoom
    canvas.fill(
        ellipse((middle[0], middle[1] - lift), size * zoom, (0.15 if motor else 0.095) * zoom),
        cover,
        "front",
        z,
        shade=0.3,
    )
    if motor and body.face("fore") == "front":
        canvas.fill(ellipse(middle, 0.1 * zoom, 0.06 * zoom), (40, 46, 54), "front", z)
