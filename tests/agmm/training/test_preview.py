from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agmm.data.masked_images import read_masked_images, to_network
from agmm.inference.protocols import Protocol
from agmm.runs.checkpoint import load_run
from agmm.training.preview import draw_predictions
from agmm.training.train import train_network
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run
from tests.helpers.trainings import CONFIG


def test_image_prediction_and_truth_side_by_side(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path))
    model = load_run(tiny_run(tmp_path / "run", manifest)).model.train()
    drawn = draw_predictions(model, manifest, manifest.rows, Protocol(), torch.device("cpu"))
    assert list(drawn) == ["a00", "a01", "a02"] and model.training
    (sample,) = read_masked_images(manifest, manifest.rows[1:2])
    with torch.inference_mode():
        preds = model.eval()(to_network(sample.image, "cpu")).logits[0].argmax(0).numpy()
    image, predicted, truth = np.split(drawn["a01"], 3, axis=1)
    palette = manifest.label_space.palette
    assert np.array_equal(image, sample.image.permute(1, 2, 0).numpy())
    assert np.array_equal(predicted, palette[preds])
    known = sample.target.numpy() != 255
    assert np.array_equal(truth[known], palette[sample.target.numpy()[known]])


def test_a_training_shows_classes_and_images(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path))
    train_network(manifest, CONFIG, tmp_path / "run", quiet=True)
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))  # type: ignore[no-untyped-call]
    events.Reload()  # type: ignore[no-untyped-call]
    tags = events.Tags()  # type: ignore[no-untyped-call]
    assert {f"val_iou/c{i}" for i in range(4)} <= set(tags["scalars"]) and tags["images"] == ["val/a03"]
    shown = events.Images("val/a03")  # type: ignore[no-untyped-call]
    assert [event.step for event in shown] == list(range(1, CONFIG.epochs + 1))
    assert Image.open(io.BytesIO(shown[-1].encoded_image_string)).size == (3 * 96, 64)
