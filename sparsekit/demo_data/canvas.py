"""The image while it is drawn: each fine pixel holds the index of the visible surface.

Colours, labels and instances are looked up by that index at the end. A single fill per surface sets all three,
and labels stay exact while colours are averaged over the fine pixels of each pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sparsekit.demo_data.dice import Color
from sparsekit.demo_data.light import Face, Light

#: Fine pixels along each side of a pixel; odd, so that one of them is the centre.
FINE = 3

#: Column and row of a place in the image, in fine pixels.
Point = tuple[float, float]

#: Metres to the right of the camera, above the ground, and away from the camera.
Place = tuple[float, float, float]

SKY, GROUND, THING = 0, 1, 2
# Surfaces beyond the largest number that fits are not drawn; the fullest scenes have a fifth of that.
_MOST_SURFACES = 65535


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the street.

    Args:
        focal: Focal length in fine pixels.
        column: Column of the vanishing point in fine pixels.
        horizon: Row of the horizon in fine pixels.
        height: Metres above the ground.
        bend: The street's bend: metres to the right per square metre of distance.
    """

    focal: float
    column: float
    horizon: float
    height: float
    bend: float

    def project(self, place: Place) -> Point:
        """Project a place in front of the camera."""
        x, y, z = place
        zoom = self.focal / z
        return self.column + (x + self.bend * z * z) * zoom, self.horizon + (self.height - y) * zoom


@dataclass(frozen=True)
class Layers:
    """A finished canvas, at the size of the image; all arrays have shape (H, W) or (H, W, 3).

    Args:
        color: Mean colour over the fine pixels, float32, 0..255, black where the sky is.
        sky: Share of sky, float32.
        ground: Share of ground, float32.
        shadow: Darkness of the shadows on the ground, float32, 0..1.
        shade: Brightness of the surface's own gradient, float32, around 1.
        grain: How rough the surface is at the scale of pixels, float32.
        mottle: How uneven it is at the scale of a few pixels, float32.
        label_ids: Cityscapes ids, uint8.
        instance_ids: Cityscapes instance ids, uint16.
    """

    color: NDArray[np.float32]
    sky: NDArray[np.float32]
    ground: NDArray[np.float32]
    shadow: NDArray[np.float32]
    shade: NDArray[np.float32]
    grain: NDArray[np.float32]
    mottle: NDArray[np.float32]
    label_ids: NDArray[np.uint8]
    instance_ids: NDArray[np.uint16]


