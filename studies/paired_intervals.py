"""Is a run better than another on these images? Paired bootstrap over the images of a split.

    python studies/paired_intervals.py MANIFEST BASELINE RUN [RUN ...]

mIoU of each run, its difference to the baseline's and the 95 % interval of that over images drawn with replacement.
It says how far the images of the split decide, not what another seed of the training would give.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agmm.data.masked_images import read_masked_images, to_network
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest, read_manifest

_DRAWS = 2000


@torch.inference_mode()
def confusions(manifest: Manifest, run: Path, split: str, classes_known: bool) -> NDArray[np.int64]:
    """Pixels by true and predicted class of each image, shape (images, classes, classes)."""
    model, num = load_run(run).model.eval(), manifest.label_space.num_classes
    counts = []
    for image in read_masked_images(manifest, [row for row in manifest.rows_of(split) if row.full_mask]):
        logits, truth = model(to_network(image.image, "cpu")).logits[0], image.target
        real = truth < num
        if classes_known:
            absent = torch.bincount(truth[real], minlength=num) == 0
            logits = logits.masked_fill(absent[:, None, None], -torch.inf)
        predicted = logits.argmax(0)
        counts.append(torch.bincount(truth[real] * num + predicted[real], minlength=num * num).view(num, num).numpy())
    return np.stack(counts)


def mean_iou(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean IoU over the classes that occur, of confusions of shape (..., classes, classes)."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(-1) + confusion.sum(-2) - right
    return np.nanmean(np.where(union > 0, right / np.maximum(union, 1), np.nan), axis=-1)


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--classes-known", action="store_true", help="predict only classes of the image's full mask: what is left of "
        "the differences is how well regions are found, not which classes an image holds"
    )  # fmt: skip
    args = parser.parse_args()
    manifest = read_manifest(args.manifest)
    found = [confusions(manifest, run, args.split, args.classes_known) for run in args.runs]
    rng = np.random.default_rng(0)
    weights = rng.multinomial(len(found[0]), np.full(len(found[0]), 1 / len(found[0])), size=_DRAWS)
    drawn = [100 * mean_iou(np.tensordot(weights, counts, axes=1)) for counts in found]
    print("| run | mIoU % | against the first | 95 % interval |\n| --- | --- | --- | --- |")
    for run, counts, scores in zip(args.runs, found, drawn, strict=True):
        low, high = np.percentile(scores - drawn[0], (2.5, 97.5))
        miou = 100 * float(mean_iou(counts.sum(0)))
        difference = miou - 100 * float(mean_iou(found[0].sum(0)))
        print(f"| `{run}` | {miou:.1f} | {difference:+.1f} | {low:+.1f} to {high:+.1f} |")


if __name__ == "__main__":
    main()
