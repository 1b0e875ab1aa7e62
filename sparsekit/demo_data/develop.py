"""From surfaces to a photograph: sky, texture, shadows, haze, wet roads, the camera's blur and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data.canvas import FINE, Camera, Layers
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.light import Light

#: Float32, shape (H, W) or (H, W, 3), or one row or column that broadcasts.
Plane = NDArray[np.floating[Any]]

_TILE = 128  # a power of two
# Brightness of a shadowed place comes from the blue sky.
_SHADOW_TINT = np.array([1.0, 0.97, 0.86], np.float32)


def develop(layers: Layers, camera: Camera, light: Light, dice: Dice) -> NDArray[np.uint8]:
    """Turn a finished canvas into an image.

    Args:
        layers: The finished canvas.
        camera: The camera it was drawn with.
        light: Its weather and time of day.
        dice: Chooses texture and noise.

    Returns:
        RGB, uint8, shape (H, W, 3).
    """
    height, width = layers.sky.shape
    # Pixel middles in fractions of the focal length, right of and below the vanishing point.
    across = ((np.arange(width, dtype=np.float32) + 0.5) * FINE - camera.column) / camera.focal
    down = ((np.arange(height, dtype=np.float32) + 0.5) * FINE - camera.horizon) / camera.focal
    noise = _Noise(dice)
    image: Plane = layers.color * _surface_texture(layers, noise)[..., None]
    ground = int(np.count_nonzero(down <= 0))  # first row below the horizon
    _add_sky(image[:ground], layers.sky[:ground], across, down[:ground], light, noise)
    image[ground:] += layers.sky[ground:, :, None] * np.array(light.air, np.float32)
    _finish_ground(image[ground:], layers, ground, across, down[ground:], camera, light, noise)
    if light.weather.wet:
        _mirror(image, layers.ground, ground, light.weather.wet, noise)
    image *= _exposure(image) * np.array(light.exposure, np.float32)
    image *= (1 - 0.35 * (across[None, :, None] ** 2 + down[:, None, None] ** 2)).astype(np.float32)
    image = _blur(image, np.float32(dice.between(0.15, 0.75)))
    _add_sensor_noise(image, dice, dice.between(1.2, 3.0) + (2.0 if light.name in ("dusk", "rain") else 0.0))
    return np.rint(np.clip(_tone(image), 0, 255)).astype(np.uint8)


class _Noise:
    """A tile of smooth random values that can be read anywhere, repeating."""

    def __init__(self, dice: Dice) -> None:
        self._tile = dice.noise_bytes(_TILE * _TILE).astype(np.float32) / np.float32(255)

    def read(self, rows: Plane, columns: Plane) -> Plane:
        """Values around 0.5 at places in units of the tile's cells; the arrays broadcast."""
        top, left = np.floor(rows), np.floor(columns)
        a, b = rows - top, columns - left
        a, b = (t * t * np.float32(3) - t * t * t * np.float32(2) for t in (a, b))
        r0, c0 = top.astype(np.int32) & (_TILE - 1), left.astype(np.int32) & (_TILE - 1)
        r1, c1 = (r0 + 1) & (_TILE - 1), (c0 + 1) & (_TILE - 1)
        upper, lower = (
            self._tile.take(r * _TILE + c0) * (1 - b) + self._tile.take(r * _TILE + c1) * b for r in (r0, r1)
        )
        mixed: Plane = upper + (lower - upper) * a
        return mixed

    def octaves(self, rows: Plane, columns: Plane, count: int) -> Plane:
        """Several scales of noise on top of each other, each half as strong and half as wide as the last."""
        total = self.read(rows, columns)
        weight, whole = np.float32(1), np.float32(1)
        for _ in range(count - 1):
            rows, columns = rows * 2 + 17, columns * 2 + 31
            weight = weight / 2
            whole += weight
            total = total + weight * self.read(rows, columns)
        return total / whole


def _surface_texture(layers: Layers, noise: _Noise) -> Plane:
    height, width = layers.sky.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    unit = np.float32(512 / max(width, 2 * height))  # textures keep their size in the scene, not in pixels
    grain = noise.read(rows * np.float32(0.83), columns * np.float32(0.83)) - np.float32(0.5)
    mottle = noise.octaves(rows * unit * np.float32(0.13), columns * unit * np.float32(0.13), 2) - np.float32(0.5)
    texture: Plane = layers.shade * (1 + layers.grain * grain) * (1 + 2 * layers.mottle * mottle)
    return texture


