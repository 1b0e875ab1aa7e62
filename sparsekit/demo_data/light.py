"""Time of day and weather: how bright each face of an object is, what the air does, what colour the sky has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparsekit.demo_data.dice import Color, Dice, mix, scale

#: Where a surface looks: to the camera, to the right, to the left, up, or away; ``glow`` gives light of its own.
Face = Literal["front", "east", "west", "up", "away", "glow"]

_NORMALS: dict[Face, tuple[float, float, float]] = {
    "front": (0.0, 0.0, -1.0),
    "east": (1.0, 0.0, 0.0),
    "west": (-1.0, 0.0, 0.0),
    "up": (0.0, 1.0, 0.0),
    "away": (0.0, 0.0, 1.0),
}


@dataclass(frozen=True)
class Weather:
    """One kind of light; pairs are lower and upper bounds to choose between.

    Args:
        ambient: Light from the whole sky, per channel, 1 leaves a colour as it is.
        sun: Light of the sun at right angles, per channel.
        height: Height of the sun: rise per unit of ground.
        zenith: Colour of the sky overhead.
        horizon: Colour of the sky at the horizon.
        haze: Share of the air's colour per metre, near the camera.
        clouds: Cover, 0 none to 1 all.
        lit: Share of windows with the light on.
        wet: Mirroring of the road, 0..1.
    """

    ambient: Color
    sun: Color
    height: tuple[float, float]
    zenith: Color
    horizon: Color
    haze: tuple[float, float]
    clouds: tuple[float, float]
    lit: float = 0.02
    wet: float = 0.0


WEATHERS: dict[str, Weather] = {
    "noon": Weather(
        (0.56, 0.59, 0.66), (0.78, 0.74, 0.65), (0.9, 2.2), (72, 124, 192), (188, 212, 230), (0.0008, 0.002), (0, 0.55)
    ),
    "golden": Weather(
        (0.52, 0.51, 0.58), (0.95, 0.75, 0.48), (0.3, 0.6), (96, 134, 186), (248, 214, 168), (0.002, 0.005), (0, 0.6)
    ),
    "overcast": Weather(
        (0.82, 0.85, 0.88), (0.07, 0.07, 0.07), (0.8, 1.5), (150, 162, 172), (212, 217, 220), (0.002, 0.004), (0.6, 1)
    ),
    "mist": Weather(
        (0.76, 0.78, 0.80), (0.06, 0.06, 0.05), (0.8, 1.5), (186, 192, 197), (208, 211, 213), (0.008, 0.018), (0.8, 1)
    ),
    "rain": Weather(
        (0.62, 0.66, 0.70), (0.03, 0.03, 0.03), (0.8, 1.5), (112, 122, 134), (168, 176, 184), (0.004, 0.008), (0.7, 1),
        0.12, 0.5,
    ),
    "dusk": Weather(
        (0.36, 0.38, 0.52), (0.22, 0.15, 0.12), (0.25, 0.4), (52, 66, 116), (232, 168, 142), (0.002, 0.005), (0.1, 0.7),
        0.38,
    ),
}  # fmt: skip
_SHARES = {"noon": 0.30, "golden": 0.18, "overcast": 0.24, "mist": 0.08, "rain": 0.10, "dusk": 0.10}


@dataclass(frozen=True)
class Light:
    """The light of one scene.

    Args:
        name: Key of ``WEATHERS``.
        weather: What it was drawn from.
        faces: Light on each face, per channel.
        cast: Length of a shadow to the right and away, per metre of height.
        shadow: Darkness of a shadow, 0..1.
        air: Colour that far things take on.
        haze: Share of it per metre, near the camera.
        clouds: Cover, 0..1.
        sun_side: Where the sun stands, -1 left to 1 right.
        exposure: Brightness of the image, per channel (the camera's white balance is never quite right).
    """

    name: str
    weather: Weather
    faces: dict[Face, Color]
    cast: tuple[float, float]
    shadow: float
    air: Color
    haze: float
    clouds: float
    sun_side: float
    exposure: Color

    def haze_share(self, z: float) -> float:
        """Share of the air's colour at a distance in metres."""
        return self.haze * z / (1 + self.haze * z)

    def seen(self, color: Color, face: Face, z: float) -> Color:
        """Colour of a surface under this light, through z metres of air."""
        lit = self.faces[face]
        return mix((color[0] * lit[0], color[1] * lit[1], color[2] * lit[2]), self.air, self.haze_share(z))


def draw_light(dice: Dice) -> Light:
    """Choose weather and time of day for a scene."""
    name = dice.weighted(_SHARES)
    weather = WEATHERS[name]
    sun = (dice.between(-1, 1), dice.between(*weather.height), dice.between(-0.9, 0.7))
    length = float(np.sqrt(sun[0] * sun[0] + sun[1] * sun[1] + sun[2] * sun[2]))
    faces: dict[Face, Color] = {"glow": (1.0, 1.0, 1.0)}
    for face, normal in _NORMALS.items():
        straight = max(0.0, (normal[0] * sun[0] + normal[1] * sun[1] + normal[2] * sun[2]) / length)
        sky = 1.0 if face == "up" else 0.88
        ambient, beam = weather.ambient, weather.sun
        faces[face] = (
            ambient[0] * sky + beam[0] * straight,
            ambient[1] * sky + beam[1] * straight,
            ambient[2] * sky + beam[2] * straight,
        )
    bright = dice.between(0.9, 1.14)
    tint = dice.between(-0.05, 0.05)
    green = dice.between(-0.025, 0.025)
    return Light(
        name,
        weather,
        faces,
        (_within(-sun[0] / sun[1], 2.6), _within(-sun[2] / sun[1], 2.6)),
        min(0.56, 0.95 * weather.sun[0]),
        scale(mix(weather.horizon, weather.zenith, 0.15), 0.95),
        dice.between(*weather.haze),
        dice.between(*weather.clouds),
        sun[0] / length,
        (bright * (1 + tint), bright * (1 + green), bright * (1 - tint)),
    )


def _within(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))
