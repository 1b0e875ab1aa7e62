"""Objects on road and pavement: the position of each, and the function that draws it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sparsekit.demo_data import furniture, signs, vehicles
from sparsekit.demo_data.body import Heading, Pose
from sparsekit.demo_data.canvas import Canvas
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.ground import Side, Street
from sparsekit.demo_data.nature import draw_tree
from sparsekit.demo_data.people import draw_person, draw_two_wheeler

#: Distance of an object from the camera, and the function that draws it; far objects are drawn first.
Item = tuple[float, Callable[[], None]]

_ROWS_OF_TREES = {"downtown": 0.25, "residential": 0.45, "boulevard": 0.9, "suburb": 0.55}
_MOST_GROUPS = {"downtown": 9, "residential": 3, "boulevard": 5, "suburb": 2}
_ALONG = {"car": 0.66, "truck": 0.08, "bus": 0.09, "motorcycle": 0.07, "bicycle": 0.1}
_ACROSS = {"car": 0.5, "truck": 0.12, "bus": 0.12, "motorcycle": 0.12, "bicycle": 0.14}
_LENGTHS = {"car": 4.6, "truck": 8.0, "bus": 12.0, "tram": 32.0, "motorcycle": 2.0, "bicycle": 1.8}


def place_all(canvas: Canvas, dice: Dice, street: Street) -> list[Item]:
    """Choose everything on road and pavement, far things first."""
    items: list[Item] = []
    for side in street.sides:
        items += _kerbside(canvas, dice, street, side)
        items += _parked(canvas, dice, street, side)
        items += _stands(canvas, dice, street, side)
        items += _pedestrians(canvas, dice, street, side)
    items += _traffic(canvas, dice, street)
    items += _crossing(canvas, dice, street)
    if dice.chance(0.06):
        z, (left, right) = dice.between(45, 90), street.sides
        items.append((z, partial(furniture.draw_bridge, canvas, dice.part(), z, left.line, right.line)))
    return sorted(items, key=lambda item: -item[0])


def _kerbside(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[Item]:
    """Lamps, trees, signs, clutter and railings along the kerb."""
    post = side.at(side.walk_start + 0.45 if not side.verge else side.parking + 0.6)
    items: list[Item] = []
    for z in _spread(dice, 7, street.end, 22, 34):
        items.append((z, partial(furniture.draw_lamp, canvas, dice.part(), post, z, side.sign)))
    if dice.chance(_ROWS_OF_TREES[street.kind]):
        tall = dice.between(5, 10)
        for z in _spread(dice, 8, street.end, 8, 15):
            height = tall * dice.between(0.85, 1.15)
            items.append((z, partial(draw_tree, canvas, dice.part(), post, z, height, autumn=street.autumn)))
    for z in _spread(dice, 6, 70, 10, 30):
        items.append((z, partial(signs.draw_sign, canvas, dice.part(), post, z)))
    for z in _spread(dice, 7, 60, 8, 26):
        x = side.at(side.walk_start + dice.between(0.5, side.walk - 0.4))
        items.append((z, partial(furniture.draw_clutter, canvas, dice.part(), x, z)))
    z = dice.between(8, 22)
    if side.verge and dice.chance(0.25):
        rail = partial(furniture.draw_guard_rail, canvas, dice.part(), side.at(side.parking + 0.3), z, z + 24)
        items.append((z + 24, rail))
    elif dice.chance(0.16):
        fence = partial(furniture.draw_fence, canvas, dice.part(), side.at(side.walk_start + 0.4), z, z + 14)
        items.append((z + 14, fence))
    return [item for item in items if not street.crosses(item[0], 4, 13)]


def _spread(dice: Dice, start: float, end: float, low: float, high: float) -> list[float]:
    """Distances from start to end with gaps between low and high."""
    spots, z = [], start + dice.between(0, high)
    while z < end:
        spots.append(z)
        z += dice.between(low, high)
    return spots


def _parked(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[Item]:
    """Cars that stand along the kerb, on the road or in the parking lane."""
    inner = [x for x, _ in street.lanes if x * side.sign > 0 or len(street.lanes) == 1]
    room = abs(side.kerb) - max((abs(x) + street.lane_width / 2 for x in inner), default=0.0)
    if not (side.parking or room > 1.8) or not dice.chance(0.8):
        return []
    x = side.at(1.15) if side.parking else side.at(-1.05)
    usual: Heading = "away" if side.sign > 0 else "towards"
    items: list[Item] = []
    density = dice.between(0.35, 0.95)
    z = dice.between(7, 14)
    while z < min(street.end, 90):
        if dice.chance(density) and not street.crosses(z, 8, 16):
            turned: Heading = "towards" if usual == "away" else "away"
            pose = Pose(x + dice.between(-0.12, 0.12), z, usual if dice.chance(0.92) else turned)
            kind = "truck" if dice.chance(0.05) else "car"
            items.append((z, _vehicle(canvas, dice, kind, pose)))
            z += _LENGTHS[kind] - _LENGTHS["car"]
        z += dice.between(5.3, 6.4)
    return items


def _stands(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[Item]:
    """Bicycles and motorcycles left on the pavement."""
    items: list[Item] = []
    for motor, share in ((False, 0.55), (True, 0.3)):
        if not dice.chance(share):
            continue
        start = dice.between(8, 26)
        heading: Heading = dice.pick(("left", "right", "away", "towards"))
        for k in range(dice.integer(1, 5)):
            x = side.at(side.walk_start + dice.between(0.7, max(0.8, side.walk - 0.8)))
            z = start + k * (0.75 if heading in ("left", "right") else 2.1)
            pose = Pose(x, z, heading)
            if not street.crosses(z, 2, 12):
                items.append((z, partial(draw_two_wheeler, canvas, dice.part(), pose, motor=motor, ridden=False)))
    return items


def _pedestrians(canvas: Canvas, dice: Dice, street: Street, side: Side) -> list[Item]:
    """People on the pavement, alone or in company."""
    items: list[Item] = []
    for _ in range(dice.integer(0, _MOST_GROUPS[street.kind])):
        z = 7 + 45 * dice.uniform() * dice.between(0.4, 1)
        x = side.at(side.walk_start + dice.between(0.5, max(0.6, side.walk - 0.4)))
        if street.crossing and street.crosses(z, 0, 9):
            z = street.crossing - dice.between(0.5, 3)
        for k in range(dice.pick((1, 1, 2, 3))):
            person = partial(draw_person, canvas, dice.part(), x + 0.62 * k * side.sign, z + 0.3 * k)
            items.append((z + 0.3 * k, person))
    return items


def _traffic(canvas: Canvas, dice: Dice, street: Street) -> list[Item]:
    """Moving traffic: mostly cars, in their lanes, with gaps between them."""
    items: list[Item] = []
    jam = dice.between(0.15, 0.8)
    for x, away in street.lanes:
        heading: Heading = "away" if away else "towards"
        kinds = _ALONG | ({"tram": 0.2} if x in street.rails else {})
        own = abs(x) < street.lane_width / 2
        z = dice.between(13, 34) if own else dice.between(8, 22)
        while z < street.end - 5:
            kind = dice.weighted(kinds)
            length = _LENGTHS[kind]
            aside = {"tram": 0.0, "bicycle": 0.9 if away else -0.9}.get(kind, dice.between(-0.25, 0.25))
            blocked = street.crossing and z < street.crossing + 10 and z + length > street.crossing - 5
            if dice.chance(jam) and not blocked:
                middle = z + length / 2
                items.append((middle, _vehicle(canvas, dice, kind, Pose(x + aside, middle, heading))))
                z += length
            z += dice.between(4, 16)
    return items


def _vehicle(canvas: Canvas, dice: Dice, kind: str, pose: Pose) -> Callable[[], None]:
    draw = {
        "car": vehicles.draw_car,
        "truck": vehicles.draw_truck,
        "bus": vehicles.draw_bus,
        "tram": vehicles.draw_tram,
    }
    if kind in draw:
        return partial(draw[kind], canvas, dice.part(), pose)
    return partial(draw_two_wheeler, canvas, dice.part(), pose, motor=kind == "motorcycle", ridden=True)


def _crossing(canvas: Canvas, dice: Dice, street: Street) -> list[Item]:
    """Traffic lights, people on the zebra, and vehicles that cross."""
    if not street.crossing:
        return []
    items: list[Item] = []
    stop, (left, right) = street.crossing - 4.5, street.sides
    for side in street.sides:
        x = side.at(side.walk_start + 0.5)
        for z in (stop + 0.6, street.crossing + 11):
            if dice.chance(0.8):
                items.append((z, partial(signs.draw_traffic_light, canvas, dice.part(), x, z, side.sign)))
    for _ in range(dice.integer(0, 4)):
        x, z = dice.between(left.kerb, right.kerb), stop + dice.between(1.4, 3.8)
        items.append((z, partial(draw_person, canvas, dice.part(), x, z)))
    ways: tuple[tuple[Heading, float], ...] = (("right", 2.6), ("left", 6.6))
    for heading, lane in ways:
        if dice.chance(0.55):
            z = street.crossing + lane
            pose = Pose(dice.between(left.kerb - 4, right.kerb + 4), z, heading)
            items.append((z, _vehicle(canvas, dice, dice.weighted(_ACROSS), pose)))
    return items
