from __future__ import annotations

import dataclasses
import multiprocessing
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from agmm.config.loss import MixtureOptions
from agmm.config.model import ModelConfig
from agmm.errors import TrainingError
from agmm.evaluation.evaluate import (
    EvalResult,
    evaluate_mixture,
    evaluate_rows,
    evaluate_with_mixture,
)
from agmm.evaluation.metrics import ConfusionMatrix
from agmm.inference.protocols import Protocol
from agmm.losses.mixture import mixture_probs
from agmm.models import build_model
from agmm.models.network import SegmentationModel
from agmm.runs.scores import MIXTURE_PROTOCOL
from data_manifests import DataError, Manifest, ManifestInfo, ManifestRow, open_dataset, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image, read_image
from data_manifests.files.masks import encode_label_map, read_mask
from tests.agmm.conftest import tiny_manifest
from tests.helpers.rank_evaluation import ColorClassifier, evaluate_all, evaluate_as_rank
from tests.helpers.real_data import real_data


def tiny_model(num_classes: int = 4) -> SegmentationModel:
    torch.manual_seed(0)
    config = ModelConfig(num_classes, encoder="mobilenetv3_small_050.lamb_in1k", decoder_channels=16)
    return build_model(config).train()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path, num_images=5))


def images_of(manifest: Manifest, image_id: str) -> torch.Tensor:
    row = next(row for row in manifest.rows if row.image_id == image_id)
    image = np.array(read_image(manifest.resolve(row.image)))
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(
    "protocol", [Protocol(), Protocol("sliding", tile_size=48), Protocol("multi-scale", scales=(0.5, 1.0))], ids=str
)
def test_counts_equal_scikit_learn_to_the_last_pixel(manifest: Manifest, protocol: Protocol) -> None:
    model = tiny_model()
    result = evaluate_rows(model, manifest, manifest.rows, protocol=protocol, workers=2)
    assert model.training
    model.eval()
    expected = np.zeros((4, 4), int)
    for row in manifest.rows:
        target = read_mask(manifest.resolve(row.full_mask))
        with torch.inference_mode():
            preds = protocol.predict(model, images_of(manifest, row.image_id)).argmax(1)[0].numpy()
        expected += confusion_matrix(target[target != 255], preds[target != 255], labels=range(4))
    np.testing.assert_array_equal(result.confusion.counts, expected)
    assert expected.sum() == 5 * 63 * 96  # the last row of each mask is void
    assert result.num_images == 5
    assert result.protocol == str(protocol)
    assert list(result.iou) == ["c0", "c1", "c2", "c3"]
    assert result.miou == pytest.approx(np.nanmean(list(result.iou.values())))
    assert result.pixel_accuracy == pytest.approx(np.trace(expected) / expected.sum())


def test_scores_as_a_table(manifest: Manifest) -> None:
    result = evaluate_rows(tiny_model(), manifest, manifest.rows[:1], boundary=True)
    frame = result.to_pandas()
    assert list(frame.columns) == ["name", "iou", "accuracy", "boundary_iou"]
    assert dict(zip(frame.name, frame.iou, strict=True)) == pytest.approx(result.iou, nan_ok=True)
    assert (frame.iou.mean(), frame.boundary_iou.mean()) == pytest.approx((result.miou, result.boundary_miou))


def test_images_of_several_sizes_and_class_id_masks(tmp_path: Path) -> None:
    small = read_manifest(tiny_manifest(tmp_path / "a", num_images=1, size=(40, 50)))
    large = read_manifest(tiny_manifest(tmp_path / "b", num_images=1, size=(64, 33), seed=1))
    paths = {"image": str(tmp_path / "b/images/a00.png"), "full_mask": str(tmp_path / "b/masks/a00.png")}
    moved = dataclasses.replace(large.rows[0], image_id="b00", **paths)
    info = dataclasses.replace(small.info, mask_encoding="class_ids")
    result = evaluate_rows(tiny_model(), Manifest(small.path, (*small.rows, moved), info), (*small.rows, moved))
    assert result.confusion.counts.sum() == 39 * 50 + 63 * 33


