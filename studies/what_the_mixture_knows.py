"""How much do the Gaussians of trained networks know about their training images, beside the segmentation itself?

    python studies/what_the_mixture_knows.py MANIFEST RUN [RUN ...]

Of each run, over training images with a full mask: mIoU of the segmentation, of the segmentation limited to the
classes that are labelled in the image, and of the class with the highest Gaussian; the share of pixels whose true
class is not labelled in their image; and the means of the Gaussian of the true class and of the highest other one at
the pixels whose class is labelled. L_self pulls the predictions towards these.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from agmm.data.masked_images import read_masked_images, to_network
from agmm.evaluation.metrics import ConfusionMatrix
from agmm.losses.mixture import mixture_probs
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest, read_manifest
from data_manifests.manifest.rows import read_row_annotation


@torch.inference_mode()
def measure(manifest: Manifest, run: Path, num_images: int) -> list[str]:
    """The cells of one run's row."""
    loaded = load_run(run)
    model, options = loaded.model.eval(), loaded.info.config.mixture()
    num_classes, void = manifest.label_space.num_classes, manifest.label_space.unlabelled_value
    plain, limited, gaussian = (ConfusionMatrix(num_classes) for _ in range(3))
    missed = pixels = 0
    of_true, of_other = 0.0, 0.0
    rows = [row for row in manifest.rows if row.annotation and row.full_mask]
    for image in read_masked_images(manifest, rows[:: max(1, len(rows) // num_images)][:num_images]):
        out = model(to_network(image.image, "cpu"))
        sparse = torch.from_numpy(read_row_annotation(manifest, image.row).astype(np.int64))
        valid = torch.ones_like(sparse, dtype=torch.bool)
        density = mixture_probs(out.features, out.logits, sparse[None], valid[None], options, ignore_index=void)[0]
        probs, truth = out.logits.softmax(1)[0], image.target
        known = torch.zeros(num_classes, dtype=torch.bool)
        known[sparse[sparse != void]] = True
        plain.update(probs.argmax(0), truth, void)
        limited.update((probs * known[:, None, None]).argmax(0), truth, void)
        gaussian.update(density.argmax(0), truth, void)
        real = truth != void
        there = real & known[truth.where(real, 0)]
        missed, pixels = missed + int((real & ~there).sum()), pixels + int(there.sum())
        true_class = torch.nn.functional.one_hot(truth.where(real, 0), num_classes).permute(2, 0, 1).bool()
        of_true += float(density[true_class & there].sum())
        of_other += float(density.masked_fill(true_class, 0).amax(0)[there].sum())
    scores = [f"{100 * matrix.mean_iou():.1f}" for matrix in (plain, limited, gaussian)]
    share = 100 * missed / (missed + pixels)
    return [*scores, f"{share:.1f}", f"{of_true / pixels:.2f}", f"{of_other / pixels:.2f}"]


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=120, help="training images, spread evenly (120)")
    args = parser.parse_args()
    manifest = read_manifest(args.manifest)
    head = ["run", "segmentation", "limited to labelled classes", "highest Gaussian", "pixels of unlabelled classes, %"]
    print(f"| {' | '.join([*head, 'Gaussian of the true class', 'highest other'])} |\n|{' --- |' * 7}")
    for run in args.runs:
        print(f"| {' | '.join([f'`{run}`', *measure(manifest, run, args.images)])} |", flush=True)


if __name__ == "__main__":
    main()
