"""PASCAL VOC: ``JPEGImages/``, ``SegmentationClass/`` or ``SegmentationClassAug/``, ``ImageSets/Segmentation/``."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from unicodedata import normalize

from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.images import IMAGE_SUFFIXES, list_images
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, DatasetItem, Layout
from data_manifests.layouts.class_tables import known_label_space, read_text
from data_manifests.layouts.folders import lists_of_splits

#: Lists and their split; later ones take precedence, so that no image of val or test is used for training. Of the lists
#: in one line the first that exists is read: most code names the list of 10,582 images with SBD's masks train_aug.
_LISTS = (
    (("trainval.txt", "default.txt"), "train"),  # CVAT writes default.txt
    (("train_aug.txt", "trainaug.txt", "train.txt"), "train"),
    (("val.txt",), "val"),
    (("test.txt",), "test"),  # of PASCAL VOC itself, without masks
)


def _devkit(root: Path) -> Path | None:
    candidates = [root, *sorted(root.glob("VOC20*")), *sorted(root.glob("VOCdevkit/VOC20*"))]
    folders = ("SegmentationClass", "SegmentationClassAug")
    fitting = [c for c in candidates if (c / "JPEGImages").is_dir() and any((c / f).is_dir() for f in folders)]
    return fitting[-1] if fitting else None  # the newest of several years


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    devkit = _devkit(root)
    if devkit is None:
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    images = _by_stem(list_images(devkit / "JPEGImages"))
    # SegmentationClassAug (SBD) covers more images; where both have a mask, the classes agree.
    masks = _by_stem([p for name in ("SegmentationClass", "SegmentationClassAug") for p in list_images(devkit / name)])
    if not masks:
        raise DataError(f"{devkit}: contains no masks in SegmentationClass or SegmentationClassAug.")
    listed = _read_split_lists(devkit, images)
    splits = {i: split for i, split in listed.items() if split != "test" or i in masks} or dict.fromkeys(masks, "train")
    if missing := sorted(i for i in splits if i not in images or i not in masks):
        raise DataError(
            f"{devkit}: {counted(len(missing), 'image')} without an image in JPEGImages or a mask in "
            f"SegmentationClass(Aug): {list_some(missing)}. Add the files, or remove the names from "
            "ImageSets/Segmentation."
        )
    instances = _by_stem(list_images(devkit / "SegmentationObject", (".png",)))
    items = []
    for image_id, split in sorted(splits.items()):
        items.append(DatasetItem(image_id, split, images[image_id], masks[image_id], instances.get(image_id)))
    notes = [] if listed or not (note := lists_of_splits(devkit)) else [note]
    if unlisted := sorted(masks.keys() - splits.keys()):
        notes.append(
            f"{counted(len(unlisted), 'mask')} skipped, because no list in ImageSets/Segmentation names them: "
            f"{list_some(unlisted)}. To train on them, add them to ImageSets/Segmentation/train_aug.txt (10,582 images "
            "with SBD's masks)."
        )
    space = label_space or known_label_space("pascal_voc")
    return Dataset(root, "pascal_voc", space, "class_ids", tuple(items), tuple(notes))


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    return {normalize("NFC", path.stem): path for path in paths}


def _read_split_lists(devkit: Path, images: Container[str]) -> dict[str, str]:
    """Image id to split, from the lists; most images of JPEGImages have no mask and are in no list."""
    folder = devkit / "ImageSets" / "Segmentation"
    splits: dict[str, str] = {}
    for names, split in _LISTS:
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is not None:
            lines = normalize("NFC", read_text(path)).splitlines()
            splits |= {_image_id(line, images): split for line in lines if line.strip()}
    return splits


def _image_id(line: str, images: Container[str]) -> str:
    """The image named in a line: a name or path, possibly followed by the mask's path; names may contain spaces."""
    line = line.strip().replace("\\", "/")
    whole = _stem(line)
    # Some lists hold "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png".
    return whole if whole in images else _stem(line.split()[0])


def _stem(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending.lower() in IMAGE_SUFFIXES else name


LAYOUT = Layout(
    "pascal_voc",
    "folders JPEGImages/ and SegmentationClass/ or SegmentationClassAug/ (at the top, or in VOC20xx/)",
    lambda root: _devkit(root) is not None,
    _load,
)
