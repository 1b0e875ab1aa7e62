"""The ground: road with its marks, pavements, verges, rails; and the plan of the street that all else follows."""

from __future__ import annotations

from dataclasses import dataclass

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import GROUND, Canvas, Place
from sparsekit.demo_data.dice import Color, Dice, mix, scale
from sparsekit.demo_data.shapes import CIRCLE

#: Nearest distance at which the ground is drawn, in metres; the image's lower edge lies beyond it.
NEAR = 0.8
_STATIONS = (NEAR, 1.2, 1.7, 2.3, 3, 4, 5.5, 7.5, 10, 13, 17, 22, 28, 36, 46, 60, 78, 100, 130, 170, 220, 300)

KINDS = {"downtown": 0.36, "residential": 0.30, "boulevard": 0.16, "suburb": 0.18}

WHITE: Color = (214, 214, 208)
ASPHALT: tuple[Color, ...] = ((104, 104, 106), (92, 94, 98), (114, 112, 110), (84, 86, 88), (110, 104, 100))
PAVING: tuple[Color, ...] = (
    (150, 146, 140), (136, 134, 132), (160, 150, 136), (142, 124, 112), (124, 122, 120), (154, 142, 138),
)  # fmt: skip
GRASS: tuple[Color, ...] = ((98, 122, 58), (112, 128, 66), (84, 112, 54), (134, 134, 78), (126, 118, 82))


@dataclass(frozen=True)
class Side:
    """One side of the street; x grows from the kerb outwards by ``sign``.

    Args:
        sign: -1 on the left, 1 on the right.
        kerb: x of the kerb.
        parking: Width of a parking lane beyond the kerb, 0 where cars park on the road or not at all.
        verge: Width of the grass between road and pavement.
        walk: Width of the pavement.
    """

    sign: int
    kerb: float
    parking: float
    verge: float
    walk: float

    def at(self, meters: float) -> float:
        """x of a line this many metres beyond the kerb."""
        return self.kerb + self.sign * meters

    @property
    def walk_start(self) -> float:
        """Metres from the kerb to the pavement."""
        return self.parking + self.verge

    @property
    def line(self) -> float:
        """x of the building line, where the pavement ends."""
        return self.at(self.parking + self.verge + self.walk)


@dataclass(frozen=True)
class Street:
    """The plan of one street.

    Args:
        kind: Key of ``KINDS``.
        lanes: x of the middle of each lane, with True where traffic drives away from the camera.
        lane_width: In metres.
        sides: Left and right.
        crossing: Distance of a crossing with lights, or None.
        end: Distance at which the street ends.
        median: x of a grass strip's left and right edge between the directions, or None.
        rails: x of the middle of tram tracks.
        asphalt: Colour of the road.
        paving: Colour of the pavement.
        grass: Colour of verges and lawns.
        autumn: Whether leaves have turned.
    """

    kind: str
    lanes: tuple[tuple[float, bool], ...]
    lane_width: float
    sides: tuple[Side, Side]
    crossing: float | None
    end: float
    median: tuple[float, float] | None
    rails: tuple[float, ...]
    asphalt: Color
    paving: Color
    grass: Color
    autumn: bool

    def crosses(self, z: float, before: float, after: float) -> bool:
        """Whether a distance lies on the crossing, or up to this many metres before or after its near edge."""
        return self.crossing is not None and self.crossing - before < z < self.crossing + after


def draw_plan(dice: Dice) -> Street:
    """Choose the street of a scene; the camera stands at x = 0 in a lane of the right half."""
    kind = dice.weighted(KINDS)
    lane_width = dice.between(2.9, 3.6)
    ours = dice.pick((1, 1, 2)) if kind != "residential" else 1
    theirs = ours if dice.chance(0.8) else 0 if kind == "residential" else 1
    own_lane = dice.below(ours)
    gap = dice.between(2.0, 4.5) if kind == "boulevard" and theirs else 0.0
    start = -(own_lane + 0.5) * lane_width + dice.between(-0.3, 0.3)  # x of the line between the directions
    lanes = [(start - gap - (i + 0.5) * lane_width, False) for i in range(theirs)]
    lanes += [(start + (i + 0.5) * lane_width, True) for i in range(ours)]
    margin = 2.2 if kind == "residential" or (ours == 1 and dice.chance(0.5)) else 0.4  # room to park on the road
    left, right = start - gap - theirs * lane_width - margin, start + ours * lane_width + margin
    sides = []
    for sign, kerb in ((-1, left), (1, right)):
        green = dice.chance({"downtown": 0.15, "residential": 0.4, "boulevard": 0.7, "suburb": 0.8}[kind])
        sides.append(
            Side(
                sign,
                kerb,
                2.3 if dice.chance(0.25 if margin < 1 else 0.05) else 0.0,
                dice.between(1.2, 3.2) if green else 0.0,
                dice.between(2.6, 5.0) if kind == "downtown" else dice.between(1.8, 3.4),
            )
        )
    rails = tuple(x for x, _ in lanes) if kind == "downtown" and dice.chance(0.3) else ()
    return Street(
        kind,
        tuple(lanes),
        lane_width,
        (sides[0], sides[1]),
        dice.between(14, 34) if dice.chance(0.55 if kind != "residential" else 0.25) else None,
        dice.between(75, 150),
        (start - gap, start) if gap else None,
        rails[-2:],
        dice.vary(dice.pick(ASPHALT), 0.12),
        dice.vary(dice.pick(PAVING), 0.12),
        dice.vary(dice.pick(GRASS), 0.12),
        dice.chance(0.25),
    )


