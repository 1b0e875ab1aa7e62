"""The random choices of one scene, and the small sums on colours that go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparsekit.randomness import ImageStream

T = TypeVar("T")

#: Red, green and blue, 0..255, not yet rounded.
Color = tuple[float, float, float]


class Dice(ImageStream):
    """The stream of one image with the questions that drawing asks.

    Every answer comes from integers and the IEEE-exact ``+ - * /``, so that it is the same on every machine.

    Example:
        >>> dice = Dice(0, "alder_000000_000019", "demo scene")
        >>> 2.0 <= dice.between(2.0, 3.0) < 3.0
        True
    """

    def part(self) -> Dice:
        """Dice for one thing of the scene, which may use as many numbers as it likes without changing the others."""
        return Dice(self.raw(), "", "part of a demo scene")

    def between(self, low: float, high: float) -> float:
        """A number from low to high, each equally likely."""
        return low + (high - low) * self.uniform()

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, each equally likely."""
        return choices[self.below(len(choices))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """A key, each as likely as its weight."""
        mark = self.uniform() * sum(weights.values())
        for key, weight in weights.items():
            mark -= weight
            if mark < 0:
                return key
        return key

    def vary(self, color: Color, amount: float = 0.1) -> Color:
        """A colour like the given one: brightness and each channel off by up to ``amount``, as a share."""
        bright = 1 + self.between(-amount, amount)
        r, g, b = (c * bright * (1 + 0.3 * self.between(-amount, amount)) for c in color)
        return r, g, b

    def noise_bytes(self, *shape: int) -> NDArray[np.uint8]:
        """Random bytes in an array, from a generator of their own."""
        count = int(np.prod(shape))
        words: NDArray[np.uint64] = np.random.Philox(key=self.raw()).random_raw((count + 7) // 8)
        return words.astype("<u8").view(np.uint8)[:count].reshape(shape)


def scale(color: Color, factor: float) -> Color:
    """A colour, brighter or darker."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def mix(first: Color, second: Color, share: float) -> Color:
    """A colour between two: the first at share 0, the second at 1."""
    a, b = 1 - share, share
    return first[0] * a + second[0] * b, first[1] * a + second[1] * b, first[2] * a + second[2] * b
