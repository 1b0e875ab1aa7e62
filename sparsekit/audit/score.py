"""Score annotations without training: spread their labels over the image and compare with the full mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree
from skimage.graph import MCP_Geometric
from skimage.segmentation import slic

from data_manifests import LabelMap, Manifest
from data_manifests.figures.drawing import Image
from data_manifests.parallel import map_in_order
from sparsekit.annotated_images import AnnotatedImage, annotated_images
from sparsekit.audit.settings import DEFAULT_MAX_SIZE, METHOD_NAMES
from sparsekit.audit.tables import format_table, percent

# These three settings were chosen by mIoU at 50 clicks on 6 images of Cityscapes and 16 of CamVid; it is flat around
# them.
#: Lab colour difference per pixel that doubles the length of a step of the geodesic path.
EDGE_SCALE = 0.5
#: Number of superpixels of an image of any size.
NUM_SUPERPIXELS = 4000
#: Weight of position: the length of the image's longer side, in units of Lab colour differences.
POSITION_WEIGHT = 400.0


def spread_nearest(sparse: LabelMap, image: Image, unlabelled: int) -> LabelMap:
    """Give each pixel the label of the nearest labelled pixel (Euclidean distance); ignores the image.

    Args:
        sparse: Sparse label map with at least one label, shape (H, W).
        image: RGB, shape (H, W, 3).
        unlabelled: The value of pixels without label.

    Returns:
        Dense label map, shape (H, W).
    """
    nearest = ndimage.distance_transform_edt(sparse == unlabelled, return_distances=False, return_indices=True)
    spread: LabelMap = sparse[tuple(nearest)]
    return spread


def spread_geodesic(sparse: LabelMap, image: Image, unlabelled: int) -> LabelMap:
    """Give each pixel the label of the labelled pixel with the shortest path, where steps across edges are long.

    A step costs its length times 1 + g / ``EDGE_SCALE``, where g is the gradient of the image's Lab colours (Sobel, per
    pixel). scikit-image's ``MCP_Geometric`` runs Dijkstra's algorithm over all pixels, from all labels at once.
    Arguments and result are those of ``spread_nearest``.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).astype(np.float32)
    # The Sobel kernel sums to 8 times the difference per pixel.
    steps = [cv2.Sobel(lab, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1))]
    gradient = np.sqrt(sum((step**2).sum(axis=2) for step in steps))
    paths = MCP_Geometric(1 + gradient.astype(np.float64) / EDGE_SCALE)
    _, came_from = paths.find_costs(np.argwhere(sparse != unlabelled))
    # Each pixel knows its predecessor. Pointer doubling on all pixels at once finds the starts of the paths.
    height, width = sparse.shape
    row_steps, col_steps = np.asarray(paths.offsets, np.int64).T
    came_from = came_from.ravel()
    parent = np.arange(height * width)
    inner = came_from >= 0
    parent[inner] -= (row_steps * width + col_steps)[came_from[inner]]
    while not np.array_equal(further := parent[parent], parent):
        parent = further
    spread: LabelMap = sparse.ravel()[parent].reshape(height, width)
    return spread


def spread_superpixels(sparse: LabelMap, image: Image, unlabelled: int) -> LabelMap:
    """Give each SLIC superpixel its most frequent label; one without labels takes that of the most similar superpixel.

    Similarity combines the distances between mean Lab colours and between centres, weighted by ``POSITION_WEIGHT``.
    Ties go to the smallest label. Arguments and result are those of ``spread_nearest``.

    References:
        Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012.
    """
    segments = slic(image, n_segments=NUM_SUPERPIXELS, start_label=0)
    num_segments = int(segments.max()) + 1
    labelled = sparse != unlabelled
    labels, codes = np.unique(sparse[labelled], return_inverse=True)
    votes = np.zeros((num_segments, labels.size), np.int64)
    np.add.at(votes, (segments[labelled], codes), 1)
    known = np.flatnonzero(votes.any(axis=1))

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    places = POSITION_WEIGHT / max(sparse.shape) * np.indices(sparse.shape)
    features = np.array(
        [ndimage.mean(f, segments, np.arange(num_segments)) for f in (*np.moveaxis(lab, 2, 0), *places)]
    )
    _, like = KDTree(features.T[known]).query(features.T)
    of_segment = labels[votes[known].argmax(axis=1)][like]
    spread: LabelMap = of_segment[segments]
    return spread


#: Methods to spread labels, by name.
METHODS: dict[str, Callable[[LabelMap, Image, int], LabelMap]] = {
    name: globals()[f"spread_{name}"] for name in METHOD_NAMES
}


@dataclass(frozen=True)
class AnnotationScore:
    """Agreement of the spread labels of one manifest with the full masks.

    Args:
        name: The manifest's folder.
        method: Key of ``METHODS``.
        num_images: Annotated images.
        class_names: Names by train id.
        confusion: Pixels by class of the full mask and by label, shape (C, C + 1), summed over all images. The last
            column counts pixels without a label, which occur in images without marks. Void pixels are excluded.
    """

    name: str
    method: str
    num_images: int
    class_names: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def class_iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class, shape (C,); NaN for classes in neither masks nor labels."""
        hits = np.diagonal(self.confusion)
        union = self.confusion.sum(axis=1) + self.confusion[:, :-1].sum(axis=0) - hits
        iou: NDArray[np.float64] = np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float | None:
        """Mean over the classes that occur; None if none does."""
        ious = self.class_iou
        return None if np.isnan(ious).all() else float(np.nanmean(ious))

    @property
    def pixel_accuracy(self) -> float | None:
        """Share of the annotated pixels with the correct label; None if there are none."""
        total = int(self.confusion.sum())
        return int(np.trace(self.confusion)) / total if total else None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, shares between 0 and 1."""
        ious = [None if np.isnan(iou) else iou for iou in self.class_iou.tolist()]
        return {
            "annotation": self.name,
            "method": self.method,
            "num_images": self.num_images,
            "mean_iou": self.mean_iou,
            "pixel_accuracy": self.pixel_accuracy,
            "class_iou": dict(zip(self.class_names, ious, strict=True)),
        }


