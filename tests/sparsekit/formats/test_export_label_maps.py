"""Exports of label maps, read back the way each tool's own loader finds its files."""

from __future__ import annotations

import csv
import gc
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, LabelClass, LabelMap, LabelSpace, Manifest, ManifestError
from data_manifests.layouts import open_dataset
from data_manifests.manifest.io import write_manifest
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask
from sparsekit.errors import AnnotationError
from sparsekit.formats import EXPORTED
from sparsekit.formats.export import export_manifest
from sparsekit.formats.shared.job import file_name
from tests.helpers.annotation_folders import SCRIBBLES, annotated, camvid, cityscapes, voc
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest

CITYSCAPES_LABEL_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def values(path: Path) -> LabelMap:
    """What any reader gets: Pillow's array, the same as OpenCV's grey, the same as Pillow's own luminance."""
    with Image.open(path) as shown:
        assert shown.mode == "L"
        found = np.asarray(shown)
    np.testing.assert_array_equal(found, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return found


def expected(manifest: Manifest, image_id: str, unlabelled: int = 255) -> LabelMap:
    """Train ids that the manifest gives for an image, with another value for unlabelled pixels."""
    row = next(row for row in manifest.rows if row.image_id == image_id)
    label_map = read_row_annotation(manifest, row) if row.annotation else read_row_full_mask(manifest, row)
    return np.where(label_map == 255, unlabelled, label_map)


def test_agmm_cityscapes(tmp_path: Path) -> None:
    """Lists name image and full mask; of the mask only the last part is looked for, in a flat folder of clicks."""
    manifest = cityscapes(tmp_path)
    out = export_manifest(manifest, "agmm", tmp_path / "out").folder
    lines = (out / "splits/cityscapes/train.txt").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        image, mask = line.split(" ")
        assert np.asarray(Image.open(out / image)).shape == (4, 6, 3)
        image_id = mask.split("/")[-1].removesuffix("_gtFine_labelTrainIds.png")
        found = values(out / "3clicks" / mask.split("/")[-1])
        np.testing.assert_array_equal(found, expected(manifest, image_id, 19))
        assert image == f"leftImg8bit/train/{image_id.split('_')[0]}/{image_id}_leftImg8bit.png"
        assert mask == f"gtFine/train/{image_id.split('_')[0]}/{image_id}_gtFine_labelTrainIds.png"
        assert np.count_nonzero(found != 19) == 3
    (line,) = (out / "splits/cityscapes/val.txt").read_text().splitlines()
    image, mask = line.split(" ")
    np.testing.assert_array_equal(values(out / mask), expected(manifest, "frankfurt_000002_000019"))


@pytest.mark.parametrize("kind", ["point", "scribble"])
def test_agmm_voc(tmp_path: Path, kind: str) -> None:
    manifest = voc(tmp_path, SCRIBBLES) if kind == "scribble" else voc(tmp_path)
    out = export_manifest(manifest, "agmm", tmp_path / "out").folder
    folder = {"point": "point/segcls", "scribble": "scribble/seginst"}[kind]
    (line,) = (out / "splits/pascal/train.txt").read_text().splitlines()
    assert line == "2007_000001.jpg 2007_000001.png"
    image, mask = line.split(" ")
    assert (out / "JPEGImages" / image).is_file()
    np.testing.assert_array_equal(values(out / folder / mask), expected(manifest, "2007_000001", 21))
    (line,) = (out / "splits/pascal/val.txt").read_text().splitlines()
    np.testing.assert_array_equal(
        values(out / "SegmentationClass" / line.split(" ")[1]), expected(manifest, "2007_000002")
    )


def test_tel_cityscapes(tmp_path: Path) -> None:
    """It walks the label folder and looks for an image of the same stem, whose ending is that of any one image."""
    manifest = cityscapes(tmp_path)
    out = export_manifest(manifest, "tel", tmp_path / "out").folder
    for split, folder in (("train", "sparse_label/3clicks"), ("val", "label")):
        names = sorted(path.name for path in (out / split / folder).iterdir())
        assert len(names) == {"train": 2, "val": 1}[split]
        ending = next((out / split / "image").iterdir()).name.split(".")[-1]
        for name in names:
            stem = ".".join(name.split(".")[:-1])
            assert (out / split / "image" / f"{stem}.{ending}").is_file()
            on_disk = values(out / split / folder / name)
            encoded = np.full(on_disk.shape, 255)
            for train_id, label_id in enumerate(CITYSCAPES_LABEL_IDS):
                encoded[on_disk == label_id] = train_id
            np.testing.assert_array_equal(encoded, expected(manifest, stem.removesuffix("_leftImg8bit")))
            assert set(np.unique(on_disk)) <= {*CITYSCAPES_LABEL_IDS, 255}


def test_tel_ade20k_survives_the_subtraction_of_its_loader(tmp_path: Path) -> None:
    from tests.helpers.miniature_datasets import make_ade20k

    manifest = annotated(open_dataset(make_ade20k(tmp_path / "ade")), tmp_path / "sparse")
    out = export_manifest(manifest, "tel", tmp_path / "out").folder
    (row,) = manifest.rows_of("train")
    on_disk = values(out / f"train/sparse_label/3clicks/{file_name(row.image_id)}.png")
    np.testing.assert_array_equal(on_disk - np.uint8(1), expected(manifest, row.image_id))


def test_urss(tmp_path: Path) -> None:
    """Lists hold names; the loader adds folder and ending, and reads both files with OpenCV."""
    manifest = voc(tmp_path, SCRIBBLES)
    out = export_manifest(manifest, "urss", tmp_path / "out").folder
    for split, folder in (("train", "pascal_2012_scribble"), ("val", "SegmentationClassAug")):
        (name,) = (out / f"ImageSets/SegmentationAug/{split}.txt").read_text().splitlines()
        label = cv2.imread(f"{out}/{folder}/{name}.png", cv2.IMREAD_GRAYSCALE)
        shown = cv2.imread(f"{out}/JPEGImages/{name}.jpg", cv2.IMREAD_COLOR)
        assert shown is not None and label is not None and shown.shape[:2] == label.shape
        np.testing.assert_array_equal(label, expected(manifest, name))


def test_urss_reads_png_images_under_its_own_ending(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", num_val=1)
    out = export_manifest(manifest, "urss", tmp_path / "out").folder
    original = cv2.imread(str(manifest.resolve(manifest.rows[0].image)), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(cv2.imread(str(out / "JPEGImages/image_0.jpg"), cv2.IMREAD_COLOR), original)


def test_spml(tmp_path: Path) -> None:
    """Lines hold image, label and over-segmentation; the label is converted to luminance."""
    manifest = voc(tmp_path, SCRIBBLES)
    out = export_manifest(manifest, "spml", tmp_path / "out").folder
    (line,) = (out / "datasets/voc12/scribble_train+_d3_hed.txt").read_text().splitlines()
    image, label, instance = line.split(" ")
    assert (out / image).is_file() and instance == "VOC2012/hed/2007_000001.png"
    luminance = np.array(Image.open(out / label).convert(mode="L"))
    np.testing.assert_array_equal(luminance, expected(manifest, "2007_000001"))
    (line,) = (out / "datasets/voc12/panoptic_val.txt").read_text().splitlines()
    image, label, instance = line.split(" ")
    assert label == instance == "VOC2012/segcls/2007_000002.png" and (out / image).is_file()
    np.testing.assert_array_equal(values(out / label), expected(manifest, "2007_000002"))


def test_mmseg(tmp_path: Path) -> None:
    """It lists images of one ending at any depth and puts the ending of masks in its place."""
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "mmseg", tmp_path / "out").folder
    for split in ("train", "val", "test"):
        (image,) = (out / "img_dir" / split).rglob("*.png")
        mask = out / "ann_dir" / split / image.name
        np.testing.assert_array_equal(values(mask), expected(manifest, image.stem))
    metainfo = json.loads((out / "metainfo.json").read_text())
    assert tuple(metainfo["classes"]) == manifest.label_space.class_names and len(metainfo["palette"]) == 11


@pytest.mark.filterwarnings("ignore")  # of mmengine
def test_mmseg_config_is_read_by_mmengine(tmp_path: Path) -> None:
    config = pytest.importorskip("mmengine.config", reason="needs mmengine")
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "mmseg", tmp_path / "out").folder
    read = config.Config.fromfile(out / "config.py")
    assert read.num_classes == len(read.metainfo.classes) == len(read.metainfo.palette) == 11
    for split in ("train", "val", "test"):
        dataset = read[f"{split}_dataloader"].dataset
        assert tuple(dataset.metainfo.classes) == manifest.label_space.class_names
        root = Path(dataset.data_root)
        images = list((root / dataset.data_prefix.img_path).rglob(f"*{dataset.img_suffix}"))
        assert len(images) == 1  # as BaseSegDataset pairs them:
        name = images[0].name.removesuffix(dataset.img_suffix) + dataset.seg_map_suffix
        assert (root / dataset.data_prefix.seg_map_path / name).is_file()


def test_hf_metadata(tmp_path: Path) -> None:
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "hf", tmp_path / "out").folder
    for split in ("train", "val", "test"):
        with (out / split / "metadata.csv").open(newline="") as file:
            (record,) = csv.DictReader(file)
        assert (out / split / record["file_name"]).is_file()
        found = values(out / split / record["annotation_file_name"])
        np.testing.assert_array_equal(found, expected(manifest, record["key"].removeprefix(f"{split}/")))
        assert record["sparse"] == str(split == "train")


