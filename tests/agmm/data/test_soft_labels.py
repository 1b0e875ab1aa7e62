from __future__ import annotations

import io
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from agmm.config.data import Augmentation
from agmm.data.dataset import EpochSampler, ManifestDataset, batches, make_loader, to_network_input
from agmm.data.labels import DenseLabels
from agmm.data.soft_labels import (
    NUM_KEPT,
    SoftLabels,
    has_soft_labels,
    read_row_soft_labels,
    soft_labels_path,
    soften,
    write_soft_labels,
)
from agmm.errors import TrainingError
from agmm.losses.agmm import AGMMLoss
from agmm.losses.soft_cross_entropy import soft_cross_entropy
from agmm.training.stages import SEG_ONLY
from data_manifests import Manifest, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from tests.agmm.conftest import tiny_manifest

UNLABELLED = 255
SIZE = (64, 96)


def random_probs(rng: np.random.Generator, num_classes: int, size: tuple[int, int]) -> NDArray[np.float64]:
    return rng.dirichlet(np.full(num_classes, 0.5), size).transpose(2, 0, 1)


def sparse_map(classes: list[int], size: tuple[int, int]) -> NDArray[np.uint8]:
    sparse = np.full(size, UNLABELLED, np.uint8)
    for i, c in enumerate(classes):
        sparse[i, 2 * i % size[1]] = c
    return sparse


@pytest.mark.parametrize("classes", [[], [2], [0, 3], [4, 1, 0], [0, 1, 2, 3, 4]], ids=str)
def test_shares_are_the_probabilities_of_the_three_likeliest_known_classes(classes: list[int]) -> None:
    rng = np.random.default_rng(len(classes))
    probs, sparse = random_probs(rng, 5, (6, 7)), sparse_map(classes, (6, 7))
    soft = soften(torch.from_numpy(probs), sparse, UNLABELLED)
    assert soft.classes.dtype == soft.shares.dtype == np.uint8
    assert soft.classes.shape == soft.shares.shape == (NUM_KEPT, 6, 7)
    for row, col in np.ndindex(6, 7):
        found = {int(c): int(s) for c, s in zip(soft.classes[:, row, col], soft.shares[:, row, col], strict=True) if s}
        if not classes:
            assert found == {}
        elif sparse[row, col] != UNLABELLED:
            assert found == {int(sparse[row, col]): 255}
        else:
            likeliest = sorted(classes, key=lambda c: -probs[c, row, col])[:3]
            assert soft.classes[0, row, col] == likeliest[0]
            assert sum(found.values()) == 255
            kept = sum(probs[c, row, col] for c in likeliest)
            for c in likeliest:
                # Half a part from rounding; the likeliest class takes what the two others were rounded by.
                error = 1.0 if c == likeliest[0] else 0.5
                assert found.get(c, 0) == pytest.approx(255 * probs[c, row, col] / kept, abs=error + 1e-6)


def test_a_pixel_of_no_known_class_gets_one_all_the_same() -> None:
    probs = torch.zeros(3, 2, 2)
    probs[2] = 1  # certain of a class that is not in the image
    soft = soften(probs, np.array([[0, UNLABELLED], [UNLABELLED, 1]], np.uint8), UNLABELLED)
    assert soft.classes[0].tolist() == [[0, 0], [0, 1]]
    assert (soft.shares[0] == 255).all() and not soft.shares[1:].any()


def test_more_classes_than_a_byte_counts(tmp_path: Path) -> None:
    sparse = np.full((3, 4), 65535, np.uint16)
    sparse[0, :2] = 300, 7
    probs = torch.full((301, 3, 4), 0.001)
    probs[300] = 0.7
    soft = soften(probs, sparse, 65535)
    assert soft.classes.dtype == np.uint16
    assert soft.classes[:2, 2, 2].tolist() == [300, 7]


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_torchs_cross_entropy_against_probabilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs, sparse = random_probs(rng, 3, (8, 9)), sparse_map([0, 1, 2], (8, 9))
    soft = soften(torch.from_numpy(probs), sparse, UNLABELLED)
    distribution = torch.zeros(3, 8, 9, dtype=torch.float64)
    for of_class, share in zip(soft.classes.astype(np.int64), soft.shares / 255, strict=True):
        distribution.scatter_add_(0, torch.from_numpy(of_class[None]), torch.from_numpy(share[None]))
    target = torch.from_numpy(rng.choice([0, UNLABELLED], (1, 8, 9)))
    valid = torch.from_numpy(rng.random((1, 8, 9)) < 0.8)
    logits = torch.from_numpy(rng.normal(size=(1, 3, 8, 9))).requires_grad_()
    each = F.cross_entropy(logits, distribution[None], reduction="none")
    expected = each[(target != UNLABELLED) & valid].mean()
    classes, shares = torch.from_numpy(soft.classes[None]).long(), torch.from_numpy(soft.shares[None] / 255)
    loss = soft_cross_entropy(logits, target, valid, classes, shares, ignore_index=UNLABELLED)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits))


