"""The labels of one image in the two forms that augmentation needs: as coordinates, or as a label map.

Clicks and scribbles are transformed as coordinates: each labelled pixel moves to its position in the crop and is drawn
there, so resampling neither loses nor multiplies it. A label map that is labelled nearly everywhere (a full mask, a
pseudo-label) represents areas: as coordinates, it would fall apart into a grid of dots when enlarged, at ten times the
cost. Such a map is cropped and resized by nearest neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from agmm.data.transforms import Span, Window, crop_label_map
from data_manifests.label_maps import LabelMap

#: Labelled share of an image above which its labels count as dense. Human scribbles cover 0.1 to 3.4 %.
DENSE_SHARE = 0.1


@dataclass(frozen=True)
class SparseLabels:
    """Labelled pixels as coordinates.

    Args:
        rows: Shape (K,).
        cols: Shape (K,).
        class_ids: Train ids, shape (K,).
        ignore_index: Value of pixels without a label.
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    class_ids: LabelMap
    ignore_index: int

    @classmethod
    def from_label_map(cls, label_map: LabelMap, ignore_index: int) -> SparseLabels:
        """Read the coordinates of all labelled pixels of a label map of shape (H, W)."""
        places = np.flatnonzero(label_map != ignore_index)
        rows, cols = np.divmod(places, label_map.shape[1])
        return cls(rows.astype(np.int32), cols.astype(np.int32), label_map.ravel()[places], ignore_index)

    @property
    def num_bytes(self) -> int:
        """Size in memory."""
        return self.rows.nbytes + self.cols.nbytes + self.class_ids.nbytes

    def any_inside(self, window: Window) -> bool:
        """Whether the window contains a labelled pixel."""
        return bool(self._inside(window).any())

    def crop(self, window: Window) -> LabelMap:
        """Return the window's target: train ids, shape ``window.crop_size``, ``ignore_index`` where unlabelled.

        If several labels fall on one pixel, the last in reading order wins.
        """
        inside = self._inside(window)
        rows = _move(self.rows[inside], window.rows)
        cols = _move(self.cols[inside], window.cols)
        if window.mirrored:
            cols = window.crop_size[1] - 1 - cols
        target = np.full(window.crop_size, self.ignore_index, self.class_ids.dtype)
        target[rows, cols] = self.class_ids[inside]
        return target

    def classes(self) -> NDArray[np.int64]:
        """Return the train ids that occur, ascending."""
        return np.flatnonzero(np.bincount(self.class_ids))

    def pick(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """Pick a class uniformly and then one of its pixels, as (row, col); None if there is no label."""
        if not len(self.rows):
            return None
        chosen = rng.choice(np.flatnonzero(self.class_ids == rng.choice(self.classes())))
        return int(self.rows[chosen]), int(self.cols[chosen])

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        rows, cols = window.rows, window.cols
        inside_rows = (self.rows >= rows.start) & (self.rows < rows.stop)
        return np.asarray(inside_rows & (self.cols >= cols.start) & (self.cols < cols.stop), np.bool_)


def _move(places: NDArray[np.int32], span: Span) -> NDArray[np.int64]:
    # The crop's pixel that contains the centre of the image's pixel; integer arithmetic avoids rounding errors.
    doubled = (places.astype(np.int64) - span.start) * 2 + 1
    return doubled * (span.out_stop - span.out_start) // (2 * (span.stop - span.start)) + span.out_start


@dataclass(frozen=True)
class DenseLabels:
    """Labels as a label map.

    Args:
        label_map: Train ids, shape (H, W).
        ignore_index: Value of pixels without a label.
    """

    label_map: LabelMap
    ignore_index: int

    def any_inside(self, window: Window) -> bool:
        """See ``SparseLabels``."""
        rows, cols = window.rows, window.cols
        return bool((self.label_map[rows.start : rows.stop, cols.start : cols.stop] != self.ignore_index).any())

    def crop(self, window: Window) -> LabelMap:
        """See ``SparseLabels``."""
        return crop_label_map(self.label_map, window, self.ignore_index)

    def classes(self) -> NDArray[np.int64]:
        """See ``SparseLabels``."""
        counts = cv2.calcHist([self.label_map], [0], None, [self.ignore_index], [0, self.ignore_index])
        return np.flatnonzero(counts)

    def pick(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """See ``SparseLabels``."""
        if not len(present := self.classes()):
            return None
        place = int(rng.choice(np.flatnonzero(self.label_map == rng.choice(present))))
        row, col = divmod(place, self.label_map.shape[1])
        return row, col


#: Labels of one image.
Labels = SparseLabels | DenseLabels
