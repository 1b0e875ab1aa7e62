"""One street scene: what stands where, drawn from far to near."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data import furniture, labels, nature, people, vehicles
from sparsekit.demo_data.body import Heading, Pose
from sparsekit.demo_data.buildings import draw_building, draw_row
from sparsekit.demo_data.canvas import FINE, Camera, Canvas
from sparsekit.demo_data.develop import develop
from sparsekit.demo_data.dice import Dice, scale
from sparsekit.demo_data.ground import Side, Street, draw_ground, draw_plan
from sparsekit.demo_data.light import draw_light
from sparsekit.demo_data.shapes import ellipse

#: Smallest side of a picture, in pixels.
SMALLEST = 16

# Distance of the far end of a thing from the camera and what draws it.
_Item = tuple[float, Callable[[], None]]


@dataclass(frozen=True)
class Scene:
    """A drawn scene.

    Args:
        image: RGB, uint8, shape (H, W, 3).
        label_ids: Cityscapes ids 0..33, uint8, shape (H, W).
        instance_ids: The id, or id * 1000 + number for countable things, uint16, shape (H, W).
    """

    image: NDArray[np.uint8]
    label_ids: NDArray[np.uint8]
    instance_ids: NDArray[np.uint16]


def draw_scene(width: int, height: int, seed: int, image_id: str) -> Scene:
    """Draw a street scene; equal arguments give equal pixels on every machine.

    Args:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        seed: The user's seed.
        image_id: Names the scene's own random stream.

    Raises:
        ValueError: If a side is below ``SMALLEST``.
    """
    if min(width, height) < SMALLEST:
        raise ValueError(f"size must be at least {SMALLEST}x{SMALLEST}, got {width}x{height}.")
    dice = Dice(seed, image_id, "demo scene")
    light, street = draw_light(dice), draw_plan(dice)
    camera = Camera(
        focal=1.1 * FINE * max(width, height),
        column=FINE * width * dice.between(0.42, 0.58),
        horizon=FINE * height * dice.between(0.38, 0.47),
        height=dice.between(1.25, 1.6),
        bend=dice.between(-0.0012, 0.0012) if dice.chance(0.6) else 0.0,
    )
    canvas = Canvas(width, height, camera, light, labels.SKY)
    autumn = dice.chance(0.25)
    _draw_background(canvas, dice, street, autumn)
    draw_ground(canvas, dice, street)
    for side in street.sides:
        _draw_frontage(canvas, dice, street, side, autumn)
    items: list[_Item] = []
    for side in street.sides:
        items += _kerbside(canvas, dice, street, side, autumn)
        items += _pedestrians(canvas, dice, street, side)
    items += _traffic(canvas, dice, street)
    items += _crossing(canvas, dice, street)
    if dice.chance(0.06):
        z, (left, right) = dice.between(45, 90), street.sides
        items.append((z, lambda: furniture.draw_bridge(canvas, dice, z, left.line, right.line)))
    for _, draw in sorted(items, key=lambda item: -item[0]):
        draw()
    _draw_hood(canvas, dice)
    layers = canvas.finish()
    image = develop(layers, camera, light, dice)
    _add_void(layers.label_ids, layers.instance_ids)
    return Scene(image, layers.label_ids, layers.instance_ids)


def _draw_background(canvas: Canvas, dice: Dice, street: Street, autumn: bool) -> None:
    """What closes the view: woods on the horizon, then houses or trees across the end of the street."""
    nature.draw_skyline(canvas, dice, 320, dice.between(9, 22))
    if street.kind == "downtown" or dice.chance(0.4):
        draw_row(canvas, dice, street.kind, -70, 70, street.end + 25)
    else:
        for _ in range(14):
            z = street.end + dice.between(14, 30)
            nature.draw_tree(canvas, dice, dice.between(-45, 45), z, dice.between(7, 14), autumn=autumn)


def _draw_frontage(canvas: Canvas, dice: Dice, street: Street, side: Side, autumn: bool) -> None:
    """Buildings, gardens, walls and fences behind the pavement, from far to near."""
    weights = {
        "downtown": {"building": 0.84, "park": 0.06, "wall": 0.05, "lot": 0.05},
        "residential": {"building": 0.3, "house": 0.4, "park": 0.12, "wall": 0.1, "hedge": 0.08},
        "boulevard": {"building": 0.55, "park": 0.27, "wall": 0.08, "hedge": 0.1},
        "suburb": {"house": 0.25, "park": 0.34, "wall": 0.14, "hedge": 0.12, "lot": 0.15},
    }[street.kind]
    spans: list[tuple[float, float]] = []
    z = dice.between(-2, 6)
    while z < street.end:
        length = dice.between(9, 24)
        spans.append((max(2.0, z), z + length))
        z += length + (dice.between(1, 4) if street.kind != "downtown" else 0)
    for z0, z1 in reversed(spans):
        if street.crossing and z1 > street.crossing - 3 and z0 < street.crossing + 12:
            z0, z1 = (z0, street.crossing - 3) if z0 < street.crossing - 6 else (street.crossing + 12, z1)
            if z1 - z0 < 3:
                continue
        if z1 <= 2.5:
            continue
        kind = dice.weighted(weights)
        if kind == "building":
            _building_shadow(canvas, side, z0, z1, 12.0)
            draw_building(canvas, dice, side, street.kind, z0, z1, 0.0)
        elif kind == "house":
            setback = dice.between(3, 7)
            draw_building(canvas, dice, side, street.kind, z0 + 0.1 * (z1 - z0), z1 - 0.1 * (z1 - z0), setback)
            _draw_garden(canvas, dice, side, z0, z1, autumn, trees=2, depth=setback)
        elif kind == "wall":
            _draw_trees_behind(canvas, dice, side, z0, z1, autumn)
            furniture.draw_wall(canvas, dice, side.line, z0, z1, side.sign)
        elif kind == "hedge":
            _draw_trees_behind(canvas, dice, side, z0, z1, autumn)
            nature.draw_hedge(canvas, dice, side.line, z0, z1, dice.pick((1.1, 1.6, 2.4, 5.0)), side.sign)
        elif kind == "park":
            _draw_garden(canvas, dice, side, z0, z1, autumn, trees=7, depth=14)
        else:  # a lot: tarmac with a building far back
            draw_building(canvas, dice, side, street.kind, z0, z1, dice.between(10, 16))
            if dice.chance(0.7):
                furniture.draw_fence(canvas, dice, side.line, z0, z1)


def _building_shadow(canvas: Canvas, side: Side, z0: float, z1: float, height: float) -> None:
    dx, dz = (step * height for step in canvas.light.cast)
    if canvas.light.shadow < 0.1 or dx * side.sign >= 0:
        return  # no sun, or the shadow falls away from the street
    x = side.line
    far0, far1 = max(1.0, z0 + dz), max(1.0, z1 + dz)
    canvas.darken([(x, 0, z0), (x, 0, z1), (x + dx, 0, far1), (x + dx, 0, far0)], canvas.light.shadow)


def _draw_trees_behind(canvas: Canvas, dice: Dice, side: Side, z0: float, z1: float, autumn: bool) -> None:
    for _ in range(dice.integer(1, 4)):
        x = side.line + side.sign * dice.between(2.5, 9)
        nature.draw_tree(canvas, dice, x, dice.between(z0, z1), dice.between(5, 12), autumn=autumn)


def _draw_garden(
    canvas: Canvas, dice: Dice, side: Side, z0: float, z1: float, autumn: bool, *, trees: int, depth: float
) -> None:
    """Lawn with trees and bushes, and on request a fence, a low wall or a hedge in front."""
    spots = sorted((dice.between(z0, z1) for _ in range(trees + 3)), reverse=True)
    for k, z in enumerate(spots):
        x = side.line + side.sign * dice.between(1.2, depth)
        if k % 3 == 2:
            nature.draw_bush(canvas, dice, x, z, dice.between(0.8, 2.2))
        elif trees > 3 or depth > 5 or dice.chance(0.4):
            nature.draw_tree(canvas, dice, x, z, dice.between(5, 13), autumn=autumn)
    for _ in range(6):
        nature.draw_tufts(canvas, dice, side.line, side.line + side.sign * 5, dice.between(z0, z1))
    border = dice.weighted({"fence": 0.4, "wall": 0.16, "hedge": 0.18, "none": 0.26})
    if border == "fence":
        furniture.draw_fence(canvas, dice, side.line, z0, z1)
    elif border == "wall":
        furniture.draw_wall(canvas, dice, side.line, z0, z1, side.sign)
    elif border == "hedge":
        nature.draw_hedge(canvas, dice, side.line, z0, z1, dice.between(0.8, 1.8), side.sign)


def _kerbside(canvas: Canvas, dice: Dice, street: Street, side: Side, autumn: bool) -> list[_Item]:
    """Lamps, trees, signs, clutter, and what is parked along the kerb."""
    items: list[_Item] = []
    post = side.at(side.walk_start + 0.45 if not side.verge else side.parking + 0.6)

    def put(z: float, draw: Callable[[float], None]) -> None:
        if not (street.crossing and street.crossing - 4 < z < street.crossing + 13):
            items.append((z, lambda: draw(z)))

    for z in _spread(dice, 7, street.end, 22, 34):
        put(z, lambda z: furniture.draw_lamp(canvas, dice, post, z, side.sign))
    rows_of_trees = {"downtown": 0.25, "residential": 0.45, "boulevard": 0.9, "suburb": 0.55}[street.kind]
    if dice.chance(rows_of_trees):
        tall = dice.between(5, 10)
        for z in _spread(dice, 8, street.end, 8, 15):
            put(z, lambda z: nature.draw_tree(canvas, dice, post, z, tall * dice.between(0.85, 1.15), autumn=autumn))
    for z in _spread(dice, 6, 70, 10, 30):
        put(z, lambda z: furniture.draw_sign(canvas, dice, post, z))
    for z in _spread(dice, 7, 60, 8, 26):
        x = side.at(side.walk_start + dice.between(0.5, side.walk - 0.4))
        put(z, lambda z, x=x: furniture.draw_clutter(canvas, dice, x, z))  # type: ignore[misc]
    if side.verge and dice.chance(0.25):
        z = dice.between(8, 25)
        put(z + 24, lambda _: furniture.draw_guard_rail(canvas, dice, side.at(side.parking + 0.3), z, z + 24))
    elif dice.chance(0.16):  # a railing along the kerb
        z0 = dice.between(9, 20)
        put(z0 + 14, lambda _: furniture.draw_fence(canvas, dice, side.at(side.walk_start + 0.4), z0, z0 + 14))
    items += _parked(canvas, dice, street, side)
    items += _stands(canvas, dice, street, side)
    return items


def _spread(dice: Dice, start: float, end: float, low: float, high: float) -> list[float]:
    """Distances from start to end with gaps between low and high."""
    spots, z = [], start + dice.between(0, high)
    while z < end:
        spots.append(z)
        z += dice.between(low, high)
    return spots


def _parked(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[_Item]:
    """Cars that stand along the kerb, on the road or in the parking lane."""
    inner = [x for x, _ in street.lanes if x * side.sign > 0 or len(street.lanes) == 1]
    room = abs(side.kerb) - max((abs(x) + street.lane_width / 2 for x in inner), default=0.0)
    if not (side.parking or room > 1.8) or not dice.chance(0.8):
        return []
    x = side.at(1.15) if side.parking else side.at(-1.05)
    heading: Heading = "away" if side.sign > 0 else "towards"
    items: list[_Item] = []
    density = dice.between(0.35, 0.95)
    z = dice.between(7, 14)
    while z < min(street.end, 90):
        blocked = street.crossing and street.crossing - 8 < z < street.crossing + 16
        if dice.chance(density) and not blocked:
            pose = Pose(x + dice.between(-0.12, 0.12), z, heading if dice.chance(0.92) else _turned(heading))
            draw = vehicles.draw_truck if dice.chance(0.05) else vehicles.draw_car
            items.append((z, lambda draw=draw, pose=pose: draw(canvas, dice, pose)))  # type: ignore[misc]
            z += 3.4 if draw is vehicles.draw_truck else 0
        z += dice.between(5.3, 6.4)
    return items


def _turned(heading: Heading) -> Heading:
    return "towards" if heading == "away" else "away"


def _stands(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[_Item]:
    """Bicycles and motorcycles left on the pavement."""
    items: list[_Item] = []
    for motor, share in ((False, 0.55), (True, 0.3)):
        if not dice.chance(share):
            continue
        z = dice.between(8, 26)
        heading: Heading = dice.pick(("left", "right", "away", "towards"))
        for k in range(dice.integer(1, 5)):
            x = side.at(side.walk_start + dice.between(0.7, max(0.8, side.walk - 0.8)))
            spot = z + k * (0.75 if heading in ("left", "right") else 2.1)
            if street.crossing and street.crossing - 2 < spot < street.crossing + 12:
                continue
            pose = Pose(x, spot, heading)
            items.append((spot, lambda pose=pose, motor=motor: people.draw_two_wheeler(  # type: ignore[misc]
                canvas, dice, pose, motor=motor, ridden=False)))  # fmt: skip
    return items


def _pedestrians(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[_Item]:
    busy = {"downtown": 9, "residential": 3, "boulevard": 5, "suburb": 2}[street.kind]
    items: list[_Item] = []
    for _ in range(dice.integer(0, busy)):
        z = 7 + 45 * dice.uniform() * dice.between(0.4, 1)
        x = side.at(side.walk_start + dice.between(0.5, max(0.6, side.walk - 0.4)))
        if street.crossing and street.crossing < z < street.crossing + 9:
            z = street.crossing - dice.between(0.5, 3)
        for k in range(dice.pick((1, 1, 2, 3))):  # alone or in company
            spot = z + 0.3 * k
            items.append((spot, lambda x=x + 0.62 * k * side.sign, z=spot: people.draw_person(canvas, dice, x, z)))  # type: ignore[misc]
    return items


def _traffic(canvas: Canvas, dice: Dice, street: Street) -> list[_Item]:
    """What drives: cars mostly, in their lanes, with room between them."""
    items: list[_Item] = []
    jam = dice.between(0.15, 0.8)
    weights: dict[str, float] = {"car": 0.66, "truck": 0.08, "bus": 0.09, "motorcycle": 0.07, "bicycle": 0.1}
    for x, away in street.lanes:
        heading: Heading = "away" if away else "towards"
        kinds = weights | ({"tram": 0.2} if street.rails and x in street.rails else {})
        own = abs(x) < street.lane_width / 2
        z = dice.between(13, 34) if own else dice.between(8, 22)
        while z < street.end - 5:
            kind = dice.weighted(kinds)
            room = {"car": 4.6, "truck": 8.0, "bus": 12.0, "tram": 32.0, "motorcycle": 2.0, "bicycle": 1.8}[kind]
            middle = z + room / 2
            blocked = street.crossing and z < street.crossing + 10 and z + room > street.crossing - 5
            if dice.chance(jam) and not blocked:
                aside = (0.9 if away else -0.9) if kind == "bicycle" else dice.between(-0.25, 0.25)
                pose = Pose(x + (0.0 if kind == "tram" else aside), middle, heading)
                items.append((middle, _driver(canvas, dice, kind, pose)))
                z += room
            z += dice.between(4, 16)
    return items


def _driver(canvas: Canvas, dice: Dice, kind: str, pose: Pose) -> Callable[[], None]:
    draw = {
        "car": vehicles.draw_car,
        "truck": vehicles.draw_truck,
        "bus": vehicles.draw_bus,
        "tram": vehicles.draw_tram,
    }
    if kind in draw:
        return lambda: draw[kind](canvas, dice, pose)
    return lambda: people.draw_two_wheeler(canvas, dice, pose, motor=kind == "motorcycle", ridden=True)


def _crossing(canvas: Canvas, dice: Dice, street: Street) -> list[_Item]:
    """Traffic lights, people on the zebra, and vehicles that cross."""
    if not street.crossing:
        return []
    items: list[_Item] = []
    stop, (left, right) = street.crossing - 4.5, street.sides
    for side in street.sides:
        x = side.at(side.walk_start + 0.5)
        for z in (stop + 0.6, street.crossing + 11):
            if dice.chance(0.8):
                items.append((z, lambda x=x, z=z, s=side.sign: furniture.draw_traffic_light(canvas, dice, x, z, s)))  # type: ignore[misc]
    for _ in range(dice.integer(0, 4)):
        x, z = dice.between(left.kerb, right.kerb), stop + dice.between(1.4, 3.8)
        items.append((z, lambda x=x, z=z: people.draw_person(canvas, dice, x, z)))  # type: ignore[misc]
    heading: Heading
    for heading, z in (("right", street.crossing + 2.6), ("left", street.crossing + 6.6)):
        if dice.chance(0.55):
            kind = dice.weighted({"car": 0.5, "bus": 0.12, "truck": 0.12, "bicycle": 0.14, "motorcycle": 0.12})
            pose = Pose(dice.between(left.kerb - 4, right.kerb + 4), z, heading)
            items.append((z, _driver(canvas, dice, kind, pose)))
    return items


def _draw_hood(canvas: Canvas, dice: Dice) -> None:
    """The bonnet of the car that carries the camera, which is void in Cityscapes."""
    canvas.start(labels.EGO_VEHICLE)
    height, width = canvas.size
    rise = height * dice.between(0.055, 0.10)
    paint = dice.vary(dice.pick(((58, 62, 68), (36, 38, 44), (82, 84, 88), (44, 52, 66))), 0.2)
    middle = (canvas.camera.column, height + rise * 0.55)
    for share, tone in ((1.0, 0.55), (0.975, 1.0), (0.82, 0.9), (0.5, 0.8)):
        outline = ellipse(middle, width * 0.62 * (0.5 + 0.5 * share), rise * 1.55 * share)
        canvas.fill(outline, scale(paint, tone), "up", 1.0, shade=0.6)


def _add_void(label_ids: NDArray[np.uint8], instance_ids: NDArray[np.uint16]) -> None:
    """Void as in Cityscapes: a line between touching things of one class, and the frame that rectification leaves."""
    height, width = label_ids.shape
    touching = np.zeros((height, width), bool)
    for here, there in (((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
                        ((slice(None, -1), slice(None)), (slice(1, None), slice(None)))):  # fmt: skip
        touching[here] |= (instance_ids[here] != instance_ids[there]) & (label_ids[here] == label_ids[there])
    label_ids[touching] = instance_ids[touching] = labels.UNLABELED
    frame = max(1, round(max(width, height) / 400))
    for ids in (label_ids, instance_ids):
        ids[:frame], ids[-frame:], ids[:, -frame:] = (labels.OUT_OF_ROI,) * 3
        ids[:, :frame] = labels.RECTIFICATION_BORDER