def test_certain_labels_give_the_loss_of_hard_ones() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(2, 5, 6, 7))).float()
    target = torch.from_numpy(rng.choice([0, 1, 4, UNLABELLED], (2, 6, 7)))
    valid = torch.ones_like(target, dtype=torch.bool)
    classes, shares = torch.zeros(2, NUM_KEPT, 6, 7, dtype=torch.int64), torch.zeros(2, NUM_KEPT, 6, 7)
    classes[:, 0], shares[:, 0] = target.masked_fill(target == UNLABELLED, 0), 1
    soft = soft_cross_entropy(logits, target, valid, classes, shares, ignore_index=UNLABELLED)
    hard, _ = AGMMLoss(**SEG_ONLY)(torch.zeros(2, 1, 2, 2), logits, target, valid)
    torch.testing.assert_close(soft, hard)


def test_no_label_gives_no_loss() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    target = torch.full((1, 3, 3), UNLABELLED)
    none = torch.zeros(1, NUM_KEPT, 3, 3)
    loss = soft_cross_entropy(logits, target, target > 0, none.long(), none, ignore_index=UNLABELLED)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None and not logits.grad.any()


@pytest.fixture
def soft(tmp_path: Path) -> Manifest:
    """A manifest of soft pseudo-labels, of probabilities drawn at random."""
    manifest = read_manifest(tiny_manifest(tmp_path, num_images=3, splits=("train",)))
    rng, rows = np.random.default_rng(0), []
    for row in manifest.rows:
        path = manifest.resolve(row.annotation)
        labels = soften(torch.from_numpy(random_probs(rng, 4, SIZE)), read_mask(path), UNLABELLED)
        write_soft_labels(soft_labels_path(path), labels)
        hard = labels.classes[0]
        write_atomically(path, encode_label_map(hard, manifest.label_space))
        rows.append(replace(row, num_labelled=hard.size, annotation_sha256=pixel_sha256(hard)))
    info = replace(manifest.info, command="pseudo-labels", settings={"soft": True})
    return Manifest(manifest.path, tuple(rows), info)


def test_a_sample_of_the_whole_image_is_the_file(soft: Manifest) -> None:
    sample = ManifestDataset(soft, soft.rows, Augmentation(SIZE, scale=(1, 1), flip=False))[1]
    expected = read_row_soft_labels(soft, soft.rows[1])
    assert np.array_equal(sample.soft_classes.numpy(), expected.classes)
    assert np.array_equal(sample.soft_shares.numpy(), expected.shares)
    assert (expected.shares.sum(0, dtype=int) == 255).all()


@pytest.mark.parametrize("crop_size", [(24, 40), (100, 130)], ids=["crop", "padding"])
def test_soft_labels_go_through_augmentation_as_hard_ones_do(soft: Manifest, crop_size: tuple[int, int]) -> None:
    dataset = ManifestDataset(soft, soft.rows, Augmentation(crop_size))
    for number in range(12):
        sample = dataset[number, number % 3]
        assert sample.soft_classes.shape == sample.soft_shares.shape == (NUM_KEPT, *crop_size)
        assert torch.equal(sample.soft_classes[0][sample.valid], sample.target[sample.valid])
        assert torch.equal(sample.soft_shares.sum(0) == 255, sample.valid)
        assert not sample.soft_shares[:, ~sample.valid].any()


def test_few_labels_above_the_threshold_stay_with_their_shares(soft: Manifest) -> None:
    row = replace(soft.rows[0], num_labelled=5)
    dataset = ManifestDataset(soft, [row], Augmentation((32, 32)))
    assert isinstance(dataset.labels(0), DenseLabels)


def test_a_batch_for_the_network(soft: Manifest) -> None:
    dataset = ManifestDataset(soft, soft.rows, Augmentation((32, 32)), seed=1)
    for workers in (0, 1):
        (raw,) = batches(make_loader(dataset, EpochSampler(3, 3, seed=0), workers, pin_memory=False))
        batch = to_network_input(raw, torch.device("cpu"))
        assert raw.is_soft and batch.is_soft
        assert batch.soft_classes.shape == batch.soft_shares.shape == (3, NUM_KEPT, 32, 32)
        assert batch.soft_classes.dtype == torch.int64
        torch.testing.assert_close(batch.soft_shares.sum(1), batch.valid.float())


