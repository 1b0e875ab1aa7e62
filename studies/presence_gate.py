"""How much is gained where a classifier says which classes an image holds, learnt from the same clicks?

    python studies/presence_gate.py MANIFEST BASELINE RUN [RUN ...]

For annotations that reach every class of an image. Of each run, its features and probabilities are pooled over each
training image, and a logistic regression a class learns from them whether the class is labelled in the image; its
regularisation is chosen by cross-validation on these images. On the val split the probabilities of a pixel are then
multiplied by those of the image's classes. Printed are mIoU as it is and gated, the 95 % interval of the gated one's
difference to the first run as it is (paired bootstrap over images), and mIoU with the true classes known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from paired_intervals import mean_iou
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from agmm.data.masked_images import read_masked_images, to_network
from agmm.models.network import SegmentationModel
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest, read_manifest

_STRENGTHS = (0.001, 0.003, 0.01, 0.03)


def pooled(model: SegmentationModel, images: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
    """Probabilities of one image, (C, H, W), and what a classifier of it is shown."""
    deepest = model.encoder((images - model.image_mean) / model.image_std)[-1]
    logits, features = model(images)
    probs = logits.softmax(1)[0]
    flat = probs.flatten(1)
    largest = flat.topk(max(1, flat.shape[1] // 100), dim=1).values.mean(1)
    shares = torch.stack([flat.mean(1), largest]).clamp(min=1e-6).log().flatten()
    means = [features.mean((2, 3))[0], features.amax((2, 3))[0], deepest.mean((2, 3))[0]]
    return probs, torch.cat([shares, *means]).double().numpy()


def fit(seen: NDArray[np.float64], there: NDArray[np.bool_], unseen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of each class in each unseen image."""
    result = np.empty((len(unseen), there.shape[1]))
    varied = [k for k in range(there.shape[1]) if 5 <= there[:, k].sum() <= len(there) - 5]
    searches = [
        make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=list(_STRENGTHS), cv=3, scoring="neg_log_loss"))
        for _ in varied[:6]  # one strength for all classes, from a few of them
    ]
    chosen = [search.fit(seen, there[:, k])[-1].C_[0] for search, k in zip(searches, varied, strict=False)]
    strength = float(np.median(chosen))
    for k in range(there.shape[1]):
        if k in varied:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
            result[:, k] = model.fit(seen, there[:, k]).predict_proba(unseen)[:, 1]
        else:
            result[:, k] = there[:, k].mean()
    print(f"regularisation C = {strength:g}", flush=True)
    return result


@torch.inference_mode()
def measure(manifest: Manifest, run: Path) -> dict[str, NDArray[np.int64]]:
    """Confusions of each image of the val split, as it is, gated, and with its classes known."""
    model, num = load_run(run).model.eval(), manifest.label_space.num_classes
    train = [row for row in manifest.rows_of("train") if row.full_mask and row.classes_labelled]
    there = np.array([[k in row.classes_labelled for k in range(num)] for row in train])
    seen = [pooled(model, to_network(image.image, "cpu"))[1] for image in read_masked_images(manifest, train)]
    val = [row for row in manifest.rows_of("val") if row.full_mask]
    truths, probs, unseen = [], [], []
    for image in read_masked_images(manifest, val):
        one, vector = pooled(model, to_network(image.image, "cpu"))
        truths.append(image.target), probs.append(one), unseen.append(vector)
    gate = torch.from_numpy(fit(np.array(seen), there, np.array(unseen))).float()
    known = torch.stack([torch.bincount(t[t < num], minlength=num) > 0 for t in truths]).float()
    factors = {"as it is": torch.ones_like(gate), "gated": gate, "classes known": known}
    return {
        name: np.stack([_confusion(p, f, t, num) for p, f, t in zip(probs, factor, truths, strict=True)])
        for name, factor in factors.items()
    }


def _confusion(probs: Tensor, factor: Tensor, truth: Tensor, num: int) -> NDArray[np.int64]:
    predicted, real = (probs * factor[:, None, None]).argmax(0), truth < num
    return torch.bincount(truth[real] * num + predicted[real], minlength=num * num).view(num, num).numpy()


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    args = parser.parse_args()
    manifest, first = read_manifest(args.manifest), None
    print("| run | as it is | gated | gated against the first | 95 % interval | classes known |\n|" + " --- |" * 6)
    for run in args.runs:
        found = measure(manifest, run)
        first = found["as it is"] if first is None else first
        draws = np.random.default_rng(0).multinomial(len(first), np.full(len(first), 1 / len(first)), size=2000)
        apart = [mean_iou(np.tensordot(draws, counts, axes=1)) for counts in (found["gated"], first)]
        low, high = 100 * np.percentile(apart[0] - apart[1], (2.5, 97.5))
        whole = {name: 100 * float(mean_iou(counts.sum(0))) for name, counts in found.items()}
        gain = whole["gated"] - 100 * float(mean_iou(first.sum(0)))
        cells = f"{whole['as it is']:.1f} | {whole['gated']:.1f} | {gain:+.1f} | {low:+.1f} to {high:+.1f}"
        print(f"| `{run}` | {cells} | {whole['classes known']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
