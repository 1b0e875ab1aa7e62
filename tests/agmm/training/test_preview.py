from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from agmm.data.masked_images import read_masked_images, to_network
from agmm.inference.protocols import Protocol
from agmm.runs.checkpoint import load_run
from agmm.training.preview import draw_predictions
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run


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