def test_soft_only_where_the_manifest_says_so(soft: Manifest) -> None:
    augmentation = Augmentation((32, 32))
    hard = replace(soft, info=replace(soft.info, settings={}))
    assert has_soft_labels(soft) and not has_soft_labels(hard)
    assert not has_soft_labels(replace(soft, info=replace(soft.info, command="points")))
    assert not ManifestDataset(hard, hard.rows, augmentation)[0].is_soft
    assert not ManifestDataset(soft, soft.rows, augmentation, supervision="full")[0].is_soft
    (batch,) = batches(
        make_loader(ManifestDataset(hard, hard.rows, augmentation), EpochSampler(3, 3, seed=0), 0, pin_memory=False)
    )
    assert not to_network_input(batch, torch.device("cpu")).is_soft


def test_files_that_cannot_be_used(soft: Manifest) -> None:
    row = soft.rows[0]
    path = soft_labels_path(soft.resolve(row.annotation))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(TrainingError, match=r"a00\.npz: the soft labels are damaged"):
        read_row_soft_labels(soft, row)
    path.write_bytes(whole[:200] + bytes(500) + whole[700:])
    with pytest.raises(TrainingError, match=r"a00\.npz: the soft labels are damaged"):
        read_row_soft_labels(soft, row)
    path.write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"a00\.npz: the soft labels are damaged"):
        read_row_soft_labels(soft, row)
    classes = np.zeros((NUM_KEPT, *SIZE), np.uint8)
    write_soft_labels(path, SoftLabels(classes[:, 1:], classes[:, 1:]))
    with pytest.raises(TrainingError, match=r"expected classes of shape \(3, 64, 96\) .*, got \(3, 63, 96\)"):
        read_row_soft_labels(soft, row)
    write_soft_labels(path, SoftLabels(classes + np.uint8(4), classes))
    with pytest.raises(TrainingError, match="holds class 4, but label space 'tiny' has classes 0 to 3"):
        read_row_soft_labels(soft, row)
    path.unlink()
    with pytest.raises(TrainingError, match=r"a00\.npz: no such file, but \S+ says that there are soft labels"):
        ManifestDataset(soft, [row], Augmentation((32, 32)))[0]


@pytest.mark.parametrize(
    ("classes", "shares", "told"),
    [
        (np.int64(-1), np.uint8(85), "as uint8 or uint16, got .* as int64"),
        (np.bool_(True), np.uint8(85), "as uint8 or uint16, got .* as bool"),
        (np.float32(1), np.uint8(85), "as uint8 or uint16, got .* as float32"),
        (np.uint8(1), np.int16(85), "shares of shape .* as uint8, got .* as int16"),
        (np.uint8(1), np.uint8(80), "sum to neither 255 nor 0"),
    ],
    ids=str,
)
def test_arrays_of_another_kind(soft: Manifest, classes: np.generic, shares: np.generic, told: str) -> None:
    path, shape = soft_labels_path(soft.resolve(soft.rows[0].annotation)), (NUM_KEPT, *SIZE)
    with path.open("wb") as file:
        np.savez_compressed(file, classes=np.full(shape, classes), shares=np.full(shape, shares))
    with pytest.raises(TrainingError, match=rf"a00\.npz: .*{told}"):
        read_row_soft_labels(soft, soft.rows[0])


def test_an_archive_that_unpacks_to_more_than_the_image(soft: Manifest) -> None:
    path, header = soft_labels_path(soft.resolve(soft.rows[0].annotation)), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (NUM_KEPT, *SIZE)})
    for stored, told in ((header.getvalue() + bytes(1 << 25), "more bytes after"), (bytes(1 << 25), "damaged")):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("classes.npy", stored)
        tracemalloc.start()
        with pytest.raises(TrainingError, match=told):
            read_row_soft_labels(soft, soft.rows[0])
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()


def test_an_endless_file(soft: Manifest) -> None:
    path = soft_labels_path(soft.resolve(soft.rows[0].annotation))
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(TrainingError, match="not a regular file"):
        read_row_soft_labels(soft, soft.rows[0])


def test_equal_labels_give_equal_bytes(tmp_path: Path) -> None:
    probs, sparse = random_probs(np.random.default_rng(0), 4, (9, 8)), sparse_map([0, 1, 2, 3], (9, 8))
    for name in ("a", "b"):
        write_soft_labels(tmp_path / name, soften(torch.from_numpy(probs), sparse, UNLABELLED))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