def strip(x0: float, x1: float, z0: float = NEAR, z1: float = 300.0, y: float = 0.0) -> list[Place]:
    """Outline of a strip along the street, with corners enough to follow the bend."""
    between = [z for z in _STATIONS if z0 < z < z1]
    depths = [z0, *between, z1]
    return [(x0, y, z) for z in depths] + [(x1, y, z) for z in reversed(depths)]


def draw_ground(canvas: Canvas, dice: Dice, street: Street) -> None:
    """Draw the ground from the lower edge of the image to the horizon."""
    left, right = street.sides
    canvas.start(labels.TERRAIN, GROUND)
    _lay(canvas, strip(-400, 400), street.grass, 0.16)
    for side in street.sides:
        _draw_side(canvas, dice, street, side)
    canvas.start(labels.ROAD, GROUND)
    _lay(canvas, strip(left.kerb, right.kerb), street.asphalt, 0.10)
    if street.crossing:  # the road across
        far = street.crossing + 9
        _lay(canvas, strip(-60, 60, street.crossing, far), scale(street.asphalt, dice.between(0.92, 1.05)), 0.10)
    _draw_wear(canvas, dice, street)
    if street.median:
        canvas.start(labels.TERRAIN, GROUND)
        stretches = [(NEAR, 300.0)]
        if street.crossing:
            stretches = [(NEAR, street.crossing - 3), (street.crossing + 12, 300.0)]
        for z0, z1 in stretches:
            _lay(canvas, strip(*street.median, z0, z1), street.grass, 0.16)
            kerb = scale(street.paving, 1.15)
            canvas.start(labels.SIDEWALK, GROUND)
            for x in street.median:
                _lay(canvas, strip(x - 0.1, x + 0.1, z0, z1), kerb, 0.05)
            canvas.start(labels.TERRAIN, GROUND)
    _draw_marks(canvas, dice, street)
    for x in street.rails:
        canvas.start(labels.ROAD, GROUND)
        _lay(canvas, strip(x - 1.2, x + 1.2), mix(street.asphalt, (150, 140, 128), 0.4), 0.12)
        for rail in (-0.72, 0.72):
            _lay(canvas, strip(x + rail - 0.06, x + rail + 0.06), (70, 68, 66), 0.05)
            _lay(canvas, strip(x + rail - 0.02, x + rail + 0.02), (168, 168, 172), 0.05)


def _lay(canvas: Canvas, outline: list[Place], color: Color, grain: float) -> None:
    # The haze of the ground follows each pixel's own distance and is laid over it later: here z is next to nothing.
    points = [canvas.camera.project(place) for place in outline]
    canvas.fill(points, color, "up", 0.01, grain=grain)


def _draw_side(canvas: Canvas, dice: Dice, street: Street, side: Side) -> None:
    def band(start: float, end: float, color: Color, grain: float = 0.08) -> None:
        _lay(canvas, strip(side.at(start), side.at(end)), color, grain)

    if street.kind == "downtown":  # courts and squares behind the building line
        canvas.start(labels.SIDEWALK, GROUND)
        band(side.walk_start, 60, scale(street.paving, 0.96))
    canvas.start(labels.SIDEWALK, GROUND)
    start, end = side.walk_start, side.walk_start + side.walk
    band(start, end, street.paving)
    seam = scale(street.paving, 0.84)
    for k in range(1, int(side.walk / 0.8)):
        band(start + 0.8 * k - 0.012, start + 0.8 * k + 0.012, seam)
    z = 3.0
    while z < 26:  # further away they are thinner than a pixel
        _lay(canvas, strip(side.at(start), side.at(end), z, z + 0.035), seam, 0.08)
        z += 0.8 if z < 14 else 1.6
    if side.verge:
        canvas.start(labels.TERRAIN, GROUND)
        band(side.parking, side.walk_start, street.grass, 0.16)
    if side.parking:
        canvas.start(labels.PARKING, GROUND)
        band(0.0, side.parking, dice.vary(mix(street.asphalt, street.paving, 0.5)), 0.12)
    canvas.start(labels.SIDEWALK, GROUND)
    band(0.0, 0.28, scale(street.paving, 1.14))
    band(-0.05, 0.0, scale(street.paving, 0.62))


