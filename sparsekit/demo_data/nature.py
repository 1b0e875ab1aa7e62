"""Trees, hedges, bushes, tufts of grass, and the wooded skyline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import Canvas, Place
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.light import Face
from sparsekit.demo_data.shapes import CIRCLE, blobs, limb

LEAVES: tuple[Color, ...] = (
    (76, 100, 50), (64, 90, 46), (92, 112, 54), (84, 104, 66), (70, 84, 48), (58, 80, 50), (108, 116, 58),
)  # fmt: skip
AUTUMN: tuple[Color, ...] = ((150, 112, 48), (136, 84, 44), (158, 134, 62), (112, 104, 50))
BARK: tuple[Color, ...] = ((84, 70, 58), (100, 90, 78), (70, 62, 56), (112, 104, 94))


def draw_tree(canvas: Canvas, dice: Dice, x: float, z: float, height: float, *, autumn: bool = False) -> None:
    """Draw a tree: trunk, branches, and a crown of clumps that are lighter towards the sun."""
    _cast_crown_shadow(canvas, x, z, height)
    canvas.start(labels.VEGETATION)
    bark = dice.vary(dice.pick(BARK), 0.15)
    leaf = dice.vary(dice.pick(AUTUMN if autumn and dice.chance(0.7) else LEAVES), 0.16)
    zoom = canvas.meters(z)
    conifer = not autumn and dice.chance(0.14)
    trunk = height * (0.12 if conifer else dice.between(0.24, 0.36))
    foot, fork = canvas.camera.project((x, 0, z)), canvas.camera.project((x, trunk * 1.5, z))
    thick = max(1.5, zoom * height * 0.018)
    lean = dice.between(-0.15, 0.15) * zoom
    canvas.fill(limb(foot, (fork[0] + lean, fork[1]), thick, thick * 0.7), bark, "front", z, grain=0.15, mottle=0.1)
    if thick > 3:
        side = thick * 0.5 if canvas.light.sun_side > 0 else -thick * 0.5
        lit = limb((foot[0] + side, foot[1]), (fork[0] + lean + side, fork[1]), thick * 0.4, thick * 0.25)
        canvas.fill(lit, scale(bark, 1.25), "front", z, grain=0.15)
    if conifer:
        _draw_conifer(canvas, dice, x, z, height, trunk, leaf)
        return
    for _ in range(4):
        tip = (fork[0] + dice.between(-0.22, 0.22) * height * zoom, fork[1] - dice.between(0.1, 0.3) * height * zoom)
        canvas.fill(limb((fork[0] + lean, fork[1]), tip, thick * 0.45, thick * 0.2), bark, "front", z)
    middle = canvas.camera.project((x, (height + trunk) / 2 + 0.2, z))
    across = zoom * height * dice.between(0.27, 0.38)
    down = zoom * (height - trunk) / 2 * 0.95
    _draw_crown(canvas, dice, (middle[0] + lean, middle[1]), across, down, leaf, z)


def _cast_crown_shadow(canvas: Canvas, x: float, z: float, height: float) -> None:
    light = canvas.light
    if light.shadow < 0.1:
        return
    middle_x, middle_z = x + light.cast[0] * height * 0.6, z + light.cast[1] * height * 0.6
    across, along = height * 0.3, height * (0.3 + 0.15 * abs(light.cast[1]))
    canvas.darken(
        [(middle_x + across * a, 0, max(1.0, middle_z + along * b)) for a, b in CIRCLE[::2]], light.shadow * 0.85
    )


def _draw_crown(
    canvas: Canvas, dice: Dice, center: tuple[float, float], across: float, down: float, leaf: Color, z: float
) -> None:
    """Clumps from the dark inside to the lit outside, then leaves."""
    middle, half = np.array(center), np.array((across, down))
    sun = np.array((0.5 * canvas.light.sun_side, -0.55))
    clumps = 14 if across < 12 else 34 if across < 50 else 70
    spots = _in_disc(dice, clumps)
    sunny = spots @ sun + (_shares(dice, clumps) - 0.5) * 0.5
    order = np.argsort(sunny, kind="stable")
    spots, sunny = spots[order], sunny[order]
    size = (0.24 + 0.12 * _shares(dice, clumps)) * (1.15 - 0.3 * np.abs(spots).max(1))
    outlines = blobs(dice, middle + 0.8 * spots * half, size * across, size * down * 1.1)
    tones = 0.80 + 0.34 * sunny + (_shares(dice, clumps) - 0.5) * 0.1
    canvas.fill_many(outlines, leaf, tones, "front", z, shade=0.35, grain=0.22, mottle=0.25)
    leaves = 0 if across < 9 else 40 if across < 40 else 130
    spots = _in_disc(dice, leaves)
    size = (0.03 + 0.055 * _shares(dice, leaves)) * across
    tones = 0.88 + 0.4 * (spots @ sun + _shares(dice, leaves) - 0.5)
    outlines = blobs(dice, middle + 1.04 * spots * half, size, size, 0.45)
    canvas.fill_many(outlines, mix(leaf, (160, 170, 80), 0.1), tones, "front", z, grain=0.2)


def _shares(dice: Dice, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1]."""
    return dice.noise_bytes(count) / 255


def _in_disc(dice: Dice, count: int) -> NDArray[np.float64]:
    """Points spread evenly over the unit disc, shape (count, 2)."""
    points = dice.noise_bytes(4 * count + 16, 2) / 127.5 - 1
    inside: NDArray[np.float64] = points[(points * points).sum(1) <= 1][:count]
    return inside


