"""The random stream of one image: the same numbers on every machine, whatever else the dataset contains."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from sparsekit.arguments import as_whole_number

_CHUNK = 256


class ImageStream:
    """Random numbers of one image for one purpose.

    The stream is Philox4x64, keyed by a SHA-256 of (seed, image id, purpose). It uses only the raw 64-bit output, which
    NumPy guarantees, and derives numbers with our own code, so no NumPy release changes an annotation.

    Args:
        seed: The user's seed, an integer of at least 0.
        image_id: The image's id in the manifest.
        purpose: Use of the numbers, such as ``clicks``; streams of different purposes are independent.

    Raises:
        ValueError: If the seed is not such an integer.

    References:
        Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox).

    Example:
        >>> stream = ImageStream(0, "aachen_000000_000019", "clicks")
        >>> [stream.below(100) for _ in range(5)]
        [20, 43, 47, 96, 48]
    """

    def __init__(self, seed: int, image_id: str, purpose: str) -> None:
        seed = as_whole_number("seed", seed, least=0)
        self._name = seed, image_id, purpose
        # The length keeps ("a", "b c") and ("a b", "c") apart.
        text = f"{seed} {len(image_id)} {image_id} {purpose}"
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        self._bits = np.random.Philox(key=key)
        self._chunk: list[int] = []

    def branch(self, purpose: str) -> ImageStream:
        """Return an independent stream of the same image for another purpose; this stream does not advance."""
        seed, image_id, own = self._name
        return ImageStream(seed, image_id, f"{own} {purpose}")

    def raw(self) -> int:
        """Return the next 64 random bits as an integer."""
        if not self._chunk:
            self._chunk = self._bits.random_raw(_CHUNK)[::-1].tolist()
        return self._chunk.pop()

    def below(self, bound: int) -> int:
        """Return an integer in 0..bound-1, each exactly equally likely.

        Raises:
            ValueError: If ``bound`` is below 1 or above 2**64.
        """
        if not 1 <= bound <= 1 << 64:
            raise ValueError(f"bound must lie between 1 and 2**64, got {bound}.")
        # Values in the incomplete last block of `bound` numbers would favour small results, so draw again.
        limit = (1 << 64) - (1 << 64) % bound
        while (bits := self.raw()) >= limit:
            pass
        return bits % bound

    def uniform(self) -> float:
        """Return a number in [0, 1) with 53 random bits."""
        return (self.raw() >> 11) * 2.0**-53

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """Return as many numbers as ``uniform`` would in as many calls, shape (count,)."""
        chunks = -(-(count - len(self._chunk)) // _CHUNK)
        if chunks > 0:
            self._chunk = self._bits.random_raw(chunks * _CHUNK)[::-1].tolist() + self._chunk
        taken = self._chunk[len(self._chunk) - count :][::-1]
        del self._chunk[len(self._chunk) - count :]
        return (np.array(taken, np.uint64) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def require_stream(rng: object) -> None:
    """Reject NumPy generators and plain seeds: their numbers depend on earlier draws or on the NumPy release.

    Raises:
        ValueError: If ``rng`` is not an ``ImageStream``.
    """
    if not isinstance(rng, ImageStream):
        raise ValueError(f"rng must be a stream such as ImageStream(seed, image_id, 'points'), got {rng!r}.")