@pytest.mark.parametrize("name", ["camvid", "cityscapes_sample", "voc_sample"])
def test_real_masks_equal_scikit_learn(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(real_data(name))
    rows = tuple(
        ManifestRow(item.image_id, item.split, str(item.image_path), str(item.mask_path), "", *size_of(item.mask_path))
        for item in dataset.items[:1]
    )
    info = ManifestInfo(dataset.label_space, mask_encoding=dataset.encoding)
    manifest = Manifest(tmp_path / "manifest.csv", rows, info)
    num_classes = dataset.label_space.num_classes
    model = ColorClassifier(num_classes)
    result = evaluate_rows(model, manifest, rows)
    expected = np.zeros((num_classes, num_classes), int)
    for item in dataset.items[:1]:
        image = torch.from_numpy(np.array(read_image(item.image_path))).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            preds = model(image).logits.argmax(1)[0].numpy()
        mask = read_mask(item.mask_path)
        target = dataset.label_space.to_train_ids(mask, dataset.encoding)
        keep = target != dataset.label_space.unlabelled_value
        expected += confusion_matrix(target[keep], preds[keep], labels=range(num_classes))
    np.testing.assert_array_equal(result.confusion.counts, expected)
    assert expected.sum() > 0


def size_of(mask_path: Path) -> tuple[int, int]:
    height, width = read_mask(mask_path).shape
    return height, width


def test_numbers_do_not_depend_on_order_or_threads(manifest: Manifest) -> None:
    model = tiny_model()
    one = evaluate_rows(model, manifest, manifest.rows, boundary=True)
    two = evaluate_rows(model, manifest, manifest.rows[::-1], boundary=True, workers=3)
    assert torch.equal(one.confusion.counts, two.confusion.counts)
    assert one.to_dict() == two.to_dict()
    assert one.boundary_miou is not None
    assert 0 <= one.boundary_miou <= 1


def test_dict_is_json_with_none_for_absent_classes(manifest: Manifest) -> None:
    import json

    result = evaluate_rows(tiny_model(), manifest, manifest.rows[:1])
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["protocol"] == "whole image, single scale"
    assert data["boundary_miou"] is None
    assert [c["name"] for c in data["classes"]] == ["c0", "c1", "c2", "c3"]
    assert sum(map(sum, data["confusion"])) == 63 * 96
    assert result.boundary_miou is None


def test_calls_back_after_each_image(manifest: Manifest) -> None:
    calls: list[None] = []
    evaluate_rows(tiny_model(), manifest, manifest.rows, on_image=lambda: calls.append(None))
    assert len(calls) == 5


def test_mixture_equals_its_own_argmax(manifest: Manifest) -> None:
    rows = manifest.rows_of("train")
    model = tiny_model()
    options = MixtureOptions(distance="l1_mean", variance="fixed")
    result = evaluate_mixture(model, manifest, rows, options=options, boundary=True)
    assert result.protocol == MIXTURE_PROTOCOL
    assert model.training
    model.eval()
    expected = np.zeros((4, 4), int)
    for row in rows:
        sparse = torch.from_numpy(read_mask(manifest.resolve(row.annotation)).astype(np.int64))[None]
        with torch.inference_mode():
            out = model(images_of(manifest, row.image_id))
            probs = mixture_probs(out.features, out.logits, sparse, torch.ones_like(sparse, dtype=torch.bool), options)
        full = read_mask(manifest.resolve(row.full_mask))
        preds = probs.argmax(1)[0].numpy()
        assert set(np.unique(preds)) <= set(row.classes_labelled)
        expected += confusion_matrix(full[full != 255], preds[full != 255], labels=range(4))
    np.testing.assert_array_equal(result.confusion.counts, expected)
    assert result.miou > 1.5 / 4 / 2  # bands of one colour each: even random features tell some apart


def test_one_pass_gives_the_scores_of_segmentation_and_mixture(manifest: Manifest) -> None:
    rows, model, passes, calls = manifest.rows_of("train"), tiny_model(), [], []
    shared = {"device": "cpu", "boundary": True}
    expected = evaluate_rows(model, manifest, rows, **shared), evaluate_mixture(model, manifest, rows, **shared)
    model.register_forward_hook(lambda *_: passes.append(None))
    results = evaluate_with_mixture(
        model, manifest, rows, per_image=True, on_image=lambda: calls.append(None), **shared
    )
    assert [result.to_dict() for result in results] == [result.to_dict() for result in expected]
    assert [image.image_id for image in results[0].images] == [row.image_id for row in rows]
    assert (len(passes), len(calls)) == (len(rows), 2 * len(rows))


def test_ranks_give_the_scores_of_one_process(manifest: Manifest, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        context.Process(target=evaluate_as_rank, args=(rank, 2, port, tmp_path, manifest.path), daemon=True)
        for rank in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(200)
        assert process.exitcode == 0
    expected = evaluate_all(manifest.path, ranks=False)
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert found == [expected, expected]


def test_refuses_what_cannot_be_evaluated(manifest: Manifest) -> None:
    model, row = tiny_model(), manifest.rows[0]
    with pytest.raises(TrainingError, match="no rows to evaluate"):
        evaluate_rows(model, manifest, [])
    with pytest.raises(TrainingError, match="'a00' has no full mask"):
        evaluate_rows(model, manifest, [dataclasses.replace(row, full_mask="")])
    with pytest.raises(ValueError, match="7 classes, but label space 'tiny'"):
        evaluate_rows(tiny_model(7), manifest, [row])
    with pytest.raises(ValueError, match="Unknown protocol"):
        evaluate_rows(model, manifest, [row], protocol="half")
    with pytest.raises(TrainingError, match="'a03' of split 'val' has no annotation"):
        evaluate_mixture(model, manifest, [manifest.rows[3]])
    write_atomically(manifest.resolve(row.image), encode_image(np.zeros((8, 9, 3), np.uint8)))
    with pytest.raises(DataError, match=r"a00\.png: is 9x8 .* says 96x64"):
        evaluate_rows(model, manifest, [row])
    assert model.training


def test_a_changed_annotation_is_noticed(manifest: Manifest) -> None:
    row = manifest.rows[0]
    path = manifest.resolve(row.annotation)
    changed = np.where(read_mask(path) == 255, np.uint8(0), read_mask(path))
    write_atomically(path, encode_label_map(changed, manifest.label_space))
    with pytest.raises(DataError, match=r"a00\.png: pixels have changed since the manifest was written"):
        evaluate_mixture(tiny_model(), manifest, [row])


def test_notebooks_show_a_bar_for_each_class() -> None:
    confusion = ConfusionMatrix(3)
    confusion.update(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]), ignore_index=255)
    html = EvalResult("whole image", 2, ("road", "<b>", "never"), confusion)._repr_html_()
    assert "whole image. 2 images" in html and "&lt;b&gt;" in html and "<b>IoU</b>" in html
    assert re.findall(r"width:([\d.]+)%", html) == ["58.3", "66.7", "50.0", "0.0"] and "–</td>" in html
