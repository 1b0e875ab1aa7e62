"""A vehicle's body in its own coordinates: hull, panels on its sides and ends, wheels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sparsekit.demo_data.canvas import Canvas, Place, Point
from sparsekit.demo_data.dice import Color, scale
from sparsekit.demo_data.light import Face
from sparsekit.demo_data.shapes import CIRCLE

Heading = Literal["away", "towards", "right", "left"]
Part = Literal["rear", "fore", "right", "left", "up"]
End = Literal["rear", "fore"]

# Steps in x and z for a metre forward, and for a metre to the vehicle's own right.
_AXES: dict[Heading, tuple[tuple[int, int], tuple[int, int]]] = {
    "away": ((0, 1), (1, 0)),
    "towards": ((0, -1), (-1, 0)),
    "right": ((1, 0), (0, -1)),
    "left": ((-1, 0), (0, 1)),
}
_FACES: dict[Heading, dict[Part, Face]] = {
    "away": {"rear": "front", "fore": "away", "right": "east", "left": "west", "up": "up"},
    "towards": {"rear": "away", "fore": "front", "right": "west", "left": "east", "up": "up"},
    "right": {"rear": "west", "fore": "east", "right": "front", "left": "away", "up": "up"},
    "left": {"rear": "east", "fore": "west", "right": "away", "left": "front", "up": "up"},
}

TYRE: Color = (34, 34, 36)
RIM: Color = (150, 152, 156)


@dataclass(frozen=True)
class Pose:
    """Position and direction of a vehicle.

    Args:
        x: x of its middle.
        z: z of its middle.
        heading: Where it drives to.
    """

    x: float
    z: float
    heading: Heading


@dataclass(frozen=True)
class Station:
    """A line across the hull: metres from the rear end, height, half the width there, and the skin up to the next one.

    Args:
        a: Metres from the rear end.
        y: Height.
        half: Half the width.
        color: Colour of the skin from here to the next station.
        part: Where that skin looks.
    """

    a: float
    y: float
    half: float
    color: Color
    part: Part


class Body:
    """Draws the parts of one vehicle that the camera sees.

    Args:
        canvas: Where to draw; the vehicle's instance has been started.
        pose: Where it stands.
        length: From rear to front, in metres.
    """

    def __init__(self, canvas: Canvas, pose: Pose, length: float) -> None:
        self.canvas = canvas
        self.pose = pose
        self.length = length

    def at(self, a: float, b: float, y: float) -> Place:
        """The place a metres from the rear end, b metres to the right of the middle, y metres up."""
        (fx, fz), (rx, rz) = _AXES[self.pose.heading]
        a -= self.length / 2
        return self.pose.x + fx * a + rx * b, y, self.pose.z + fz * a + rz * b

    def face(self, part: Part) -> Face:
        """Direction that a part of the vehicle faces in the world."""
        return _FACES[self.pose.heading][part]

    def panel(
        self, outline: Sequence[tuple[float, float, float]], color: Color, part: Part, shade: float = 0.0
    ) -> bool:
        """Fill a polygon of (a, b, y) corners, given rear left end first, if its outer side is seen; tell whether."""
        places = [self.at(*corner) for corner in outline]
        if _area([self.canvas.camera.project(place) for place in places]) >= 0:
            return False
        self.canvas.surface(places, color, self.face(part), shade=shade)
        return True

    def hull(self, stations: Sequence[Station]) -> None:
        """Fill the skin between stations, which run from the lower rear edge over the roof to the lower front edge."""
        pairs = list(pairwise(stations))
        for s, t in sorted(pairs, key=lambda pair: -self.at((pair[0].a + pair[1].a) / 2, 0, 0)[2]):
            corners = [(s.a, -s.half, s.y), (s.a, s.half, s.y), (t.a, t.half, t.y), (t.a, -t.half, t.y)]
            self.panel(corners, s.color, s.part, shade=0.2 if s.part != "up" else 0.0)

    def sides(self, outline: Sequence[tuple[float, float, float]], color: Color, shade: float = 0.0) -> int:
        """Fill a polygon of (a, y, half width) corners, clockwise from the lower rear, on the side that is seen.

        Returns:
            1 for the right side, -1 for the left one, 0 where neither is seen.
        """
        if self.panel([(a, half, y) for a, y, half in reversed(outline)], color, "right", shade):
            return 1
        return -1 if self.panel([(a, -half, y) for a, y, half in outline], color, "left", shade) else 0

    def side_panel(
        self, a0: float, a1: float, y0: float, y1: float, half: float, color: Color, shade: float = 0.0
    ) -> None:
        """Fill a rectangle on the side that is seen."""
        self.sides([(a0, y0, half), (a0, y1, half), (a1, y1, half), (a1, y0, half)], color, shade)

    def end_panel(
        self, part: End, b0: float, b1: float, y0: float, y1: float, color: Color, *,
        glow: bool = False, shade: float = 0.0, inset: float = 0.0,
    ) -> None:  # fmt: skip
        """Fill a rectangle on the rear or front end, if that end is seen."""
        a = inset if part == "rear" else self.length - inset
        corners = [(a, b0, y0), (a, b1, y0), (a, b1, y1), (a, b0, y1)]
        places = [self.at(*corner) for corner in corners]
        towards = _area([self.canvas.camera.project(place) for place in places])
        if (towards < 0) == (part == "rear") and towards:
            self.canvas.surface(places, color, "glow" if glow else self.face(part), shade=shade)

    def wheel(self, a: float, radius: float, half: float, side: int) -> None:
        """Draw a wheel on the side that is seen."""
        self.disc(a, radius * 1.16, radius, half * side, (20, 20, 22))
        self.disc(a, radius, radius, half * side, TYRE)
        self.disc(a, radius * 0.64, radius, half * side, RIM)
        self.disc(a, radius * 0.50, radius, half * side, (108, 110, 114))
        self.disc(a, radius * 0.18, radius, half * side, RIM)

    def disc(self, a: float, radius: float, y: float, b: float, color: Color) -> None:
        """Fill a disc that stands upright along the vehicle."""
        step = 2 if self.canvas.meters(self.pose.z) * radius > 12 else 4
        places = [self.at(a + radius * p, b, max(0.0, y + radius * q)) for p, q in CIRCLE[::step]]
        self.canvas.surface(places, color, self.face("right" if b > 0 else "left"))

    def ground_shadow(self, half: float, height: float) -> None:
        """Darken the ground below, and where the sun does not reach it."""
        light = self.canvas.light
        ends = [
            self.at(0, -half, 0),
            self.at(0, half, 0),
            self.at(self.length, half, 0),
            self.at(self.length, -half, 0),
        ]
        dx, dz = light.cast[0] * height, light.cast[1] * height
        if light.shadow > 0.1:
            near = 1.0  # never behind the camera
            moved = [(x + dx, 0.0, max(near, z + dz)) for x, _, z in ends]
            for i in range(4):  # the swept outline, one wall of the box after the other
                j = (i + 1) % 4
                self.canvas.darken([ends[i], ends[j], moved[j], moved[i]], light.shadow)
            self.canvas.darken(moved, light.shadow)
        self.canvas.darken([self.at(a, b, 0) for a, b in _grown(self.length, half, 0.25)], 0.3)
        self.canvas.darken([self.at(a, b, 0) for a, b in _grown(self.length, half, 0.1)], 0.5)
        self.canvas.darken(ends, 0.72)

    def underside(self, half: float, axles: Sequence[float], radius: float) -> None:
        """Draw what is seen below the hull: darkness, and the tyres of each axle from behind or in front."""
        corners = ((-half, radius * 0.9), (half, radius * 0.9), (half, 0.12), (-half, 0.12))
        self.canvas.surface([self.at(0.5, b, y) for b, y in corners], (26, 26, 28), "front")
        for a in sorted(axles, key=lambda a: -self.at(a, 0, 0)[2]):
            near = a - radius if self.at(0, 0, 0)[2] < self.at(1, 0, 0)[2] else a + radius
            for b in (-half + 0.12, half - 0.12):
                tyre = [self.at(near, b + d, y) for d, y in ((-0.11, 0), (0.11, 0), (0.11, radius), (-0.11, radius))]
                self.canvas.surface(tyre, scale(TYRE, 0.85), "front")


def _grown(length: float, half: float, margin: float) -> list[Point]:
    a, b = length + margin, half + margin
    return [(-margin, -b), (-margin, b), (a, b), (a, -b)]


def _area(points: Sequence[Point]) -> float:
    """Twice the area that a polygon encloses, negative where its corners run against the clock as seen."""
    total = 0.0
    for (u, v), (s, t) in zip(points, [*points[1:], points[0]], strict=True):
        total += u * t - s * v
    return total
