"""Where the processor time of the demo's training goes.

    OMP_NUM_THREADS=1 python benchmarks/training_time.py

Trains the network of `make demo` (80 built-in scenes, 50 clicks each, the recipe small-cpu) on one thread, with samples
drawn in the same process, and prints the seconds of each part per epoch. Seconds are those of the processor, which
other programs of a busy machine do not take part in.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import cv2
import torch
from parts import Parts
from torch.optim.swa_utils import AveragedModel

import agmm.data.dataset as dataset
import agmm.training.train as train
from agmm import load_config
from agmm.losses.agmm import AGMM
from agmm.memory import keep_freed_memory
from agmm.models.network import SegmentationModel
from agmm.training.run_log import RunLog
from data_manifests import read_manifest


def after(function: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    """The function, and another one after each call."""

    @wraps(function)
    def both(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        then()
        return result

    return both


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, help="epochs; every second one is validated")
    args = parser.parse_args()
    if args.epochs < 4:
        parser.error("--epochs must be at least 4: the first two are left out.")
    keep_freed_memory()  # as the commands do
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    parts = Parts(("validation",))
    parts.time("decode images and labels", dataset, "read_row_image")
    parts.time("decode images and labels", dataset.ManifestDataset, "labels")
    parts.time("crop, scale, mirror", dataset.ManifestDataset, "__getitem__")
    parts.time("forward", SegmentationModel, "forward")
    parts.time("loss", AGMM, "forward")
    parts.time("backward", torch.Tensor, "backward")
    parts.time("optimiser and moving average", torch.optim.AdamW, "step")
    parts.time("optimiser and moving average", AveragedModel, "update_parameters")
    parts.time("optimiser and moving average", torch.nn.utils, "clip_grad_norm_")
    parts.time("validation", train, "evaluate_rows")
    parts.time("validation", train, "score_training_images")
    parts.time("checkpoints", train, "save_checkpoint")
    RunLog.epoch = after(RunLog.epoch, parts.end_round)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for command in (["demo-data", "town", "--images", "80"], ["points", "town", "--clicks", "50"]):
            subprocess.run([sys.executable, "-m", "sparsekit", *command], cwd=here, check=True, capture_output=True)
        manifest = read_manifest(here / "sparse" / "town-50clicks" / "manifest.csv")
        overrides = {"epochs": args.epochs, "workers": 0, "val_every": 2, "gmm_images": 4, "device": "cpu"}
        train.train_network(manifest, load_config("small-cpu", overrides=overrides), here / "run", quiet=True)
    # The first epochs also read all labels and start the run; two epochs make a pair with one validation.
    pairs = list(zip(parts.rounds[2::2], parts.rounds[3::2], strict=True))
    names = list(dict.fromkeys(name for epoch in parts.rounds for name in epoch))
    seconds = {name: [(a.get(name, 0.0) + b.get(name, 0.0)) / 2 for a, b in pairs] for name in names}
    whole = [sum(of_pair) for of_pair in zip(*seconds.values(), strict=True)]
    print("| part | seconds per epoch | share |\n| --- | --- | --- |")
    for name in sorted(names, key=lambda name: -statistics.median(seconds[name])):
        own = seconds[name]
        share = statistics.median(part / total for part, total in zip(own, whole, strict=True))
        print(f"| {name} | {statistics.median(own):.2f} ({min(own):.2f}–{max(own):.2f}) | {100 * share:.1f} % |")
    print(f"| all | {statistics.median(whole):.2f} ({min(whole):.2f}–{max(whole):.2f}) | |")


if __name__ == "__main__":
    main()
