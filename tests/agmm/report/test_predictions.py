from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from agmm.config.loss import resolve_options
from agmm.data.masked_images import image_tensor, to_network
from agmm.errors import TrainingError
from agmm.inference.protocols import predict_mixture
from agmm.losses.mixture import mixture_probs
from agmm.models.network import SegmentationOutput
from agmm.report.predictions import _fit, image_miou, predict_rows, read_features
from agmm.report.run import Run
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest
from data_manifests.files.images import read_image
from data_manifests.manifest.rows import read_row_annotation
from tests.agmm.conftest import tiny_label_space

SPACE = tiny_label_space()


def test_predictions_are_those_of_the_network_and_of_the_mixture(town: tuple[Manifest, list[Run]]) -> None:
    manifest, (_, run) = town
    loaded = load_run(run.folder)
    rows = manifest.rows[2:4]  # one annotated, one not
    for row, predicted in zip(rows, predict_rows([run], manifest, rows, "cpu"), strict=True):
        (prediction,) = predicted.predictions
        assert prediction is not None and prediction.features is None and predicted.images.row is row
        image = image_tensor(read_image(manifest.resolve(row.image)))
        with torch.inference_mode():
            logits = loaded.model(to_network(image, "cpu")).logits
            assert np.array_equal(prediction.segmentation, logits[0].argmax(0).numpy())
            if not row.annotation:
                assert prediction.by_mixture is None and prediction.mixture is None
                continue
            mixture = predict_mixture(loaded.model, manifest, row, image, run.options, "cpu")
        assert prediction.by_mixture is not None and prediction.mixture is not None
        assert np.array_equal(prediction.by_mixture, mixture[0].argmax(0).numpy())
        labels = read_row_annotation(manifest, row)
        assert prediction.mixture.classes.tolist() == list(row.classes_labelled)
        assert prediction.mixture.num_labelled.tolist() == [int((labels == c).sum()) for c in row.classes_labelled]
        assert prediction.mixture.prototypes.shape == (len(row.classes_labelled), run.info.config.decoder_channels)


def test_a_image_that_is_missing_has_no_prediction(town: tuple[Manifest, list[Run]]) -> None:
    manifest, (run, _) = town
    gone = replace(manifest.rows[0], image="gone.png")
    (predicted,) = predict_rows([run, run], manifest, [gone], "cpu")
    assert predicted.predictions == (None, None)
    assert "gone.png: no such file" in predicted.images.problems[0]


def test_features_are_read_as_if_all_were_brought_to_the_images_size(town: tuple[Manifest, list[Run]]) -> None:
    manifest, (_, run) = town
    row = manifest.rows[1]
    positions = np.array([[0, 0], [63, 95], [17, 40], [30, 2]])
    found = read_features(run, manifest, [(row, positions), (manifest.rows[0], positions[:1])], "cpu")
    image = image_tensor(read_image(manifest.resolve(row.image)))
    with torch.inference_mode():
        features = load_run(run.folder).model(to_network(image, "cpu")).features
        large = F.interpolate(features, size=(64, 96), mode="bilinear", align_corners=False)[0]
    expected = large[:, positions[:, 0], positions[:, 1]].T.numpy()
    assert found.shape == (5, run.info.config.decoder_channels)
    assert found[:4] == pytest.approx(expected, abs=1e-4)
    (predicted,) = predict_rows([run], manifest, [row], "cpu", pixels={row.image_id: positions})
    (prediction,) = predicted.predictions
    assert prediction is not None and prediction.features == pytest.approx(expected, abs=1e-4)


def test_the_classes_of_the_mixture_are_those_of_its_probabilities() -> None:
    """With densities of 0, which an image far from its prototypes has, and with few of many classes labelled."""
    generator = torch.Generator().manual_seed(0)
    space = tiny_label_space(9)
    annotation = np.full((24, 36), 255, np.uint8)
    annotation[3, 4], annotation[20, 30], annotation[21, 5], annotation[5, 30] = 7, 2, 2, 4
    features = 3 * torch.rand((1, 8, 6, 9), generator=generator)
    features[:, :, 2:4, 3:6] += 1e4  # so far that every density is 0 in the middle
    logits = torch.randn((1, 9, 24, 36), generator=generator)
    options = resolve_options("paper", variance="fixed")
    found, fitted = _fit(SegmentationOutput(logits, features), annotation, space, options)
    target = torch.from_numpy(annotation.astype(np.int64))[None]
    probs = mixture_probs(features, logits, target, torch.ones_like(target, dtype=torch.bool), options)[0]
    expected = np.where(probs.amax(0) == 0, 255, probs.argmax(0))
    assert fitted is not None and fitted.classes.tolist() == [2, 4, 7]
    assert np.array_equal(found, expected) and set(np.unique(expected)) == {2, 4, 7, 255}


def test_miou_of_an_image_against_sets() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        truth = rng.choice([0, 1, 2, 255], (6, 7)).astype(np.uint8)
        preds = rng.integers(0, 3, (6, 7)).astype(np.uint8)
        known = truth != 255
        scores = []
        for c in range(4):
            union = known & ((truth == c) | (preds == c))
            if union.any():
                scores.append((known & (truth == c) & (preds == c)).sum() / union.sum())
        assert image_miou(preds, truth, SPACE) == pytest.approx(100 * np.mean(scores))
    assert image_miou(preds, np.full_like(preds, 255), SPACE) is None


def test_other_classes_are_refused(town: tuple[Manifest, list[Run]]) -> None:
    manifest, (run, _) = town
    other = replace(manifest, info=replace(manifest.info, label_space=tiny_label_space(3)))
    with pytest.raises(TrainingError, match="does not fit a network"):
        next(predict_rows([run], other, manifest.rows, "cpu"))
