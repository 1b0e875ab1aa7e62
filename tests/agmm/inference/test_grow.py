"""Labels grown by features, against a literal version and an encoder whose features can be seen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from agmm.config.growing import FeatureGrowSettings
from agmm.inference.grow import FeatureGrower, grow_by_features, verify_features
from cli.agmm_cli import main
from cli.sparsekit_cli import main as sparsekit
from data_manifests import DataError, Manifest, read_manifest, read_row_annotation, read_row_full_mask, read_row_image
from tests.agmm.conftest import tiny_manifest
from tests.helpers.real_data import real_data

SMALL = "mobilenetv3_small_050.lamb_in1k"


class Colours(nn.Module):
    """An encoder whose only level is the mean colour of each 4x4 block."""

    strides = (4,)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(images, 4)]

    def without_padding(self, features: Tensor, images: Tensor) -> Tensor:
        return features


def grower_of_colours(size: int, **limits: Any) -> FeatureGrower:
    settings = FeatureGrowSettings("any", "none", size=size, **limits)
    return FeatureGrower(Colours(), torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1), settings, torch.device("cpu"))  # type: ignore[arg-type]


def half_red_half_blue(width: int = 48) -> NDArray[np.uint8]:
    image = np.zeros((16, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 2] = 200
    return image


def test_labels_spread_over_the_pixels_that_look_alike() -> None:
    image, sparse = half_red_half_blue(), np.full((16, 48), 255, np.uint8)
    sparse[3, 2], sparse[12, 45] = 7, 4
    grown = grower_of_colours(48).grow(sparse, image, 255)
    assert (grown[:, :22] == 7).all() and (grown[:, 26:] == 4).all()
    assert set(np.unique(grown)) == {4, 7}


def test_a_single_class_does_not_spread_beyond_the_distance() -> None:
    image, sparse = half_red_half_blue(), np.full((16, 48), 255, np.uint8)
    sparse[3, 2] = 7
    grown = grower_of_colours(48).grow(sparse, image, 255)
    assert (grown[:, :22] == 7).all() and (grown[:, 26:] == 255).all()
    assert (grower_of_colours(48, max_distance=2.0).grow(sparse, image, 255) == 7).all()


def test_labels_stay_whatever_the_features_say() -> None:
    image = half_red_half_blue()
    sparse = np.full((16, 48), 255, np.uint8)
    sparse[3, 2], sparse[12, 45], sparse[5, 5] = 7, 4, 4  # the last one on the wrong colour
    grown = grower_of_colours(48).grow(sparse, image, 255)
    assert grown[5, 5] == 4 and grown[3, 2] == 7 and (grown[:, :20] == 255).sum() > 300  # two classes look the same
    nothing = np.full((16, 48), 255, np.uint8)
    np.testing.assert_array_equal(grower_of_colours(48).grow(nothing, image, 255), nothing)


def bilinear(values: NDArray[np.float64], row: float, col: float) -> NDArray[np.float64]:
    """Values at a place between the centres of cells, shape (D,), from shape (D, h, w)."""
    height, width = values.shape[1:]
    row, col = min(max(row, 0), height - 1), min(max(col, 0), width - 1)
    top, left = int(row), int(col)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = row - top, col - left
    upper = values[:, top, left] * (1 - across) + values[:, top, right] * across
    lower = values[:, bottom, left] * (1 - across) + values[:, bottom, right] * across
    return upper * (1 - down) + lower * down


def by_the_book(
    levels: list[NDArray[np.float64]], sparse: NDArray[np.uint8], max_distance: float, confidence: float
) -> NDArray[np.uint8]:
    """What the docstrings say, place by place."""

    def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return vector / max(np.linalg.norm(vector), 1e-12)

    height, width = sparse.shape
    h, w = max((level.shape[1:] for level in levels), key=lambda shape: shape[0])
    features = np.zeros((sum(len(level) for level in levels), h, w))
    for i, j in np.ndindex(h, w):
        parts = []
        for level in levels:
            rows, cols = level.shape[1:]
            parts.append(unit(bilinear(level, (i + 0.5) * rows / h - 0.5, (j + 0.5) * cols / w - 0.5)))
        features[:, i, j] = unit(np.concatenate(parts))
    places = np.argwhere(sparse != 255).tolist()
    classes = sorted({int(sparse[row, col]) for row, col in places})
    distances = np.full((len(classes), h, w), np.inf)
    for row, col in places:
        prototype = unit(bilinear(features, (row + 0.5) * h / height - 0.5, (col + 0.5) * w / width - 0.5))
        k = classes.index(int(sparse[row, col]))
        for i, j in np.ndindex(h, w):
            distances[k, i, j] = min(distances[k, i, j], 1 - prototype @ features[:, i, j])
    grown = sparse.copy()
    for row, col in np.ndindex(height, width):
        here = bilinear(distances, (row + 0.5) * h / height - 0.5, (col + 0.5) * w / width - 0.5)
        order = np.argsort(here)
        first, second = here[order[0]], here[order[1]]
        if sparse[row, col] == 255 and first <= max_distance and second / (first + second) >= confidence:
            grown[row, col] = classes[order[0]]
    return grown


@pytest.mark.parametrize("encoder", [SMALL, "convnext_atto.d2_in1k"])
def test_grows_as_by_the_book(tmp_path: Path, encoder: str) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, size=(32, 48)))
    settings = FeatureGrowSettings(encoder, "none", size=48, confidence=0.55, max_distance=0.7, seed=3)
    grower = FeatureGrower.build(settings, "cpu")
    row = manifest.rows[0]
    image, sparse = read_row_image(manifest, row), read_row_annotation(manifest, row)
    shown = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].float() / 255
    with torch.inference_mode():
        levels = grower.encoder((shown - grower.mean) / grower.std)
    used = [
        level[0].double().numpy() for level, stride in zip(levels, grower.encoder.strides, strict=True) if stride >= 4
    ]
    grown = grower.grow(sparse, image, 255)
    expected = by_the_book(used, sparse, 0.7, 0.55)
    assert (grown != 255).sum() > 12 and (grown == 255).any()
    assert (grown != expected).mean() < 0.002  # where rounding decides
    again = FeatureGrower.build(settings, "cpu").grow(sparse, image, 255)
    np.testing.assert_array_equal(again, grown)


def test_stricter_limits_label_a_subset(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, size=(32, 48)))
    row = manifest.rows[0]
    image, sparse = read_row_image(manifest, row), read_row_annotation(manifest, row)
    grower = FeatureGrower.build(FeatureGrowSettings(SMALL, "none", size=96, max_distance=2, confidence=0.5), "cpu")
    loose = grower.grow(sparse, image, 255)
    for limits in ({"confidence": 0.6}, {"max_distance": 0.1}, {"confidence": 0.7, "max_distance": 0.2}):
        strict = replace(grower, settings=replace(grower.settings, **limits)).grow(sparse, image, 255)  # type: ignore[arg-type]
        kept = strict != 255
        assert kept.sum() < (loose != 255).sum() and (strict[kept] == loose[kept]).all()


def test_dinov2_by_its_name(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, size=(30, 44)))
    grower = FeatureGrower.build(FeatureGrowSettings("vit_small_patch14_dinov2", "none", size=70), "cpu")
    features = grower.features(torch.rand(1, 3, 30, 44))
    assert features.shape[1:] == (4, 5)  # patches of 14 pixels in 48x70, the last row only partly in the image
    row = manifest.rows[0]
    grown = grower.grow(read_row_annotation(manifest, row), read_row_image(manifest, row), 255)
    assert grown.shape == (30, 44)


def agmm_grow(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["grow", *map(str, arguments), "--device", "cpu"])


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path / "sparse/town", size=(32, 48)))


OPTIONS = ("--encoder", SMALL, "--encoder-weights", "none", "--longer-side", 64, "--max-distance", 1)


def test_the_result_is_an_annotation_with_its_provenance(manifest: Manifest) -> None:
    result = agmm_grow(manifest.path, *OPTIONS, "--json")
    assert result.exit_code == 0, result.output
    grown = read_manifest(manifest.path.parents[1] / "town-features")
    summary = json.loads(result.stdout)
    assert summary["manifest"] == str(grown.path) and summary["share_labelled"] > summary["share_labelled_before"]
    settings = grown.info.settings
    assert grown.info.command == "grow" and settings["method"] == "features" and settings["encoder"] == SMALL
    assert (settings["source"], settings["source_sha256"]) == ("../town/manifest.csv", manifest.sha256())
    assert (settings["encoder_weights"], settings["seed"], settings["size"]) == ("none", 0, 64)
    for before, after in zip(manifest.rows, grown.rows, strict=True):
        if not before.annotation:
            assert not after.annotation
            continue
        old, new = read_row_annotation(manifest, before), read_row_annotation(grown, after)
        assert (new[old != 255] == old[old != 255]).all() and after.num_labelled == (new != 255).sum()
    assert CliRunner().invoke(sparsekit, ["validate", str(grown.path)]).exit_code == 0
    again = agmm_grow(manifest.path, *OPTIONS, "--json")
    assert again.exit_code == 0 and json.loads(again.stdout) == summary
    other = agmm_grow(manifest.path, *OPTIONS, "--seed", 1)
    assert other.exit_code == 1 and "holds other labels (seed: 0 there, 1 requested)" in other.stderr
    assert agmm_grow(manifest.path, *OPTIONS, "--seed", 1, "--overwrite").exit_code == 0


def test_an_interrupted_call_resumes_with_equal_bytes(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FeatureGrowSettings(SMALL, "none", size=64, max_distance=1)
    whole = grow_by_features(manifest, settings, manifest.path.parents[1] / "whole", device="cpu")
    grow, calls = FeatureGrower.grow, []

    def broken_off(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return grow(*arguments)

    monkeypatch.setattr(FeatureGrower, "grow", broken_off)
    out = manifest.path.parents[1] / "other"
    with pytest.raises(KeyboardInterrupt):
        grow_by_features(manifest, settings, out, device="cpu")
    assert not out.exists()
    made = grow_by_features(manifest, settings, out, device="cpu")
    assert len(calls) == 4  # the first image is not grown again
    for name in ("manifest.csv", "manifest.json", "annotations/a00.png"):
        assert (made.path.parent / name).read_bytes() == (whole.path.parent / name).read_bytes()


def test_a_call_killed_while_it_replaces_labels_leaves_the_new_ones(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = manifest.path.parents[1] / "grown"
    settings = FeatureGrowSettings(SMALL, "none", size=64)
    grow_by_features(manifest, settings, out, device="cpu")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    settings = replace(settings, max_distance=1)
    with pytest.raises(KeyboardInterrupt):
        grow_by_features(manifest, settings, out, device="cpu", overwrite=True)
    monkeypatch.undo()
    assert read_manifest(out).info.settings["max_distance"] == 1
    assert not verify_features(read_manifest(out), device="cpu")


def verify(path: Path) -> Result:
    return CliRunner().invoke(sparsekit, ["verify", str(path)])


def test_verify_grows_again(manifest: Manifest) -> None:
    weights = manifest.path.parents[1] / "weights.safetensors"
    backbone = FeatureGrower.build(FeatureGrowSettings(SMALL, "none", seed=5), "cpu").encoder.backbone
    save_file({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}, weights)
    settings = FeatureGrowSettings(SMALL, str(weights), size=64, max_distance=1)
    grown = grow_by_features(manifest, settings, device="cpu")
    assert grown.info.settings["encoder_weights"] == "../weights.safetensors" and "seed" not in grown.info.settings
    assert verify_features(grown, device="cpu") == []
    result = verify(grown.path)
    assert result.exit_code == 0 and "3 annotations regenerated, all the same" in result.stdout
    text = grown.path.with_suffix(".json").read_text()
    grown.path.with_suffix(".json").write_text(text.replace('"confidence": 0.6', '"confidence": 0.5'))
    assert verify(grown.path).exit_code == 1 and "the reproduced annotation differs" in verify(grown.path).stdout
    grown.path.with_suffix(".json").write_text(text)
    save_file({name: tensor + 1 for name, tensor in backbone.state_dict().items()}, weights)
    assert "these weights are not those" in verify(grown.path).stderr
    weights.unlink()
    assert (
        verify(grown.path).exit_code == 1 and "weights that it was made with are missing" in verify(grown.path).stderr
    )
    shutil.rmtree(manifest.path.parent / "annotations")
    assert CliRunner().invoke(sparsekit, ["verify", str(grown.path), "--dataset", "x"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--encoder", "mobilenet_v9"), 1, "Unknown encoder 'mobilenet_v9'"),
        (("--encoder", SMALL, "--encoder-weights", "absent.pth"), 1, "absent.pth"),
        (("--encoder", SMALL, "--confidence", "2"), 2, "confidence"),
        (("--encoder", SMALL, "--encoder-weights", "none", "--out", "."), 2, "is the folder of the source"),
        ((), 2, "Missing option '--encoder'"),
    ],
)
def test_wrong_words(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(manifest.path.parent)
    result = agmm_grow("manifest.csv", *arguments)
    assert result.exit_code == code and message in " ".join(result.stderr.split())
    assert not (manifest.path.parents[1] / "town-features").exists()


def test_nothing_annotated(manifest: Manifest) -> None:
    rows = tuple(row for row in manifest.rows if not row.annotation)
    bare = tuple(replace(row, num_labelled=0, classes_labelled=()) for row in manifest.rows)
    for wrong_rows, message in ((rows, "no row is annotated"), (bare, "no annotation has a label")):
        with pytest.raises(DataError, match=message):
            grow_by_features(replace(manifest, rows=wrong_rows), FeatureGrowSettings(SMALL, "none"))
    for wrong in ({"max_distance": 3}, {"confidence": -1}, {"size": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FeatureGrowSettings(SMALL, "none", **wrong)  # type: ignore[arg-type]


def test_real_weights_label_more_right_than_wrong(tmp_path: Path) -> None:
    weights = real_data("weights") / "mobilenetv2_100.imagenet.safetensors"
    words = ["points", "--strategy", "per-class", "--clicks", "1", "--split", "train", "--limit", "6"]
    made = CliRunner().invoke(sparsekit, [*words, "--out", str(tmp_path), str(real_data("clothing_small"))])
    assert made.exit_code == 0, made.output
    manifest = read_manifest(tmp_path / "clothing_small-1clicks-per-class")
    settings = FeatureGrowSettings("mobilenetv2_100.ra_in1k", str(weights), size=384)
    grown = grow_by_features(manifest, settings, device="cpu")
    labelled = right = 0
    for row in grown.rows:
        if row.annotation:
            labels, full = read_row_annotation(grown, row), read_row_full_mask(grown, row)
            labelled += int((labels != 255).sum())
            right += int(((labels == full) & (labels != 255)).sum())
    assert labelled > 0.05 * 6 * 137 * 207 and right > 0.6 * labelled