@pytest.mark.filterwarnings("ignore")  # datasets leaves files open
def test_hf_loads_with_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "hf", tmp_path / "out", link=True).folder
    loaded = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 1, "validation": 1, "test": 1}
    for part in loaded.values():
        (sample,) = part
        assert sample["image"].size == (3, 2)
        np.testing.assert_array_equal(np.asarray(sample["annotation"]), expected(manifest, sample["key"].split("/")[1]))
    del loaded, part, sample
    gc.collect()  # here, where the warnings are ignored


def test_nnunet(tmp_path: Path) -> None:
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "nnunet", tmp_path / "out").folder / "Dataset001_camvid"
    described = json.loads((out / "dataset.json").read_text())
    labels = described["labels"]
    assert labels["background"] == 0 and labels["ignore"] == max(labels.values()) == 11
    assert sorted(labels.values()) == list(range(12)) and len(labels) == 12
    assert described["class_names"] == list(manifest.label_space.class_names)
    cases = {path.name.removesuffix(described["file_ending"]) for path in (out / "labelsTr").iterdir()}
    assert len(cases) == described["numTraining"] == 2
    for case in cases:
        with Image.open(out / "imagesTr" / f"{case}_0000.png") as shown:
            assert shown.format == "PNG" and len(shown.getbands()) == len(described["channel_names"]) == 3
        np.testing.assert_array_equal(values(out / "labelsTr" / f"{case}.png"), expected(manifest, case, 11))
    assert json.loads((out / "splits_final.json").read_text()) == [{"train": ["train_1"], "val": ["val_1"]}]
    assert (out / "imagesTs/test_1_0000.png").is_file() and (out / "labelsTs/test_1.png").is_file()


