from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from agmm.config.data import Augmentation
from agmm.data.dataset import EpochSampler, ManifestDataset, Sample, batches, make_loader, to_network_input
from agmm.data.labels import DenseLabels, SparseLabels
from agmm.errors import TrainingError
from data_manifests import DataError, Manifest, read_manifest
from data_manifests.files.images import read_image
from data_manifests.files.masks import encode_label_map, read_mask
from tests.agmm.conftest import tiny_manifest

WHOLE = Augmentation((64, 96), scale=(1, 1), flip=False)


def open_tiny(folder: Path, **options: int) -> Manifest:
    return read_manifest(tiny_manifest(folder, **options))  # type: ignore[arg-type]


def same(a: Sample, b: Sample) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_sample_of_the_whole_image_is_the_files(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    row = manifest.rows_of("train")[1]
    sample = ManifestDataset(manifest, manifest.rows_of("train"), WHOLE)[1]
    assert (sample.image.numpy() == read_image(manifest.resolve(row.image))).all()
    assert (sample.target.numpy() == read_mask(manifest.resolve(row.annotation))).all()
    assert sample.valid.all()
    assert tuple(sample.image_classes.nonzero().flatten().tolist()) == row.classes_labelled


def test_a_dataset_from_a_manifest_or_its_path(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    whole = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((16, 16)), seed=3)
    for given in (manifest, manifest.path, str(tmp_path)):
        made = ManifestDataset.from_manifest(given, 16, seed=3)
        assert len(made) == 3 and all(same(made[n, n], whole[n, n]) for n in range(3))
    held_back = ManifestDataset.from_manifest(manifest[:], (8, 24), split="val", supervision="full")
    assert held_back[0].target.shape == (8, 24) and len(held_back) == 1
    with pytest.raises(DataError, match="split 'test' has no rows"):
        ManifestDataset.from_manifest(manifest, 16, split="test")


def test_full_supervision_reads_the_full_mask(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    dataset = ManifestDataset(manifest, manifest.rows, WHOLE, supervision="full")
    full = read_mask(manifest.resolve(manifest.rows[3].full_mask))
    assert (dataset[3].target.numpy() == full).all()
    assert dataset[3].image_classes.all()


def test_dense_annotations_stay_maps_and_sparse_ones_are_kept(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    rows = [manifest.rows[0], replace(manifest.rows[1], num_labelled=64 * 96)]
    dataset = ManifestDataset(manifest, rows, WHOLE)
    assert isinstance(dataset.labels(0), SparseLabels)
    assert isinstance(dataset.labels(1), DenseLabels)
    manifest.resolve(rows[0].annotation).unlink()
    assert (dataset[0].target != 255).sum() == 12


def test_a_crop_knows_the_classes_of_its_whole_image(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    rows = manifest.rows_of("train")
    dataset = ManifestDataset(manifest, rows, Augmentation((8, 8), scale=(1, 1)))
    for n in range(12):
        found = dataset[n, n % 3].image_classes.nonzero().flatten().tolist()
        assert tuple(found) == rows[n % 3].classes_labelled and len(found) > 1


def test_crops_without_a_label_are_drawn_again(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path, clicks=2)
    rows = manifest.rows_of("train")
    crop = Augmentation((24, 24), scale=(1, 1))

    def share_with_label(augmentation: Augmentation) -> float:
        dataset = ManifestDataset(manifest, rows, augmentation)
        return float(np.mean([bool((dataset[n, n % 3].target != 255).any()) for n in range(60)]))

    assert share_with_label(replace(crop, redraws=0)) < 0.6
    assert share_with_label(replace(crop, redraws=50)) == 1
    assert share_with_label(replace(crop, redraws=0, label_aware=True)) == 1


def test_samples_depend_on_seed_and_number_alone(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    augmentation = Augmentation((32, 32), photometric=True)
    one, two = (ManifestDataset(manifest, manifest.rows_of("train"), augmentation, seed=7) for _ in range(2))
    later = one[5, 1]
    one[6, 1]
    assert same(later, two[5, 1])
    assert not same(later, two[6, 1])
    assert not same(later, ManifestDataset(manifest, manifest.rows_of("train"), augmentation, seed=8)[5, 1])


@pytest.mark.parametrize("supervision", ["sparse", "full"])
def test_workers_change_nothing(tmp_path: Path, supervision: str) -> None:
    manifest = open_tiny(tmp_path)
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((32, 32)), supervision, seed=1)  # type: ignore[arg-type]
    epochs = []
    for workers in (0, 2):
        sampler = EpochSampler(3, 2, seed=1)
        sampler.epoch = 4
        epochs.append(list(batches(make_loader(dataset, sampler, workers, pin_memory=False))))
    assert len(epochs[0]) == 1
    assert all(same(a, b) for a, b in zip(*epochs, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unusable_file_is_named_without_a_traceback(tmp_path: Path, workers: int) -> None:
    manifest = open_tiny(tmp_path)
    (tmp_path / "images/a01.png").write_bytes(b"\x89PNG broken")
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), WHOLE)
    with pytest.raises(DataError, match=r"^\S*a01\.png: the image is damaged"):
        list(batches(make_loader(dataset, EpochSampler(3, 3, seed=0), workers, pin_memory=False)))


def test_files_that_contradict_the_manifest(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    rows = manifest.rows_of("train")
    wrong_size = ManifestDataset(manifest, [replace(rows[0], height=60)], WHOLE)
    with pytest.raises(DataError, match=r"is 96x64 \(width x height\), but \S+ says 96x60"):
        wrong_size[0]
    other = np.full((64, 96), 9, np.uint8)
    manifest.resolve(rows[0].annotation).write_bytes(encode_label_map(other, manifest.label_space))
    with pytest.raises(DataError, match="ids 9 are outside the label space 'tiny'"):
        ManifestDataset(manifest, rows, WHOLE)[0]
    with pytest.raises(TrainingError, match="1 rows to train on have no annotation"):
        ManifestDataset(manifest, manifest.rows, WHOLE)


def test_ranks_share_what_one_process_accumulates() -> None:
    alone = list(EpochSampler(21, 2, accumulate=2, seed=3))
    first, second = (list(EpochSampler(21, 2, seed=3, rank=rank, num_ranks=2)) for rank in (0, 1))
    assert alone[0::2] == first
    assert alone[1::2] == second
    doubled = list(EpochSampler(21, 4, seed=3))
    assert doubled == [a + b for a, b in zip(first, second, strict=True)]
    numbers, indices = zip(*(key for batch in doubled for key in batch), strict=True)
    assert numbers == tuple(range(20))
    assert len(set(indices)) == 20


def test_epochs_differ_and_few_images_are_repeated() -> None:
    sampler = EpochSampler(5, 8, seed=0)
    (first,) = sampler
    sampler.epoch = 1
    (second,) = sampler
    assert {index for _, index in first} == set(range(5))
    assert [number for number, _ in second] == list(range(8, 16))
    assert [index for _, index in first] != [index for _, index in second]


def test_network_input(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), WHOLE)
    (raw,) = batches(make_loader(dataset, EpochSampler(3, 3, seed=0), 0, pin_memory=False))
    batch = to_network_input(raw, torch.device("cpu"))
    assert batch.image.shape == (3, 3, 64, 96)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.image, raw.image.permute(0, 3, 1, 2) / 255)
    assert batch.target is raw.target and batch.valid is raw.valid


def crops(loader: DataLoader[Sample]) -> list[bytes]:
    """The pixels of each sample of an epoch, in the order drawn."""
    return [image.numpy().tobytes() for batch in loader for image in batch.image]


@pytest.mark.parametrize("workers", [0, 2])
def test_plain_loaders_get_new_crops_in_every_epoch(tmp_path: Path, workers: int) -> None:
    manifest = open_tiny(tmp_path, size=(32, 48))  # type: ignore[arg-type]
    rows, augmentation = manifest.rows_of("train"), Augmentation((8, 8))
    numbered = ManifestDataset(manifest, rows, augmentation)
    expected = [[numbered[(number, i)].image.numpy().tobytes() for i in range(len(rows))] for number in range(3)]
    loader = DataLoader(ManifestDataset(manifest, rows, augmentation), num_workers=workers)
    assert [crops(loader) for _ in range(3)] == expected
    assert len({crop for epoch in expected for crop in epoch}) == 3 * len(rows)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_set_epoch_is_drawn_whoever_draws(tmp_path: Path, workers: int) -> None:
    manifest = open_tiny(tmp_path, size=(32, 48))  # type: ignore[arg-type]
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((8, 8)))
    loader = DataLoader(dataset, num_workers=workers, persistent_workers=workers > 0)
    dataset.set_epoch(5)
    fifth = crops(loader)
    assert fifth == [dataset[(5, i)].image.numpy().tobytes() for i in range(len(dataset))] == crops(loader)
    dataset.set_epoch(6)
    assert not set(crops(loader)) & set(fifth)


def test_a_look_at_all_samples_stops_no_later_crop(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path, size=(32, 48))  # type: ignore[arg-type]
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((8, 8)))
    seen = [sample.image.numpy().tobytes() for sample in dataset]  # type: ignore[attr-defined]
    assert len(seen) == len(dataset)
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert dataset[-1].image.numpy().tobytes() == dataset[(1, len(dataset) - 1)].image.numpy().tobytes()
    loader = DataLoader(dataset)
    assert len({*seen, *crops(loader), *crops(loader)}) == 3 * len(dataset)


def test_settings_of_samples_that_cannot_be(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    for crop_size in (0, (8, -1), "32", (8.5, 8), (8,)):
        with pytest.raises(ValueError, match="crop_size must be"):
            ManifestDataset.from_manifest(manifest, crop_size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown supervision 'dense'. Choose from: sparse, full"):
        ManifestDataset.from_manifest(manifest, 8, supervision="dense")  # type: ignore[arg-type]
    for num_images, batch_size in ((0, 2), (3, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            EpochSampler(num_images, batch_size, seed=0)


def test_a_sampler_repeats_an_epoch_until_it_is_told_the_next(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path, size=(32, 48))  # type: ignore[arg-type]
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((8, 8)))
    sampler = EpochSampler(len(dataset), batch_size=1, seed=0)
    loader = make_loader(dataset, sampler, workers=0, pin_memory=False)
    first = crops(loader)
    assert crops(loader) == first
    sampler.set_epoch(1)
    assert not set(crops(loader)) & set(first)


def test_a_dataset_shows_in_a_line(tmp_path: Path) -> None:
    manifest = open_tiny(tmp_path)
    shown = repr(ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((8, 8))))
    assert "3 images" in shown and "\n" not in shown and len(shown) < 400


@pytest.mark.parametrize("workers", [0, 1])
def test_a_plain_loader_raises_what_is_wrong_with_a_file(tmp_path: Path, workers: int) -> None:
    manifest = open_tiny(tmp_path)
    dataset = ManifestDataset(manifest, manifest.rows_of("train"), Augmentation((8, 8)))
    image = manifest.resolve(dataset.rows[1].image)
    image.unlink()
    with pytest.raises(DataError, match=image.name):
        list(DataLoader(dataset, batch_size=3, num_workers=workers))
