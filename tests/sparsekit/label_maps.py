"""Random and awkward label maps for the tests of marks."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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
