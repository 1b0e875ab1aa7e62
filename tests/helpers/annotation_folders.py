"""Annotation folders of miniature datasets in true encodings, for the tests of exports and imports."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_manifests import Dataset, Manifest, open_dataset, read_manifest
from sparsekit.scribbles.settings import ScribbleSettings
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.synthesize import synthesize
from tests.helpers.miniature_datasets import make_camvid, make_cityscapes, make_voc, save_image, save_mask

CLICKS = ClickAnnotator((3,))
SCRIBBLES = ScribbleAnnotator((0.8,), ScribbleSettings(min_area=1, width=3))


def annotated(dataset: Dataset, out: Path, annotator: Annotator = CLICKS) -> Manifest:
    (summary,) = synthesize(dataset, annotator, out)
    return read_manifest(summary.folder / "manifest.csv")


def cityscapes(root: Path, annotator: Annotator = CLICKS) -> Manifest:
    return annotated(open_dataset(make_cityscapes(root / "cityscapes")), root / "sparse", annotator)


def camvid(root: Path, annotator: Annotator = CLICKS) -> Manifest:
    return annotated(open_dataset(make_camvid(root / "camvid")), root / "sparse", annotator)


#: Large enough for strokes of several points: background 0, aeroplane 1, cat 8, a void border.
VOC_LABELS = np.zeros((40, 60), np.uint8)
VOC_LABELS[5:35, 8:20] = 1
VOC_LABELS[10:30, 30:55] = 8
VOC_LABELS[:, 25:27] = 255


def voc(root: Path, annotator: Annotator = CLICKS) -> Manifest:
    devkit = make_voc(root / "voc") / "VOCdevkit" / "VOC2012"
    for i, name in enumerate(("2007_000001", "2007_000002")):
        save_image(devkit / "JPEGImages" / f"{name}.jpg", (40, 60))
        save_mask(devkit / "SegmentationClass" / f"{name}.png", np.roll(VOC_LABELS, i, axis=1), palette=True)
        save_mask(devkit / "SegmentationObject" / f"{name}.png", np.roll(VOC_LABELS, i, axis=1), palette=True)
    return annotated(open_dataset(root / "voc"), root / "sparse", annotator)
