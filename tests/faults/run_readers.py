"""Readers of files of runs and studies, which need torch; see :mod:`tests.faults.readers`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agmm.config.recipes import load_config, read_toml
from agmm.config.training import TrainConfig
from agmm.data.soft_labels import SoftLabels, read_row_soft_labels, soft_labels_path, write_soft_labels
from agmm.evaluation.per_image import compare_per_image
from agmm.inference.predict import predict_images
from agmm.inference.sources import find_images
from agmm.losses.build import build_loss
from agmm.report.budget import budget_table, budgets_of_study
from agmm.report.run import read_run
from agmm.runs.checkpoint import load_run
from agmm.runs.pretrained import load_pretrained, save_pretrained
from agmm.runs.scores import read_records
from agmm.studies.results import read_results
from agmm.studies.study import read_study
from agmm.training.initial_weights import initial_notice, load_initial_weights, require_initial_weights
from agmm.training.stages import require_same_start
from data_manifests import Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.agmm.report.written_runs import write_run
from tests.faults.readers import Reader, text_reader

_STUDY = """seeds = [0, 1]
manifests = ["m"]
split = "val"
protocol = "whole"
baseline = "a"
[[setting]]
name = "a"
loss = { use_con = false }
[[setting]]
name = "b"
stages = 2
pseudo_classes = "all"
loss_kind = "combined"
loss = { absence = 0.5, gated_crf = { weight = 0.1, radius = 3 } }
"""
_TERMS = """loss_kind = "combined"
epochs = 3
learning_rate = 0.01
crop_size = [32, 32]
[loss]
absence = 1
agmm = { weight = 0.5, use_con = false, self_target = "density" }
gated_crf = { weight = 0.1, radius = 5, sigma_rgb = 0.1 }
mean_teacher = { threshold = 0.6, classes = "image", soft = false }
"""
_RESULTS = """annotation,setting,stages,seed,split,protocol,miou,pixel_accuracy,best_epoch,run,settings_sha256
20 clicks,a,1,0,val,whole,0.5,0.6,1,runs/a,00
"""
_PER_IMAGE = "split,protocol,image_id,class,true_pixels,predicted_pixels,right_pixels,iou\n" + "".join(
    f"val,whole,{image},{name},10,{8 + image},{6 + image},0.5\n" for image in range(3) for name in ("road", "car")
)


def write_run_readers(root: Path) -> dict[str, Reader]:
    """Write a whole file for each reader, and return them by name."""
    manifest = read_manifest(tiny_manifest(root / "tiny", 2, (16, 16), splits=("train",)))
    run = write_run(root / "run", manifest, decoder_channels=16, aspp_rates=(1,))
    (run / "config.toml").write_text(TrainConfig().to_toml())
    return _of_run(run) | _of_settings(root) | _of_networks(root, run, manifest) | _of_soft_labels(root, manifest)


def _of_run(run: Path) -> dict[str, Reader]:
    def report(folder: Path) -> object:
        return read_run(folder, "run"), read_records(folder)

    def settings(folder: Path) -> object:
        return load_config(config_path=folder / "config.toml"), read_toml(folder / "config.toml")

    return {
        "run.json": Reader(run, "run.json", report),
        "log.csv": Reader(run, "log.csv", report),
        "evaluation.json": Reader(run, "evaluation.json", report),
        "config.toml": Reader(run, "config.toml", settings),
        "weights": Reader(run, "weights.safetensors", load_run),
        "weights to report": Reader(run, "weights.safetensors", report),
    }


def _of_settings(root: Path) -> dict[str, Reader]:
    summary = root / "stages"
    (summary / "stage-2").mkdir(parents=True)
    (summary / "stage-2/state.safetensors").touch()
    (summary / "stages.json").write_text(json.dumps({"start": "fresh", "stages": [{"stage": 1}]}))
    return {
        "study.toml": text_reader(root, "study.toml", _STUDY, read_study),
        "terms.toml": text_reader(
            root, "terms.toml", _TERMS, lambda path: build_loss(load_config("small-data", config_path=path))
        ),
        "results.csv": text_reader(root, "results.csv", _RESULTS, read_results),
        "results.csv of a budget": text_reader(
            root / "budget", "results.csv", _RESULTS, lambda path: budget_table(budgets_of_study(path, lambda _: None))
        ),
        "per_image.csv": text_reader(root, "per_image.csv", _PER_IMAGE, lambda path: compare_per_image(path, path)),
        "stages.json": Reader(
            summary,
            "stages.json",
            lambda copy: require_same_start(copy / "stages.json", copy / "stage-2", "fresh"),
        ),
    }


def _of_networks(root: Path, run: Path, manifest: Manifest) -> dict[str, Reader]:
    model = load_run(run).model
    save_pretrained(model, root / "pretrained")
    config = load_run(run).info.config

    def init(folder: Path) -> object:
        ours = replace(config, init=str(folder))
        require_initial_weights(ours, model.config)
        load_initial_weights(model, ours, manifest.label_space)
        return list(initial_notice(ours, manifest.label_space))

    def predict(folder: Path) -> object:
        out = folder / "exported"
        return predict_images(run, find_images([folder / "images"], out), out, device="cpu", on_problem=lambda _: None)

    return {
        "weights to start from": Reader(run, "weights.safetensors", init),
        "config.json": Reader(root / "pretrained", "config.json", load_pretrained),
        "model.safetensors": Reader(root / "pretrained", "model.safetensors", load_pretrained),
        "image to predict": Reader(root / "tiny", "images/a00.png", predict),
    }


def _of_soft_labels(root: Path, manifest: Manifest) -> dict[str, Reader]:
    row = manifest.rows[0]
    shares = np.zeros((3, 16, 16), np.uint8)
    shares[0] = 255
    write_soft_labels(soft_labels_path(manifest.resolve(row.annotation)), SoftLabels(shares * 0, shares))

    def soft(folder: Path) -> object:
        there: Any = read_manifest(folder / "manifest.csv")
        return read_row_soft_labels(there, there.rows[0])

    return {"soft labels": Reader(root / "tiny", row.annotation.replace(".png", ".npz"), soft)}