def _draw_conifer(canvas: Canvas, dice: Dice, x: float, z: float, height: float, trunk: float, leaf: Color) -> None:
    zoom = canvas.meters(z)
    leaf = mix(leaf, (46, 70, 56), 0.6)
    tiers = 9
    for k in range(tiers):
        low = trunk + (height - trunk) * k / tiers
        half = height * 0.2 * (1 - k / tiers) + 0.1
        base = canvas.camera.project((x, low, z))
        peak = (base[0], base[1] - zoom * (height - trunk) * 1.9 / tiers)
        twigs = 8
        hem = [base[1] + zoom * half * dice.between(-0.25, 0.12) for _ in range(twigs + 1)]
        wedges = np.array(
            [[peak, *((base[0] + zoom * half * (2 * j / twigs - 1), hem[j]) for j in (i, i + 1))] for i in range(twigs)]
        )
        tones = np.full(twigs, dice.between(0.9, 1.1))
        canvas.fill_many(wedges, leaf, tones, "front", z, shade=0.5, grain=0.22, mottle=0.15)


def draw_bush(canvas: Canvas, dice: Dice, x: float, z: float, size: float) -> None:
    """Draw a round bush of the given height in metres."""
    canvas.start(labels.VEGETATION)
    zoom = canvas.meters(z)
    middle = canvas.camera.project((x, size * 0.45, z))
    _draw_crown(canvas, dice, middle, zoom * size * 0.65, zoom * size * 0.55, dice.vary(dice.pick(LEAVES), 0.15), z)


def draw_hedge(canvas: Canvas, dice: Dice, x: float, z0: float, z1: float, height: float, sign: int) -> None:
    """Draw a hedge along the street, or where ``height`` is large, a thicket.

    Args:
        canvas: Where to draw.
        dice: Chooses how it looks.
        x: Its side that faces the street.
        z0: Its near end.
        z1: Its far end.
        height: In metres.
        sign: -1 on the left of the street, 1 on the right.
    """
    canvas.start(labels.VEGETATION)
    leaf = dice.vary(dice.pick(LEAVES), 0.15)
    face: Face = "west" if sign > 0 else "east"
    pieces = max(2, round((z1 - z0) / 1.5))
    step = (z1 - z0) / pieces
    far_x = x + sign * 1.2
    end: list[Place] = [(x, 0, z0), (far_x, 0, z0), (far_x, height, z0), (x, height, z0)]
    for k in reversed(range(pieces)):
        a, b = z0 + k * step, z0 + (k + 1) * step
        if height < canvas.camera.height:
            top: list[Place] = [(x, height, a), (far_x, height, a), (far_x, height, b), (x, height, b)]
            canvas.surface(top, scale(leaf, 0.95), "up", grain=0.25, mottle=0.2)
        panel: list[Place] = [(x, 0, a), (x, 0, b), (x, height, b), (x, height, a)]
        canvas.surface(panel, dice.vary(leaf, 0.05), face, shade=0.3, grain=0.25, mottle=0.25)
        zoom = canvas.meters(a)
        ruffles = 3 if zoom < 90 else 7
        share = _shares(dice, ruffles)  # leaves that stand out of the clipped shape
        height_share = 0.05 + 0.97 * _shares(dice, ruffles)
        near, far = (np.array(canvas.camera.project((x, 0, s))) for s in (a, b))
        spots = near + (far - near) * share[:, None]
        spots[:, 1] -= zoom * height * height_share * (1 - share * (1 - a / b))
        size = zoom * (0.08 + 0.14 * _shares(dice, ruffles)) * (1 if height < 2 else 2)
        tones = 0.6 + 0.45 * height_share + 0.2 * _shares(dice, ruffles)
        canvas.fill_many(blobs(dice, spots, size, size * 0.8, 0.4), leaf, tones, face, a, grain=0.2)
    canvas.surface(end, scale(leaf, 0.86), "front", shade=0.3, grain=0.25, mottle=0.25)


def draw_skyline(canvas: Canvas, dice: Dice, z: float, height: float) -> None:
    """Draw a belt of trees along the whole horizon."""
    canvas.start(labels.VEGETATION)
    zoom = canvas.meters(z)
    leaf = dice.vary(dice.pick(LEAVES), 0.1)
    _, base = canvas.camera.project((0, 0, z))
    width = canvas.size[1]
    count = 40
    tall = zoom * height * (0.5 + 0.6 * _shares(dice, count))
    spots = np.stack([(np.arange(count) + _shares(dice, count)) * width / (count - 1), base - tall * 0.45], axis=1)
    reach = np.maximum(tall * 0.5, 1.2 * width / count)
    tones = 0.9 + 0.2 * _shares(dice, count)
    canvas.fill_many(blobs(dice, spots, reach, tall * 0.55), leaf, tones, "front", z, shade=0.3, grain=0.15)
    top = base - zoom * height * 0.4
    belt = [(0.0, top), (width, top), (width, base + 2), (0.0, base + 2)]
    canvas.fill(belt, leaf, "front", z, shade=0.3, grain=0.15)


def draw_tufts(canvas: Canvas, dice: Dice, x0: float, x1: float, z: float) -> None:
    """Draw a few blades and flowers on a lawn; they are terrain like the lawn."""
    canvas.start(labels.TERRAIN)
    zoom = canvas.meters(z)
    if zoom < 30:
        return
    for _ in range(5):
        u, v = canvas.camera.project((dice.between(x0, x1), 0, z * dice.between(0.9, 1.1)))
        size = zoom * dice.between(0.03, 0.1)
        green = dice.vary((96, 116, 58), 0.25)
        canvas.fill([(u - size, v), (u + size, v), (u + size * dice.between(-1, 1), v - size * 2)], green, "up", z)
