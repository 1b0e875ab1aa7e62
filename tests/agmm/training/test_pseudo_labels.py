import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agmm.data.masked_images import image_tensor, to_network
from agmm.data.soft_labels import has_soft_labels, read_row_soft_labels, soft_labels_path, soften
from agmm.errors import TrainingError
from agmm.inference.protocols import Protocol
from agmm.runs.checkpoint import load_run
from agmm.training.pseudo_labels import candidate_classes, label_by_network, refine_among, write_pseudo_labels
from agmm.training.train import train_network
from data_manifests import DataError, Manifest, read_manifest
from data_manifests.files.images import read_image
from data_manifests.files.lock import FolderLock
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from data_manifests.manifest.row_checks import MINOR_KINDS
from data_manifests.manifest.validate import check_manifest
from tests.agmm.conftest import tiny_manifest
from tests.agmm.inference.test_crf import two_halves
from tests.agmm.training.test_stages import fast_config

UNLABELLED = 255


def literal(probs: NDArray[np.float64], sparse: NDArray[np.uint8], threshold: float) -> NDArray[np.uint8]:
    """Pixel by pixel."""
    classes = sorted(set(sparse.flatten().tolist()) - {UNLABELLED})
    labels = sparse.copy()
    for row, col in np.ndindex(*sparse.shape):
        if classes and sparse[row, col] == UNLABELLED:
            known = {c: probs[c, row, col] for c in classes}
            best = max(classes, key=lambda c: known[c])
            if known[best] >= threshold * sum(known.values()):
                labels[row, col] = best
    return labels


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("classes", [[], [2], [0, 3], [0, 1, 2, 3, 4]], ids=str)
def test_labels_equal_the_literal_form(classes: list[int], threshold: float) -> None:
    rng = np.random.default_rng(len(classes))
    probs = rng.dirichlet(np.ones(5), (6, 7)).transpose(2, 0, 1)
    sparse = np.full((6, 7), UNLABELLED, np.uint8)
    for i, c in enumerate(classes):
        sparse[i, 2 * i % 7] = c
    labels = label_by_network(torch.from_numpy(probs), sparse, UNLABELLED, threshold)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, literal(probs, sparse, threshold))


def test_no_class_but_the_images_own_and_no_true_label_lost() -> None:
    probs = torch.zeros(3, 2, 2)
    probs[2] = 1  # certain of a class that is not in the image
    sparse = np.array([[0, UNLABELLED], [UNLABELLED, 1]], np.uint8)
    assert label_by_network(probs, sparse, UNLABELLED).tolist() == [[0, 0], [0, 1]]
    assert candidate_classes(sparse, UNLABELLED, 3).tolist() == [0, 1]
    every_class = candidate_classes(sparse, UNLABELLED, 3, "all")
    assert label_by_network(probs, sparse, UNLABELLED, candidates=every_class).tolist() == [[0, 2], [2, 1]]
    assert soften(probs, sparse, UNLABELLED, every_class).classes[0].tolist() == [[0, 2], [2, 1]]


