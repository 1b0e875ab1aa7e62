"""Run-length encodings of pixels: COCO's by columns, and Label Studio's bit stream.

Pixels are sorted numbers row * width + column.
"""

from __future__ import annotations

import numpy as np

from sparsekit.geometry.polylines import Ints

#: Number of bits of the four run sizes.
_SIZE_BITS = (3, 4, 8, 16)


def run_lengths(flat: Ints, size: int) -> list[int]:
    """Lengths of alternating runs outside and inside a set of indices; only the first may be 0.

    Args:
        flat: Ascending indices.
        size: Number of all indices.

    Example:
        >>> run_lengths(np.array([0, 1, 4]), 6)
        [0, 2, 2, 1, 1]
    """
    begins = flat[np.diff(flat, prepend=-2) > 1]
    ends = flat[np.diff(flat, append=size + 1) > 1] + 1
    bounds = np.concatenate([[0], np.stack([begins, ends], 1).ravel(), [size]])
    counts: list[int] = np.diff(bounds).tolist()
    return counts if counts[-1] else counts[:-1]


def run_pixels(counts: list[int], size: int) -> Ints:
    """The inverse of ``run_lengths``.

    Raises:
        ValueError: If the lengths do not add up to the size.
    """
    if any(count < 0 for count in counts) or sum(counts) != size:
        raise ValueError(f"run lengths do not add up to {size} pixels")
    return np.flatnonzero(np.repeat(np.arange(len(counts)) % 2, counts))


def coco_counts(pixels: Ints, shape: tuple[int, int]) -> list[int]:
    """COCO's uncompressed counts: run lengths down the columns."""
    rows, cols = np.divmod(pixels, shape[1])
    return run_lengths(np.sort(cols * shape[0] + rows), shape[0] * shape[1])


def coco_pixels(counts: list[int], shape: tuple[int, int]) -> Ints:
    """Pixels of COCO's uncompressed counts.

    Raises:
        ValueError: If they do not fill the shape.
    """
    cols, rows = np.divmod(run_pixels(counts, shape[0] * shape[1]), shape[0])
    return np.sort(rows * shape[1] + cols)


def coco_uncompress(text: str) -> list[int]:
    """Counts of COCO's compressed string: signed numbers of five bits per character, differences from the fourth on.

    Raises:
        ValueError: If the text is not such a string.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"character {letter!r} is not valid in run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    if shift:
        raise ValueError("run lengths end in the middle of a number")
    return counts


def label_studio_rle(pixels: Ints, shape: tuple[int, int]) -> list[int]:
    """Label Studio's bytes for these pixels: runs of a four-channel image that is 255 there and 0 elsewhere."""
    size = shape[0] * shape[1]
    bits = [f"{4 * size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _SIZE_BITS)]
    longest = 1 << _SIZE_BITS[-1]
    for number, count in enumerate(run_lengths(pixels, size)):
        for done in range(0, 4 * count, longest):
            run = min(4 * count - done, longest) - 1
            kind = next(i for i, most in enumerate(_SIZE_BITS) if run < 1 << most)
            bits += ["1", f"{kind:02b}", f"{run:0{_SIZE_BITS[kind]}b}", "11111111" if number % 2 else "00000000"]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def label_studio_pixels(rle: list[int], shape: tuple[int, int]) -> Ints:
    """Pixels of Label Studio's bytes: where the fourth channel is not 0.

    Raises:
        ValueError: If they are damaged or of another size.
    """
    if not isinstance(rle, list):  # bytes() of a number would allocate that much memory
        raise TypeError(f"expected a list of bytes, got {rle!r:.40}")
    if len(rle) > 16 * shape[0] * shape[1] + 64:  # the longest encoding: a run for each of the four values per pixel
        raise ValueError(f"{len(rle)} bytes of run lengths are too many for {shape[1]}x{shape[0]} pixels")
    data = bytes(rle)  # ValueError if a number is not a byte
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
    place = 0

    def take(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise ValueError("run lengths are truncated")
        place += count
        return int(bits[place - count : place], 2)

    length = take(32)
    if length != 4 * shape[0] * shape[1]:
        raise ValueError(f"run lengths cover {length} values; expected 4 for each of {shape[1]}x{shape[0]} pixels")
    word = take(5) + 1
    sizes = [take(4) + 1 for _ in _SIZE_BITS]
    runs, values, done = [], [], 0
    while done < length:
        repeated = take(1)
        run = take(sizes[take(2)]) + 1
        runs += [run] if repeated else [1] * run
        values += [take(word)] if repeated else [take(word) for _ in range(run)]
        done += run
    if done != length:
        raise ValueError("run lengths are longer than the image")
    return np.flatnonzero(np.repeat(np.array(values) > 0, runs)[3::4])
