"""Run by test_other_device.py in a process of its own: all that agmm computes, on a device that is not the CPU.

Usage: python -m tests.helpers.on_a_device MANIFEST OUT
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import numpy as np
import torch

from agmm.config.terms import TERM_OPTIONS

SETTINGS: dict[str, Any] = {
    "encoder": "mobilenetv3_small_050.lamb_in1k", "aspp_rates": [1], "decoder_channels": 32, "crop_size": [48, 48],
    "batch_size": 2, "accumulate": 2, "epochs": 2, "clip_norm": 1.0, "ema_decay": 0.5, "gmm_images": 1, "workers": 0,
}  # fmt: skip

#: Trainings that between them take every path through the loss, and both decoders.
TRAININGS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"preset": "released", "optimizer": "sgd"},
    "batch": {
        "loss": {"self_target": "responsibility", "prototypes": "batch", "classes": "batch", "absence_weight": 1.0}
    },
    "combined": {
        "loss_kind": "combined",
        "loss": dict.fromkeys(TERM_OPTIONS, 0.1)
        | {"mean_teacher": {"start": 0.0, "threshold": 0.0, "strong": 0.5}, "gated_crf": {"radius": 1}},
    },
    "fused": {"encoder": "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "supervision": "full", "ema_decay": 0.0},
}


def run_everything(manifest_path: Path, out: Path, device: torch.device) -> None:
    """Train, resume, train in stages, evaluate by every protocol, predict, and do what figures need."""
    # Not above: modules look up torch.inference_mode as they are imported, and a pretended device replaces it.
    from agmm.config.protocol import PROTOCOLS
    from agmm.config.training import TrainConfig
    from agmm.evaluation.evaluate_run import evaluate_run
    from agmm.inference.predict import predict_images
    from agmm.inference.protocols import Protocol
    from agmm.inference.sources import find_images
    from agmm.report.predictions import predict_rows
    from agmm.report.runs import read_runs
    from agmm.report.tsne import sample_pixels
    from agmm.training.stages import run_stages
    from agmm.training.train import train_network
    from data_manifests import read_manifest

    manifest = read_manifest(manifest_path)
    rows = manifest.rows_of("train")[:1]
    with ExitStack() as patched:
        for module in ("agmm.distributed", "agmm.inference.predict"):
            patched.enter_context(patch(f"{module}.choose_device", lambda name: device))
        for name, changes in TRAININGS.items():
            config = TrainConfig.from_dict(SETTINGS | changes)
            train_network(manifest, replace(config, epochs=1), out / name, quiet=True)
            train_network(manifest, config, out / name, resume=True, quiet=True)
        short = TrainConfig.from_dict(SETTINGS | {"epochs": 1})
        scales = Protocol("multi-scale", scales=(0.5, 1.0))
        run_stages(manifest, short, out / "stages", protocol=scales, soft=True, start="warm", quiet=True)
        for protocol in PROTOCOLS:
            tiled = Protocol(protocol, tile_size=None if protocol == "whole" else 40)
            evaluate_run(out / "paper", manifest, split="train", protocol=tiled, boundary=True, gmm=True, limit=1)
        images = find_images([manifest_path.parent / "images"], out / "predicted")
        predict_images(
            out / "paper", images, out / "predicted", overlays=True, probabilities=True, gmm_manifest=manifest
        )
        pixels = {row.image_id: places for row, places in sample_pixels(manifest, rows)[0]}
        ((prediction,),) = (
            row.predictions for row in predict_rows(read_runs([out / "paper"]), manifest, rows, device, pixels=pixels)
        )
        np.save(out / "features.npy", prediction.features)  # type: ignore[union-attr, arg-type]


def count_waits(device: torch.device, labels_on: torch.device) -> dict[str, int]:
    """How often one step of the loss, forward and backward, waits for the device, by loss."""
    from agmm.losses.agmm import AGMMLoss
    from tests.helpers.pretended_device import waits

    target = torch.full((3, 32, 32), 255)
    target[0, 3, 4:9] = torch.arange(5)
    target[1, 20, 20] = 2
    target, valid = target.to(labels_on), torch.ones(3, 32, 32, dtype=torch.bool).to(labels_on)
    image_classes = torch.ones(3, 5, dtype=torch.bool).to(labels_on)
    counts = {}
    for name, loss in {
        "paper": AGMMLoss("paper"),
        "released": AGMMLoss("released"),
        "batch": AGMMLoss("paper", prototypes="batch", classes="batch"),
    }.items():
        features = torch.rand(3, 8, 8, 8).to(device).requires_grad_()
        logits = torch.randn(3, 5, 32, 32).to(device).requires_grad_()
        for _ in range(2):  # the first step makes what later ones find in caches
            waits.clear()
            total, _ = loss(features, logits, target, valid, image_classes)
            total.backward()
        counts[name] = waits.total()
    return counts


def count_waits_of_training(manifest_path: Path, device: torch.device) -> dict[int, int]:
    """How often a step of a training waits for the device, by the number of batches in a step."""
    from agmm.config.training import TrainConfig
    from agmm.distributed import Ranks
    from agmm.training.state import prepare
    from agmm.training.train import train_epoch
    from data_manifests import read_manifest
    from tests.helpers.pretended_device import waits

    counts = {}
    for accumulate in (1, 1, 4):  # the first makes what later ones find in caches
        config = TrainConfig.from_dict(SETTINGS | {"epochs": 1, "accumulate": accumulate})
        task = prepare(read_manifest(manifest_path), config, Ranks(0, 1, device))
        waits.clear()
        train_epoch(task, 1, Mock())
        counts[accumulate] = waits.total()
    return counts


if __name__ == "__main__":
    from tests.helpers.pretended_device import pretend

    torch.set_num_threads(1)
    manifest, out = map(Path, sys.argv[1:])
    device = pretend()
    run_everything(manifest, out, device)
    waited = {"host": count_waits(device, torch.device("cpu")), "device": count_waits(device, device)}
    waited["training"] = count_waits_of_training(manifest, device)
    (out / "waits.json").write_text(json.dumps(waited))
