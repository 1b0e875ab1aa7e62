"""Small manifests on disk, for the tests of everything that reads one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_manifests import LabelClass, LabelSpace, Manifest, ManifestInfo, ManifestRow, Mark
from data_manifests.colors import voc_color
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map, pixel_sha256
from data_manifests.label_maps import LabelMap
from data_manifests.manifest.io import write_manifest
from data_manifests.manifest.marks import write_marks

VOID = 255


def letters(*lines: str) -> LabelMap:
    """A label map written out: digits are train ids, ``.`` is void or unlabelled."""
    return np.array([[VOID if c == "." else int(c) for c in line] for line in lines], np.uint8)


def numbered_space(num_classes: int) -> LabelSpace:
    """Classes ``class_0``, ``class_1``, ... whose ids are their train ids."""
    classes = (LabelClass(f"class_{i}", voc_color(i % 255 + 1), (i,)) for i in range(num_classes))
    return LabelSpace("tiny", tuple(classes))


#: Two regions of class 0, one of class 1 with a void pixel beside it, a one-pixel region of class 2.
SCENE = letters(
    "00001111",
    "00001111",
    "0000.111",
    "00001111",
    "11111111",
    "11111121",
    "11111111",
    "00111111",
)


def click_map(full_mask: LabelMap, marks: Sequence[Mark], unlabelled: int = VOID) -> LabelMap:
    """The sparse label map of clicks."""
    sparse = np.full_like(full_mask, unlabelled)
    for mark in marks:
        sparse[mark.row, mark.col] = mark.class_id
    return sparse


def _first_click(full_mask: LabelMap, train_id: int) -> Mark:
    row, col = np.argwhere(full_mask == train_id)[0].tolist()
    return Mark("click", train_id, row, col)


def tiny_manifest(
    folder: Path,
    full_masks: Sequence[LabelMap] = (SCENE, SCENE.T),
    marks: Sequence[Sequence[Mark]] | None = None,
    *,
    sparse_maps: Sequence[LabelMap] | None = None,
    label_space: LabelSpace | None = None,
    num_val: int = 0,
    command: str = "points",
) -> Manifest:
    """Write a dataset, its annotations and their manifest, as a command of sparsekit would.

    Args:
        folder: Gets ``data/`` (images and masks), ``sparse/`` (annotations), ``manifest.csv`` and ``marks.csv``.
        full_masks: Train ids of each image, shape (H, W); each image shows its mask in class colours.
        marks: Marks of each image; two clicks, on the first pixel of class 0 and of class 1, when not given.
        sparse_maps: Sparse label map of each image; the marks, taken for clicks, when not given.
        label_space: Three numbered classes when not given.
        num_val: How many of the last images form split ``val``, without annotation and marks.
        command: The command the manifest says it comes from.
    """
    space = label_space or numbered_space(3)
    void = space.unlabelled_value
    if marks is None:
        marks = [[_first_click(mask, train_id) for train_id in (0, 1)] for mask in full_masks]
    if sparse_maps is None:
        sparse_maps = [click_map(mask, image_marks, void) for mask, image_marks in zip(full_masks, marks, strict=True)]
    rows = []
    for i, (mask, sparse) in enumerate(zip(full_masks, sparse_maps, strict=True)):
        colors = np.zeros((void + 1, 3), np.uint8)
        colors[: space.num_classes] = space.palette
        write_atomically(folder / f"data/images/image_{i}.png", encode_image(colors[mask]))
        write_atomically(folder / f"data/masks/image_{i}.png", encode_label_map(mask, space))
        row = ManifestRow(
            f"image_{i}", "train", f"data/images/image_{i}.png", f"data/masks/image_{i}.png", "",
            mask.shape[0], mask.shape[1], full_mask_sha256=pixel_sha256(mask),
        )  # fmt: skip
        if i < len(full_masks) - num_val:
            write_atomically(folder / f"sparse/image_{i}.png", encode_label_map(sparse, space))
            labels = sparse[sparse != void]
            row = ManifestRow(
                row.image_id, "train", row.image, row.full_mask, f"sparse/image_{i}.png", row.height, row.width,
                labels.size, tuple(np.unique(labels).tolist()), row.full_mask_sha256, pixel_sha256(sparse),
            )  # fmt: skip
        else:
            row = ManifestRow(row.image_id, "val", *[getattr(row, f) for f in ("image", "full_mask", "annotation",
                              "height", "width", "num_labelled", "classes_labelled", "full_mask_sha256")])  # fmt: skip
        rows.append(row)
    manifest = Manifest(folder / "manifest.csv", tuple(rows), ManifestInfo(space, command=command, dataset="tiny"))
    write_manifest(manifest)
    annotated = len(full_masks) - num_val
    write_marks(folder / "marks.csv", sorted((f"image_{i}", marks[i]) for i in range(annotated)))
    return manifest
