"""How much is gained by weighting pixels with the classes of the image, predicted or known?

    python studies/weight_of_presence.py MANIFEST RUN [RUN ...]

mIoU in % on the val split of each run as it would be with the classifier of the image ignored, as it is, with its
probabilities squared, and with the true classes of each image known; then the classifier's mean average precision over
the classes that some images hold and others do not. Runs without `presence` have the first and the fourth alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from paired_intervals import mean_iou
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from agmm.data.masked_images import read_masked_images, to_network
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest, read_manifest

#: Powers of the classifier's probabilities, by column.
_POWERS = {"ignored": 0.0, "as it is": 1.0, "squared": 2.0}


@torch.inference_mode()
def measure(manifest: Manifest, run: Path) -> dict[str, float]:
    """The columns of one run."""
    model, num = load_run(run).model.eval(), manifest.label_space.num_classes
    confusion: dict[str, NDArray[np.int64]] = {}
    scores, held = [], []
    for image in read_masked_images(manifest, [row for row in manifest.rows_of("val") if row.full_mask]):
        out = model(to_network(image.image, "cpu"))
        real = image.target < num
        there = torch.bincount(image.target[real], minlength=num) > 0
        log_probs = torch.zeros(num) if out.presence is None else F.logsigmoid(out.presence[0])
        plain = out.logits[0] - log_probs[:, None, None]
        weights = {name: power * log_probs for name, power in _POWERS.items() if out.presence is not None or not power}
        weights["classes known"] = torch.where(there, 0.0, -1e9)
        for name, weight in weights.items():
            predicted = (plain + weight[:, None, None]).argmax(0)
            confusion[name] = confusion.get(name, 0) + _counts(image.target[real], predicted[real], num)
        scores.append(log_probs.numpy())
        held.append(there.numpy())
    found = {name: 100 * float(mean_iou(counts)) for name, counts in confusion.items()}
    if model.presence is not None:
        truth, guess = np.array(held), np.array(scores)
        mixed = [k for k in range(num) if 0 < truth[:, k].sum() < len(truth)]
        found["precision"] = float(np.mean([average_precision_score(truth[:, k], guess[:, k]) for k in mixed]))
    return found


def _counts(truth: Tensor, predicted: Tensor, num: int) -> NDArray[np.int64]:
    return torch.bincount(truth * num + predicted, minlength=num * num).view(num, num).numpy()


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    columns = [*_POWERS, "classes known", "precision"]
    print(f"| run | {' | '.join(columns)} |\n|" + " --- |" * (len(columns) + 1))
    for run in arguments.runs:
        found = measure(read_manifest(arguments.manifest), run)
        cells = [f"{found[name]:.{2 if name == 'precision' else 1}f}" if name in found else "" for name in columns]
        print(f"| `{run}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