class Canvas:
    """Draws surfaces; later ones hide earlier ones.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        camera: Turns places into points.
        light: Turns the colours of things into colours seen.
        sky_id: Label of everything not drawn over.
    """

    def __init__(self, width: int, height: int, camera: Camera, light: Light, sky_id: int) -> None:
        self.camera = camera
        self.light = light
        self.size = (height * FINE, width * FINE)
        self._numbers = np.zeros(self.size, np.uint16)
        self._shadow = np.zeros(self.size, np.uint8)
        self._colors: list[tuple[float, ...]] = [(0.0, 0.0, 0.0, 1.0, 0.0)]
        self._looks: list[tuple[float, ...]] = [(0.0, 0.0, 0.0, 0.0, 0.0)]
        self._labels = [sky_id]
        self._instances = [sky_id]
        self._counts: dict[int, int] = {}
        self._label, self._instance, self._kind = sky_id, sky_id, SKY

    def start(self, label_id: int, kind: int = THING) -> None:
        """Draw the following surfaces with this label and without an instance."""
        self._label, self._instance, self._kind = label_id, label_id, kind

    def start_instance(self, label_id: int) -> None:
        """Draw the following surfaces as a new instance of this label."""
        number = self._counts.get(label_id, 0)
        self._counts[label_id] = number + 1
        self._label, self._instance, self._kind = label_id, label_id * 1000 + number, THING

    def meters(self, z: float) -> float:
        """Fine pixels per metre at a distance: what is smaller than one of them need not be drawn."""
        return self.camera.focal / z

    def fill(
        self,
        outline: Sequence[Point],
        color: Color,
        face: Face,
        z: float,
        *,
        shade: float = 0.0,
        grain: float = 0.0,
        mottle: float = 0.0,
    ) -> None:
        """Fill a polygon.

        Args:
            outline: Its corners in fine pixels. A horizontal line may cross it twice at most; dents that break this are
                levelled.
            color: Colour of the surface under white light.
            face: Where the surface looks, for the light.
            z: Its distance in metres, for the haze.
            shade: How much brighter the top is than the bottom, as a share.
            grain: Roughness at the scale of pixels, as a share of the brightness.
            mottle: Unevenness at the scale of a few pixels, as a share of the brightness.
        """
        columns = [round(u) for u, _ in outline]
        rows = [round(v) for _, v in outline]
        top, bottom = min(rows), max(rows)
        height, width = self.size
        if max(columns) < 0 or bottom < 0 or min(columns) >= width or top >= height or self._is_full():
            return
        if len(rows) > 4:
            rows = _flattened(rows, top, bottom)
        # fillConvexPoly fills the same pixels in OpenCV 4 and 5, fillPoly does not.
        cv2.fillConvexPoly(self._numbers, np.array([columns, rows], np.int32).T, float(len(self._labels)))
        self._note(
            self.light.seen(color, face, z), (shade, (top + bottom) / 2, 1 / max(1, bottom - top), grain, mottle)
        )

    def fill_many(
        self,
        outlines: NDArray[np.float64],
        color: Color,
        tones: NDArray[np.float64],
        face: Face,
        z: float,
        *,
        shade: float = 0.0,
        grain: float = 0.0,
        mottle: float = 0.0,
    ) -> None:
        """Fill many polygons of one colour in different brightness, later ones over earlier ones; see ``fill``.

        Args:
            outlines: Their corners in fine pixels, shape (number, corners, 2); without dents, see ``fill``.
            color: Their colour.
            tones: Brightness of each, 1 leaves the colour as it is.
            face: As in ``fill``.
            z: As in ``fill``.
            shade: As in ``fill``.
            grain: As in ``fill``.
            mottle: As in ``fill``.
        """
        corners = np.rint(outlines).astype(np.int32)
        height, width = self.size
        lows, highs = corners.min(1), corners.max(1)
        seen = np.flatnonzero((highs >= 0).all(1) & (lows[:, 0] < width) & (lows[:, 1] < height))
        for i in seen.tolist():
            if self._is_full():
                return
            cv2.fillConvexPoly(self._numbers, corners[i], float(len(self._labels)))
            top, bottom = int(lows[i, 1]), int(highs[i, 1])
            tone = float(tones[i])
            look = (shade, (top + bottom) / 2, 1 / max(1, bottom - top), grain, mottle)
            self._note(self.light.seen((color[0] * tone, color[1] * tone, color[2] * tone), face, z), look)

    def _is_full(self) -> bool:
        return len(self._labels) > _MOST_SURFACES

    def _note(self, color: Color, look: tuple[float, ...]) -> None:
        self._colors.append((*color, 0.0, 1.0 if self._kind == GROUND else 0.0))
        self._looks.append(look)
        self._labels.append(self._label)
        self._instances.append(self._instance)

    def surface(
        self,
        places: Sequence[Place],
        color: Color,
        face: Face,
        *,
        shade: float = 0.0,
        grain: float = 0.0,
        mottle: float = 0.0,
    ) -> None:
        """Fill a polygon given by places in the world; see ``fill``."""
        z = sum(place[2] for place in places) / len(places)
        outline = [self.camera.project(place) for place in places]
        self.fill(outline, color, face, z, shade=shade, grain=grain, mottle=mottle)

    def darken(self, places: Sequence[Place], darkness: float) -> None:
        """Lay a shadow on the ground; things that stand there are not darkened. The darker of two shadows counts."""
        corners = np.rint(np.array([self.camera.project(p) for p in places])).astype(np.int32)
        height, width = self.size
        left, top = np.maximum(corners.min(0), 0).tolist()
        right, bottom = np.minimum(corners.max(0) + 1, (width, height)).tolist()
        if left >= right or top >= bottom:
            return
        patch = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillConvexPoly(patch, corners - np.array([left, top], np.int32), round(255 * darkness))
        part = self._shadow[top:bottom, left:right]
        np.maximum(part, patch, out=part)

    def finish(self) -> Layers:
        """Look up and average; drawing may continue afterwards."""
        height, width = self.size[0] // FINE, self.size[1] // FINE
        # Sixteenths of a level: nine of them still fit into 16 bits.
        table = np.rint(16 * np.clip(np.array(self._colors), 0, 255)).astype(np.uint16)
        total = np.zeros((height, width, 5), np.uint16)
        shadow = np.zeros((height, width), np.uint16)
        for row in range(FINE):
            for column in range(FINE):
                total += table[self._numbers[row::FINE, column::FINE]]
                shadow += self._shadow[row::FINE, column::FINE]
        mean = total.astype(np.float32) / np.float32(16 * FINE * FINE)
        middle = self._numbers[FINE // 2 :: FINE, FINE // 2 :: FINE]
        looks = np.array(self._looks, np.float32)[middle]
        rows = np.arange(height, dtype=np.float32)[:, None] * FINE
        return Layers(
            color=mean[..., :3],
            sky=mean[..., 3],
            ground=mean[..., 4],
            shadow=shadow.astype(np.float32) / np.float32(255 * FINE * FINE),
            shade=1 + looks[..., 0] * (looks[..., 1] - rows) * looks[..., 2],
            grain=looks[..., 3],
            mottle=looks[..., 4],
            label_ids=np.array(self._labels, np.uint8)[middle],
            instance_ids=np.array(self._instances, np.uint16)[middle],
        )


def _flattened(rows: list[int], top: int, bottom: int) -> list[int]:
    """Rows of a polygon's corners such that both ways from its top to its bottom lead down all the way."""
    count, first, last = len(rows), rows.index(top), rows.index(bottom)
    out = list(rows)
    for step in (1, -1):
        at, low = first, top
        while at != last:
            low = max(low, rows[at])
            out[at] = low
            at = (at + step) % count
    return out
