"""One street scene, drawn from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data import labels
from sparsekit.demo_data.canvas import FINE, Camera, Canvas
from sparsekit.demo_data.develop import develop
from sparsekit.demo_data.dice import Dice, scale
from sparsekit.demo_data.frontage import draw_background, draw_frontage
from sparsekit.demo_data.ground import draw_ground, draw_plan
from sparsekit.demo_data.light import draw_light
from sparsekit.demo_data.placement import place_all
from sparsekit.demo_data.shapes import ellipse

#: Shortest and longest side of an image, in pixels; the largest take minutes and gigabytes.
SMALLEST, LARGEST = 16, 4096


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


def check_size(width: int, height: int) -> None:
    """Reject images that are too small or too large for a scene.

    Raises:
        ValueError: If a side is below ``SMALLEST`` or above ``LARGEST``.
    """
    if not SMALLEST <= min(width, height) <= max(width, height) <= LARGEST:
        raise ValueError(
            f"size must be at least {SMALLEST}x{SMALLEST} and at most {LARGEST}x{LARGEST}, got {width}x{height}."
        )


def draw_scene(width: int, height: int, seed: int, image_id: str) -> Scene:
    """Draw a street scene; equal arguments give equal pixels on every machine, and any size shows the same scene.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        seed: The user's seed.
        image_id: Names the scene's own random stream.

    Raises:
        ValueError: If the image is too small or too large; see ``check_size``.
    """
    check_size(width, height)
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
    draw_background(canvas, dice, street)
    draw_ground(canvas, dice.part(), street)
    for side in street.sides:
        draw_frontage(canvas, dice, street, side)
    for _, draw in place_all(canvas, dice, street):
        draw()
    _draw_hood(canvas, dice)
    layers = canvas.finish()
    image = develop(layers, camera, light, dice.part())
    _add_void(layers.label_ids, layers.instance_ids)
    return Scene(image, layers.label_ids, layers.instance_ids)


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