def test_nnunet_gets_three_bands_of_8_bits_whatever_the_images_are(tmp_path: Path) -> None:
    """It counts the bands and refuses images of others than dataset.json says."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (8, 8, 4), np.uint8)
    deep = rng.integers(0, 65536, (8, 8), np.uint16)
    images = {
        "RGB": (Image.fromarray(colors[:, :, :3]), colors[:, :, :3]),
        "RGBA": (Image.fromarray(colors), colors[:, :, :3]),
        "L": (Image.fromarray(colors[:, :, 0]), np.repeat(colors[:, :, :1], 3, axis=2)),
        "LA": (Image.fromarray(colors[:, :, :2], "LA"), np.repeat(colors[:, :, :1], 3, axis=2)),
        "P": (Image.fromarray(colors[:, :, 0]).convert("P"), np.repeat(colors[:, :, :1], 3, axis=2)),
        "I;16": (Image.fromarray(deep), np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)),
    }
    for mode, (image, expected) in images.items():
        manifest = tiny_manifest(tmp_path / mode.replace(";", ""))
        for row in manifest.rows:
            image.save(manifest.resolve(row.image))
        out = export_manifest(manifest, "nnunet", tmp_path / f"out {mode}", link=True).folder
        for path in out.rglob("*_0000.png"):
            found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert found is not None
            np.testing.assert_array_equal(found[:, :, ::-1], expected)


@pytest.mark.parametrize("link", [True, False])
@pytest.mark.parametrize("target", sorted({*EXPORTED} - {"s4a"}))
def test_truncated_images_are_never_copied(tmp_path: Path, target: str, link: bool) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    image = manifest.resolve(manifest.rows[0].image)
    image.write_bytes(image.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"image_0\.png: the image is damaged"):
        export_manifest(manifest, target, tmp_path / "out", link=link, lossy=True)
    assert not (tmp_path / "out").exists()


def test_nnunet_keeps_its_own_words_for_its_own_labels(tmp_path: Path) -> None:
    classes = tuple(LabelClass(name, (i, i, i), (i,)) for i, name in enumerate(("sky", "background", "ignore")))
    manifest = tiny_manifest(tmp_path / "m", label_space=LabelSpace("words", classes))
    out = export_manifest(manifest, "nnunet", tmp_path / "out").folder / "Dataset001_tiny"
    described = json.loads((out / "dataset.json").read_text())
    assert described["labels"] == {"background": 0, "background_": 1, "ignore_": 2, "ignore": 3}
    assert described["class_names"] == ["sky", "background", "ignore"]


def test_images_to_train_on_without_an_annotation_are_left_out(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", num_val=1)
    summary = export_manifest(manifest, "mmseg", tmp_path / "val")
    assert (summary.num_annotated, summary.num_evaluated) == (1, 1)
    rows = tuple(replace(row, split="train") for row in manifest.rows)
    summary = export_manifest(replace(manifest, rows=rows), "mmseg", tmp_path / "train")
    assert (summary.num_annotated, summary.num_evaluated) == (1, 0)
    assert len(list((tmp_path / "train").rglob("*.png"))) == 2


def test_nnunet_turns_jpeg_images_into_png(tmp_path: Path) -> None:
    manifest = voc(tmp_path)
    out = export_manifest(manifest, "nnunet", tmp_path / "out", link=True).folder
    found = np.asarray(Image.open(out / "Dataset001_voc/imagesTr/2007_000001_0000.png"))
    np.testing.assert_array_equal(found, np.asarray(Image.open(manifest.resolve(manifest.rows[0].image))))


def test_more_than_255_classes(tmp_path: Path) -> None:
    wide = np.arange(300, dtype=np.uint16).reshape(10, 30)
    manifest = tiny_manifest(tmp_path / "m", [wide], [[]], sparse_maps=[wide], label_space=numbered_space(300))
    out = export_manifest(manifest, "nnunet", tmp_path / "out").folder
    (path,) = (out / "Dataset001_tiny/labelsTr").iterdir()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), wide)
    for target in ("mmseg", "urss", "hf", "spml"):
        with pytest.raises(AnnotationError, match="would have two meanings"):
            export_manifest(manifest, target, tmp_path / target)
        assert not (tmp_path / target).exists()


def test_agmm_refuses_255_classes_whose_unlabelled_value_is_its_padding(tmp_path: Path) -> None:
    labels = np.zeros((4, 4), np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [labels], [[]], sparse_maps=[labels], label_space=numbered_space(255))
    with pytest.raises(AnnotationError, match="255 would have two meanings"):
        export_manifest(manifest, "agmm", tmp_path / "out")


def _with_ids(manifest: Manifest, *image_ids: str) -> Manifest:
    rows = tuple(replace(row, image_id=name) for row, name in zip(manifest.rows, image_ids, strict=True))
    return replace(manifest, rows=tuple(sorted(rows, key=lambda row: row.image_id)))


def _rename(manifest: Manifest, *image_ids: str) -> Manifest:
    renamed = _with_ids(manifest, *image_ids)
    write_manifest(renamed)
    manifest.marks_path.unlink()
    return renamed


def test_names(tmp_path: Path) -> None:
    manifest = _rename(tiny_manifest(tmp_path / "m"), "train/a b", "train/c")
    out = export_manifest(manifest, "agmm", tmp_path / "out").folder
    assert (out / "splits/tiny/train.txt").read_text() == "train_a_b.png train_a_b.png\ntrain_c.png train_c.png\n"
    other = replace(manifest, info=replace(manifest.info, dataset="my {data}"))
    assert (export_manifest(other, "agmm", tmp_path / "braces").folder / "splits/my_{data}/train.txt").is_file()
    manifest = _rename(tiny_manifest(tmp_path / "n"), "a/b", "a_b")
    with pytest.raises(AnnotationError, match="'a/b' and 'a_b' would both be named 'a_b'"):
        export_manifest(manifest, "mmseg", tmp_path / "out2")


@pytest.mark.parametrize("name", ["../a", "/etc/a", "a/../../b", "..\\a", ""])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    manifest = _with_ids(tiny_manifest(tmp_path / "m", [SCENE], command="points"), name)
    with pytest.raises(AnnotationError, match="cannot be a file name"):
        export_manifest(manifest, "mmseg", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    monkeypatch.chdir(tmp_path)  # relative paths of the manifest must not matter
    out = export_manifest(replace(manifest, path=Path("m/manifest.csv")), "mmseg", Path("out"), link=True).folder
    shown = out / "img_dir/train/image_0.png"
    assert shown.is_symlink() and shown.resolve() == manifest.resolve(manifest.rows[0].image).resolve()
    assert not (out / "ann_dir/train/image_0.png").is_symlink()


def test_is_there_whole_or_not_at_all_and_replaces_only_exports(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    out = tmp_path / "out"
    export_manifest(manifest, "mmseg", out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(AnnotationError, match="Give --overwrite"):
        export_manifest(manifest, "mmseg", out)
    export_manifest(manifest, "mmseg", out, overwrite=True)
    assert before == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    manifest.resolve(manifest.rows[1].annotation).unlink()
    for place in (out, tmp_path / "new"):
        with pytest.raises(Exception, match="no such file"):
            export_manifest(manifest, "hf", place, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "out"]
    assert before == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(AnnotationError, match="was not made by sparsekit"):
        export_manifest(manifest, "mmseg", tmp_path / "m", overwrite=True)
    assert manifest.path.is_file()


@pytest.mark.parametrize("target", sorted({"agmm", "tel", "urss", "spml", "nnunet", "mmseg", "hf"} & set(EXPORTED)))
def test_images_of_another_size_are_refused(tmp_path: Path, target: str) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    Image.new("RGB", (9, 8)).save(manifest.resolve(manifest.rows[0].image))
    with pytest.raises(ManifestError, match="is 9x8 .* says 8x8"):
        export_manifest(manifest, target, tmp_path / "out")


def test_mixed_image_formats_get_one_ending(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m")
    jpeg = tmp_path / "m/data/images/image_1.jpg"
    Image.open(manifest.resolve(manifest.rows[1].image)).save(jpeg)
    rows = (manifest.rows[0], replace(manifest.rows[1], image="data/images/image_1.jpg"))
    out = export_manifest(replace(manifest, rows=rows), "mmseg", tmp_path / "out").folder
    assert sorted(path.name for path in (out / "img_dir/train").iterdir()) == ["image_0.png", "image_1.png"]
    converted = np.asarray(Image.open(out / "img_dir/train/image_1.png"))
    np.testing.assert_array_equal(converted, np.asarray(Image.open(jpeg)))


def test_split_and_unknown_names(tmp_path: Path) -> None:
    manifest = camvid(tmp_path)
    summary = export_manifest(manifest, "mmseg", tmp_path / "out", split="train")
    assert (summary.num_annotated, summary.num_evaluated) == (1, 0)
    assert [path.name for path in (summary.folder / "img_dir").iterdir()] == ["train"]
    assert export_manifest(manifest, "mmseg", tmp_path / "all").num_evaluated == 2
    raises: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: export_manifest(manifest, "mmseg", tmp_path / "x", split="nowhere"), Exception, "has no rows"),
        (lambda: export_manifest(manifest, "word", tmp_path / "x"), ValueError, "Choose from: agmm"),
        (
            lambda: export_manifest(manifest, "hf", tmp_path / "x", split="val"),
            Exception,
            "1 row of split 'val', but none",
        ),
    ]
    for call, kind, message in raises:
        with pytest.raises(kind, match=message):
            call()