def annotated_in_all(manifests: Sequence[Manifest], split: str | None = None) -> set[str]:
    """Ids of the images that every manifest annotates."""
    return set.intersection(
        *({row.image_id for row in m.rows if row.annotation and split in (None, row.split)} for m in manifests)
    )


def annotation_score(
    manifest: Manifest,
    method: str = "nearest",
    *,
    split: str | None = None,
    max_size: int = DEFAULT_MAX_SIZE,
    workers: int | None = 1,
    on_image: Callable[[], None] = lambda: None,
) -> AnnotationScore:
    """Spread the labels of a manifest and compare them with the full masks.

    Args:
        manifest: A manifest; only annotated rows count.
        method: A key of ``METHODS``.
        split: Only this split.
        max_size: Longer side, in pixels, to which images are scaled down for spreading; the comparison uses full size.
        workers: Number of processes, None for as many as save time; it does not change the result.
        on_image: Called after each image.

    Raises:
        DataError: If a file is missing or damaged, or its size differs from the manifest.
        ValueError: If there is no such method, or ``max_size`` is below 1.
    """
    if method not in METHODS:
        raise ValueError(f"Unknown method '{method}'. Choose from: {', '.join(METHODS)}.")
    if max_size < 1:
        raise ValueError(f"max_size must be at least 1 pixel, got {max_size}.")
    num_classes = manifest.label_space.num_classes
    confusion = np.zeros((num_classes, num_classes + 1), np.int64)
    num_images = 0
    images = annotated_images(manifest, split, with_marks=False)
    for of_image in map_in_order(
        partial(_score_files, method=method, max_size=max_size), images, workers, total=len(manifest)
    ):
        confusion += of_image
        num_images += 1
        on_image()
    return AnnotationScore(manifest.name, method, num_images, manifest.label_space.class_names, confusion)


def _score_files(image: AnnotatedImage, method: str, max_size: int) -> NDArray[np.int64]:
    space = image.label_space
    sparse = image.read_annotation()
    pixels = image.read_image() if METHODS[method] is not spread_nearest else np.zeros((*sparse.shape, 3), np.uint8)
    spread = spread_labels(sparse, pixels, method, space.unlabelled_value, max_size)
    return confusion_matrix(image.read_full_mask(), spread, space.num_classes)


def spread_labels(
    sparse: LabelMap, image: Image, method: str, unlabelled: int, max_size: int = DEFAULT_MAX_SIZE
) -> LabelMap:
    """Spread the labels of a sparse label map over the whole image.

    Args:
        sparse: Sparse label map, shape (H, W).
        image: RGB, shape (H, W, 3).
        method: A key of ``METHODS``.
        unlabelled: The value of unlabelled pixels.
        max_size: Longer side, in pixels, to which the image is scaled down. If several labels fall on one pixel of the
            smaller image, the last in reading order wins.

    Returns:
        Dense label map, shape (H, W); unlabelled everywhere if there is no label.
    """
    rows, cols = np.nonzero(sparse != unlabelled)
    if not rows.size:
        return sparse
    height, width = sparse.shape
    if max(height, width) <= max_size:
        return METHODS[method](sparse, image, unlabelled)
    scale = max_size / max(height, width)
    small_height, small_width = max(round(height * scale), 1), max(round(width * scale), 1)
    small_sparse: LabelMap = np.full((small_height, small_width), unlabelled, sparse.dtype)
    # Scale positions instead of the map: nearest-neighbour resizing would drop most single labels.
    small_sparse[rows * small_height // height, cols * small_width // width] = sparse[rows, cols]
    small_image = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = METHODS[method](small_sparse, small_image, unlabelled)
    back = np.ix_(np.arange(height) * small_height // height, np.arange(width) * small_width // width)
    spread: LabelMap = small[back]
    return spread


def confusion_matrix(full_mask: LabelMap, labels: LabelMap, num_classes: int) -> NDArray[np.int64]:
    """Count pixels by class of the full mask and by label.

    Args:
        full_mask: Train ids, shape (H, W); larger values are void and excluded.
        labels: Train ids, shape (H, W); larger values mean no label.
        num_classes: Number of classes C.

    Returns:
        Counts, shape (C, C + 1); the last column counts pixels without a label.
    """
    annotated = full_mask < num_classes
    given = np.minimum(labels[annotated], num_classes)
    codes = full_mask[annotated].astype(np.int64) * (num_classes + 1) + given
    return np.bincount(codes, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)


def format_scores(scores: Sequence[AnnotationScore]) -> str:
    """Format a table with a numbered row per score, and a table of class IoU with a column per score."""
    summary = [
        {
            "no.": f"{i}",
            "annotation": score.name,
            "labels spread by": score.method,
            "images": f"{score.num_images:,}",
            "mIoU %": percent(score.mean_iou),
            "pixels right %": percent(score.pixel_accuracy),
        }
        for i, score in enumerate(scores, start=1)
    ]
    ious = [score.to_dict()["class_iou"] for score in scores]
    names = dict.fromkeys(name for iou in ious for name in iou)
    rows = [
        {"IoU %": name, **{f"no. {i}": percent(iou.get(name)) for i, iou in enumerate(ious, start=1)}} for name in names
    ]
    return f"{format_table(summary)}\n\n{format_table(rows)}"