def _add_sky(image: Plane, share: Plane, across: Plane, down: Plane, light: Light, noise: _Noise) -> None:
    """Add the sky above the horizon where it shows: a gradient, the glow towards the sun, and clouds."""
    if not share.any():
        return
    up = -down[:, None]
    horizon, zenith = (np.array(c, np.float32) for c in (light.weather.horizon, light.weather.zenith))
    rise = (up / (up + np.float32(0.16)))[..., None]
    sky = horizon + (zenith - horizon) * rise
    side = across[None, :] - np.float32(light.sun_side * 0.6)
    glow = np.float32(0.16 if light.weather.sun[0] > 0.2 else 0.05) / (1 + 14 * (side * side + (up - 0.12) ** 2))
    sky = sky + (np.array([255, 244, 222], np.float32) - sky) * glow.astype(np.float32)[..., None]
    depth = 1 / (up + np.float32(0.10))  # clouds lie on a ceiling
    density = noise.octaves(depth * 1.1, across[None, :] * depth * np.float32(0.9), 5)
    cover = np.clip((density - np.float32(0.66 - 0.36 * light.clouds)) * 6, 0, 1)
    cover *= np.clip(up * 9, 0, 1)  # lost in the haze at the horizon
    shade = np.clip((density - np.float32(0.5)) * 2.2, 0, 1)[..., None]
    bright = horizon + (np.array([255, 252, 246], np.float32) - horizon) * np.float32(0.55)
    dark = (horizon + zenith) * np.float32(0.46)
    sky = sky + (bright + (dark - bright) * shade - sky) * (cover * np.float32(0.85))[..., None]
    image += sky * share[..., None]


def _finish_ground(
    image: Plane, layers: Layers, first: int, across: Plane, down: Plane, camera: Camera, light: Light, noise: _Noise
) -> None:
    """Lay texture, shadows and haze on the ground, each by its distance."""
    share = layers.ground[first:, :, None]
    # The first row may lie next to the horizon, where the distance has no bounds.
    z = np.float32(camera.height) / np.maximum(down[:, None], np.float32(camera.height / 1000))
    x = across[None, :] * z - np.float32(camera.bend) * z * z
    near = 1 / (1 + z * z / 90)  # beyond that, stones are smaller than a pixel
    coarse = noise.octaves(z * np.float32(0.35), x * np.float32(0.9), 3) - np.float32(0.5)
    fine = noise.read(z * 9, x * 14) - np.float32(0.5)
    texture = 1 + 0.22 * coarse + 0.18 * fine * near
    shadow = _blur(layers.shadow[first:, :, None], np.float32(0.8)) * _SHADOW_TINT
    finished = image * texture[..., None] * (1 - shadow)
    haze = (light.haze * z / (1 + light.haze * z))[..., None].astype(np.float32)
    finished += (np.array(light.air, np.float32) - finished) * haze
    # The part of a pixel that a thing covers was finished when the thing was drawn.
    image += (finished - image) * share


def _mirror(image: Plane, ground: Plane, first: int, wet: float, noise: _Noise) -> None:
    """Let wet ground mirror what stands above it, blurred along the rows, more so where puddles are."""
    height, width = ground.shape
    rows = np.arange(first, height)
    source = np.clip(2 * first - rows, 0, height - 1)
    mirrored = image[source]
    for shift in (2, 5, 9):
        mirrored = (mirrored + np.roll(mirrored, shift, axis=0) + np.roll(mirrored, -shift, axis=0)) / 3
    puddles = noise.octaves(rows[:, None].astype(np.float32) * np.float32(14 / height),
                            np.arange(width, dtype=np.float32)[None, :] * np.float32(10 / width), 3)  # fmt: skip
    share = np.float32(wet) * np.clip(0.3 + 1.6 * (puddles - 0.4), 0.1, 1)
    image[first:] += (mirrored - image[first:]) * (share * ground[first:])[..., None]


def _exposure(image: Plane) -> np.float32:
    """The camera's automatic exposure, which goes half of the way to a middling brightness."""
    # Whole numbers: the order in which a machine adds them up changes nothing.
    mean = int(np.clip(image, 0, 255).astype(np.int64).sum()) / image.size
    return np.float32(min(1.7, max(0.85, 0.5 + 0.5 * 112 / max(1.0, mean))))


def _blur(values: Plane, share: np.float32) -> Plane:
    """Mix each pixel with a small bell around it."""
    out = values
    for axis in (0, 1):
        edge = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(out, edge, mode="edge")
        n = out.shape[axis]
        before, after = padded.take(range(n), axis), padded.take(range(2, n + 2), axis)
        out = out + (share / 4) * (before + after - 2 * out)
    return out


def _add_sensor_noise(image: Plane, dice: Dice, strength: float) -> None:
    """Add noise that is bell-shaped (four bytes summed), mostly equal in the three channels."""
    height, width, _ = image.shape
    grey = dice.noise_bytes(4, height, width).astype(np.int32).sum(0)
    tinted = dice.noise_bytes(2, height, width, 3).astype(np.int32).sum(0)
    # Standard deviations of the two sums are 148 and 105.
    image += (grey[..., None] - 510).astype(np.float32) * np.float32(strength / 148)
    image += (tinted - 255).astype(np.float32) * np.float32(0.5 * strength / 105)


def _tone(image: Plane) -> Plane:
    """The camera's curve: a little more contrast in the middle, a soft shoulder at the bright end."""
    v = np.clip(image, 0, 330) / np.float32(255)
    v = v * (np.float32(0.88) + np.float32(0.42) * v) / (1 + np.float32(0.30) * v * v)
    out: Plane = v * np.float32(255)
    return out