def test_all_classes_may_be_guessed_where_labels_miss_some(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    run, manifest = trained
    found = write(trained, tmp_path / "all", pseudo_classes="all", soft=True)
    assert found.info.settings["pseudo_classes"] == "all"
    for row, before in zip(found.rows, manifest.rows, strict=True):
        if row.split == "val":
            continue
        sparse, labels = read_mask(manifest.resolve(before.annotation)), read_mask(found.resolve(row.annotation))
        probs = probs_of(run, manifest.resolve(before.image))
        guess = probs.argmax(0).numpy()
        assert np.array_equal(labels, np.where(sparse == UNLABELLED, guess, sparse))
        soft, unmarked = read_row_soft_labels(found, row), sparse == UNLABELLED
        kept = probs.sort(dim=0, descending=True).values[:3]
        shares = (kept / kept.sum(0)).numpy()[:, unmarked]
        assert np.abs(soft.shares[:, unmarked] / 255 - shares).max() < 0.01
        assert np.array_equal(soft.classes[0], labels)
    with pytest.raises(ValueError, match="Unknown pseudo_classes 'any'. Choose from: labelled, all"):
        write(trained, tmp_path / "any", pseudo_classes="any")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    manifest = read_manifest(
        tiny_manifest(tmp_path_factory.mktemp("tiny"), num_images=3, splits=("train", "train", "val"))
    )
    run = tmp_path_factory.mktemp("runs") / "first"
    train_network(manifest, fast_config(), run, quiet=True)
    return run, manifest


def write(trained: tuple[Path, Manifest], out_dir: Path, protocol: Protocol | None = None, **options: Any) -> Manifest:
    run, manifest = trained
    return write_pseudo_labels(run, manifest, out_dir, protocol=protocol or Protocol(), device="cpu", **options)


def test_an_image_id_that_leads_out_writes_nothing(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    run, manifest = trained
    rows = tuple(replace(row, image_id=f"../../../evil-{row.image_id}") for row in manifest.rows)
    with pytest.raises(DataError, match="lies outside"):
        write((run, replace(manifest, rows=rows)), tmp_path / "deep" / "labels")
    assert not list(tmp_path.rglob("*evil*"))


def test_an_ordinary_annotation_with_its_origin(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    run, manifest = trained
    found = write(trained, tmp_path / "deeper" / "labels")
    assert [row.image_id for row in found.rows] == [row.image_id for row in manifest.rows]
    assert found.label_space == manifest.label_space
    settings = found.info.settings
    assert (found.path.parent / settings["checkpoint"]).resolve() == (run / "weights.safetensors").resolve()
    assert (found.path.parent / settings["source"]).resolve() == manifest.path.resolve()
    assert found.info.command == "pseudo-labels" and settings["protocol"] == "whole image, single scale"
    model = load_run(run).model
    for row, before in zip(found.rows, manifest.rows, strict=True):
        assert np.array_equal(read_image(found.resolve(row.image)), read_image(manifest.resolve(before.image)))
        assert found.resolve(row.full_mask).is_file()
        if row.split == "val":
            assert row.annotation == ""
            continue
        labels, sparse = read_mask(found.resolve(row.annotation)), read_mask(manifest.resolve(before.annotation))
        with torch.inference_mode():
            shown = to_network(image_tensor(read_image(manifest.resolve(before.image))), "cpu")
            probs = model(shown).logits.softmax(1)[0]
        assert np.array_equal(labels, literal(probs.double().numpy(), sparse, 0))
        assert row.num_labelled == labels.size
        assert row.classes_labelled == tuple(np.unique(labels).tolist()) and row.annotation_sha256 == pixel_sha256(
            labels
        )
    assert {path.name for path in found.path.parent.iterdir()} == {"manifest.csv", "manifest.json", "annotations"}


def probs_of(run: Path, shown: Path) -> torch.Tensor:
    with torch.inference_mode():
        logits = load_run(run).model(to_network(image_tensor(read_image(shown)), "cpu")).logits
        return logits.softmax(1)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_soft_labels_lie_beside_the_same_annotation(
    trained: tuple[Path, Manifest], tmp_path: Path, threshold: float
) -> None:
    run, manifest = trained
    hard = write(trained, tmp_path / "hard", threshold=threshold)
    soft = write(trained, tmp_path / "soft", threshold=threshold, soft=True)
    assert soft.rows == hard.rows
    assert soft.info.settings == {**hard.info.settings, "soft": True}
    assert has_soft_labels(soft) and not has_soft_labels(hard)
    assert not [problem for problem in check_manifest(soft) if problem.kind not in MINOR_KINDS]
    assert not list((tmp_path / "hard").rglob("*.npz"))
    for row, before in zip(soft.rows, manifest.rows, strict=True):
        if row.split == "val":
            continue
        sparse = read_mask(manifest.resolve(before.annotation))
        expected = soften(probs_of(run, manifest.resolve(before.image)), sparse, UNLABELLED)
        found, annotation = read_row_soft_labels(soft, row), read_mask(soft.resolve(row.annotation))
        assert np.array_equal(found.classes, expected.classes) and np.array_equal(found.shares, expected.shares)
        there = annotation != UNLABELLED
        assert np.array_equal(found.classes[0][there], annotation[there])
        assert there.all() == (threshold == 0)


def test_soft_labels_and_hard_ones_do_not_replace_each_other(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    for first, differ in ((False, "unset there, True requested"), (True, "True there, unset requested")):
        folder = tmp_path / f"first-{first}"
        made = write(trained, folder, soft=first)
        with pytest.raises(TrainingError, match=rf"holds other pseudo-labels \(soft: {differ}\)"):
            write(trained, folder, soft=not first)
        assert write(trained, folder, soft=first) == made
        replaced = write(trained, folder, soft=not first, overwrite=True)
        assert has_soft_labels(replaced) is not first
        assert soft_labels_path(replaced.resolve(replaced.rows[0].annotation)).exists() is not first


def test_a_crf_sees_the_classes_of_the_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def refine(images: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        seen.extend([images, probs])
        return probs.flip(1)

    monkeypatch.setattr("agmm.training.pseudo_labels.refine", refine)
    rng = np.random.default_rng(0)
    image, probs = torch.rand(3, 4, 5), torch.from_numpy(rng.dirichlet(np.ones(4), (4, 5)).transpose(2, 0, 1))
    sparse = np.full((4, 5), UNLABELLED, np.uint8)
    sparse[0, 0], sparse[3, 1] = 3, 1
    refined = refine_among(image, probs, candidate_classes(sparse, UNLABELLED, len(probs)))
    known = probs[[1, 3]] / (probs[1] + probs[3])
    assert torch.equal(seen[0], image[None])
    torch.testing.assert_close(seen[1], known[None])
    torch.testing.assert_close(refined[[1, 3]], known.flip(0))
    assert not refined[[0, 2]].any()
    seen.clear()
    assert not refine_among(image, probs, np.empty(0, np.int64)).any()
    assert not seen


@pytest.mark.parametrize("soft", [False, True])
def test_labels_are_those_that_the_crf_has_refined(
    trained: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soft: bool
) -> None:
    run, manifest = trained
    monkeypatch.setattr(
        "agmm.training.pseudo_labels.refine", lambda _, probs: 0.1 + 0.0 * probs + (probs == probs.amin(1, True))
    )
    found = write(trained, tmp_path / "labels", Protocol(crf=True), soft=soft)
    assert found.info.settings["protocol"] == "whole image, single scale, dense CRF"
    row, before = found.rows[0], manifest.rows[0]
    sparse = read_mask(manifest.resolve(before.annotation))
    probs = probs_of(run, manifest.resolve(before.image))
    classes = sorted(set(sparse.flatten().tolist()) - {UNLABELLED})
    unlikeliest = np.array(classes)[probs[classes].argmin(0).numpy()]
    expected = np.where(sparse == UNLABELLED, unlikeliest, sparse)
    assert np.array_equal(read_mask(found.resolve(row.annotation)), expected)
    if soft:
        assert np.array_equal(read_row_soft_labels(found, row).classes[0], expected)


def test_the_real_crf_follows_the_colours_of_the_known_classes() -> None:
    pytest.importorskip("pydensecrf", reason="the dense CRF needs the package pydensecrf2")
    images, halves = two_halves()
    probs = torch.cat([torch.full((1, 24, 32), 0.5), halves[0] / 2])  # a class that is not in the image leads
    sparse = np.full((24, 32), UNLABELLED, np.uint8)
    sparse[0, 0], sparse[0, 31] = 1, 2
    refined = refine_among(images[0], probs, candidate_classes(sparse, UNLABELLED, len(probs)))
    assert torch.equal(refined.argmax(0), (images[0, 0] > 0.5).long() + 1)
    assert not torch.equal(halves[0].argmax(0), (images[0, 0] > 0.5).long())


def test_done_labels_are_not_made_again_and_others_not_replaced(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    first = write(trained, tmp_path / "labels")
    made = first.path.stat().st_mtime_ns
    assert write(trained, tmp_path / "labels") == first
    assert first.path.stat().st_mtime_ns == made
    with pytest.raises(TrainingError, match=r"holds other pseudo-labels \(threshold: .* there, .* requested\)"):
        write(trained, tmp_path / "labels", threshold=0.99)
    strict = write(trained, tmp_path / "labels", threshold=0.99, overwrite=True)
    assert strict.rows[0].num_labelled < first.rows[0].num_labelled


def test_an_interrupted_folder_is_gone_on_with(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    run, manifest = trained
    whole = write(trained, tmp_path / "whole")
    seen: list[float] = []

    def stop() -> None:
        raise KeyboardInterrupt

    def call(on_image: object) -> Manifest:
        return write_pseudo_labels(
            run,
            manifest,
            tmp_path / "again",
            protocol=Protocol(),
            device="cpu",
            on_image=on_image,  # type: ignore[arg-type]
        )

    with pytest.raises(KeyboardInterrupt):
        call(stop)
    assert not (tmp_path / "again").exists()
    half_done = next((tmp_path / ".again.partial/annotations").iterdir())
    half_done.with_name(".a01.png.0123.99.partial").touch()  # as a kill leaves it
    made = half_done.stat().st_mtime_ns
    again = call(lambda: seen.append(1))
    assert len(seen) == 2
    assert (again.path.parent / "annotations" / half_done.name).stat().st_mtime_ns == made
    assert again.path.read_bytes() == whole.path.read_bytes()
    names = [sorted(path.name for path in made.path.parent.rglob("*")) for made in (again, whole)]
    assert names[0] == names[1]
    assert json.loads(again.path.with_suffix(".json").read_text())["command"] == "pseudo-labels"


def test_two_processes_do_not_write_one_folder(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    other = FolderLock(tmp_path / ".labels.partial")
    assert other.try_acquire()
    with pytest.raises(DataError, match="labels: another process is writing to it"):
        write(trained, tmp_path / "labels")
    other.release()
    assert len(write(trained, tmp_path / "labels").rows) == len(trained[1].rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels"]


def test_wrong_threshold_and_foreign_folder_are_refused(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"threshold must lie in \[0, 1\], got 1.5"):
        write(trained, tmp_path / "labels", threshold=1.5)
    (tmp_path / "labels").mkdir()
    with pytest.raises(TrainingError, match="exists but holds no manifest.csv"):
        write(trained, tmp_path / "labels")


def test_a_changed_annotation_is_noticed(trained: tuple[Path, Manifest], tmp_path: Path) -> None:
    run, manifest = trained
    data = tmp_path / "data"
    shutil.copytree(manifest.path.parent, data)
    changed = read_manifest(data)
    path = changed.resolve(changed.rows[0].annotation)
    other = np.where(read_mask(path) == UNLABELLED, np.uint8(0), read_mask(path))
    path.write_bytes(encode_label_map(other, changed.label_space))
    with pytest.raises(DataError, match=r"a00\.png: pixels have changed since the manifest was written"):
        write((run, changed), tmp_path / "labels")
