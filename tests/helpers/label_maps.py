"""Random and awkward label maps for the tests of marks."""

import hashlib

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from data_manifests.files.csv import format_line
from data_manifests.manifest.marks import mark_to_cells

VOID = 255


@st.composite
def label_maps(draw):
    """Blocks of a few classes and void, enlarged unevenly, with single pixels strewn over them."""
    blocks = draw(hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=_CLASSES))
    label_map = blocks.repeat(draw(st.integers(1, 11)), 0).repeat(draw(st.integers(1, 11)), 1)
    for row, col, value in draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), _CLASSES), max_size=8)):
        label_map[row % label_map.shape[0], col % label_map.shape[1]] = value
    return label_map


_CLASSES = st.sampled_from([0, 1, 2, VOID])


def _ring():
    rows, cols = np.mgrid[:60, :60]
    distance = (rows - 30) ** 2 + (cols - 30) ** 2
    return np.where((distance < 28**2) & (distance > 18**2), 1, 0).astype(np.uint8)


def _checkerboard(size, cell, classes):
    places = np.arange(size) // cell
    return ((places[:, None] + 2 * places) % classes).astype(np.uint8)


#: Shapes by name that are easy to get wrong.
AWKWARD = {
    "one pixel": np.zeros((1, 1), np.uint8),
    "one row": (np.arange(40, dtype=np.uint8) // 7)[None],
    "one column": (np.arange(40, dtype=np.uint8) // 7)[:, None],
    "stripes one pixel wide": np.tile(np.arange(30, dtype=np.uint8) % 2, (20, 1)),
    "diagonal stripes": (np.add.outer(np.arange(30), np.arange(30)) % 3).astype(np.uint8),
    "checkerboard of pixels": _checkerboard(24, 1, 2),
    "tiles of four classes": _checkerboard(40, 4, 4),
    "one class": np.full((30, 50), 3, np.uint8),
    "ring": _ring(),
    "single pixels in void": np.where(_checkerboard(20, 1, 5) == 0, 4, VOID).astype(np.uint8),
}


def rough_map(seed):
    """Blobs of three classes with rough outlines, some a few pixels wide."""
    rng = np.random.default_rng(seed)
    heights = ndimage.gaussian_filter(rng.random(rng.integers(20, 70, 2)), rng.uniform(0.8, 4))
    return np.digitize(heights, np.quantile(heights, [0.4, 0.7])).astype(np.uint8)


def bent_map():
    """Large regions of every sort: rings, crescents, wedges with thin tips, holes, void; shape (400, 600)."""
    rows, cols = np.indices((400, 600))
    rings = ((rows - 180) ** 2 + 2 * (cols - 210) ** 2) // 24_000
    label_map = (rings % 3).astype(np.uint8)
    label_map[(rows - 60) ** 2 < 3 * (cols - 330)] = 3  # a parabola that opens to the right
    label_map[(rows * 7 + cols * 3) % 400 < 9] = 4  # stripes across all of it
    label_map[(rows - 330) ** 2 + (cols - 480) ** 2 < 2_000] = VOID
    return label_map


def digest_of(marks):
    """SHA-256 of marks as ``marks.csv`` writes them."""
    lines = (format_line(mark_to_cells("image", number, mark)) for number, mark in enumerate(marks))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