def _draw_wear(canvas: Canvas, dice: Dice, street: Street) -> None:
    """Tyre tracks, patches, cracks and manholes."""
    for x, _ in street.lanes:
        for track in (-0.75, 0.75):
            _lay(canvas, strip(x + track - 0.25, x + track + 0.25), scale(street.asphalt, dice.between(0.94, 1.0)), 0.1)
    left, right = street.sides
    for _ in range(dice.integer(1, 6)):
        x, z = dice.between(left.kerb + 0.5, right.kerb - 1.5), dice.between(4, 40)
        width, length = dice.between(0.5, 2.2), dice.between(1, 9)
        _lay(canvas, strip(x, x + width, z, z + length), scale(street.asphalt, dice.between(0.8, 1.12)), 0.12)
    for _ in range(dice.integer(0, 3)):
        x, z = dice.pick(street.lanes)[0] + dice.between(-1, 1), dice.between(5, 30)
        for radius, tone in ((0.36, 0.62), (0.30, 0.8)):
            _lay(
                canvas, [(x + radius * a, 0, z + radius * b) for a, b in CIRCLE[::2]], scale(street.asphalt, tone), 0.1
            )
    z, x = dice.between(3, 12), dice.between(left.kerb + 1, right.kerb - 1)
    for _ in range(dice.integer(0, 14)):  # a crack wanders away from the camera
        dx, dz = dice.between(-0.4, 0.4), dice.between(0.3, 1.5)
        ends: list[Place] = [
            (x - 0.015, 0, z),
            (x + 0.015, 0, z),
            (x + dx + 0.015, 0, z + dz),
            (x + dx - 0.015, 0, z + dz),
        ]
        _lay(canvas, ends, scale(street.asphalt, 0.66), 0.0)
        x, z = x + dx, z + dz


def _draw_marks(canvas: Canvas, dice: Dice, street: Street) -> None:
    canvas.start(labels.ROAD, GROUND)
    faded = mix(WHITE, street.asphalt, dice.between(0.05, 0.45))
    stop = street.crossing - 4.5 if street.crossing else None

    def mark(x0: float, x1: float, z0: float, z1: float) -> None:
        _lay(canvas, strip(x0, x1, z0, z1), faded, 0.08)

    def dashes(x: float, on: float, off: float, width: float = 0.07) -> None:
        z = NEAR + dice.between(0, on + off)
        while z < 120:
            if not (stop and stop - 6 < z < stop + 16):
                mark(x - width, x + width, z, z + on)
            z += on + off

    bounds = sorted({round(x + s * street.lane_width / 2, 3) for x, _ in street.lanes for s in (-1, 1)})
    if street.kind != "residential" or dice.chance(0.4):
        for x in bounds[1:-1]:
            dashes(x, 3.0, dice.pick((3.0, 6.0)))
    if street.kind != "residential":
        for x in (bounds[0] - 0.1, bounds[-1] + 0.1):
            if dice.chance(0.6):
                mark(x - 0.06, x + 0.06, NEAR, stop or 200.0)
    if stop:
        left, right = street.sides
        ours = [x for x, away in street.lanes if away]
        mark(min(ours) - street.lane_width / 2, max(ours) + street.lane_width / 2, stop - 0.2, stop + 0.25)
        x = left.kerb + 0.3
        while x < right.kerb - 0.5:  # zebra
            mark(x, x + 0.5, stop + 1.2, stop + 4.0)
            x += 1.0
        for x in ours:
            _draw_arrow(canvas, dice, x, stop - 7, faded)
    elif dice.chance(0.2):
        _draw_arrow(canvas, dice, 0.0, dice.between(9, 16), faded)


def _draw_arrow(canvas: Canvas, dice: Dice, x: float, z: float, color: Color) -> None:
    shaft, head = z + 2.6, z + 4.2
    outline = [(-0.08, z), (-0.08, shaft), (-0.42, shaft), (0.0, head), (0.42, shaft), (0.08, shaft), (0.08, z)]
    _lay(canvas, [(x + dx, 0, dz) for dx, dz in outline], color, 0.08)
    if dice.chance(0.3):  # and a turn
        side = dice.pick((-1, 1))
        arm, tip = [(0.0, 0.9), (0.6, 1.6), (0.6, 2.0), (0.0, 1.4)], [(0.55, 1.2), (0.95, 2.0), (0.55, 2.4)]
        for outline in (arm, tip):
            _lay(canvas, [(x + side * dx, 0, z + dz) for dx, dz in outline], color, 0.08)
