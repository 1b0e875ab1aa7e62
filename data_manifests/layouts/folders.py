"""Find folders of images and masks by name, and describe the contents of folders that are ambiguous."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import islice, permutations
from pathlib import Path

from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.images import IMAGE_SUFFIXES, list_images
from data_manifests.files.paths import is_remote
from data_manifests.layouts.base import (
    DatasetItem,
    SplitFolders,
    images_in,
    other_endings,
    pair_by_key,
    relative_stem,
    those_there,
)
from data_manifests.layouts.pairing import (
    Rule,
    pairing_rules,
    split_one_folder,
    suffix_in,
    suffix_in_one_folder,
)
from data_manifests.terminal import shell_quote

#: Common names of split folders, also with a year, as COCO's.
SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "eval": "val", "test": "test", "testing": "test",
    **{f"{name}{year}": name for name in ("train", "val", "test") for year in (2014, 2015, 2017)},
}  # fmt: skip

#: Common names of image folders.
IMAGE_FOLDERS = {
    "images", "image", "imgs", "img", "img_dir", "rgb", "photos", "pictures", "jpegimages", "frames", "inputs", "input",
}  # fmt: skip
#: Common names of mask folders.
MASK_FOLDERS = {
    "masks", "mask", "labels", "label", "annotations", "annotation", "ann_dir", "annots", "gt", "gts", "ground_truth",
    "groundtruth", "segmentation", "segmentations", "segmentation_masks", "label_maps", "targets", "target",
}  # fmt: skip


_SEVERAL = " If an image has several masks, one for each class or object, merge them into one mask first."


def split_folders(root: Path) -> list[SplitFolders]:
    """Splits of a folder, each with ``images/`` and ``masks/``; empty for any other structure."""
    images, masks = root / "images", root / "masks"
    if images.is_dir() and masks.is_dir():
        return splits_below(images, masks)
    return those_there((split, path / "images", path / "masks") for split, path in split_dirs(root))


def holds_images(folder: Path) -> bool:
    """Whether there are images below a folder."""
    walked = os.walk(folder, followlinks=True)
    return any(n.lower().endswith(IMAGE_SUFFIXES) and not n.startswith(".") for _, _, names in walked for n in names)


def lists_of_splits(root: Path) -> str:
    """A note on files that probably list the images of other splits than train, where none is read; empty without any.

    Args:
        root: Folder of a dataset whose images all belong to train.
    """
    if is_remote(root):
        return ""
    files = [path for pattern in ("*.*", "splits/*.*", "ImageSets/**/*.*") for path in sorted(root.glob(pattern))]
    names = {"split", "splits", *(name for name, split in SPLIT_NAMES.items() if split != "train")}
    endings = (".txt", ".csv", ".json", ".lst")
    lists = [str(p.relative_to(root)) for p in files if p.stem.lower() in names and p.suffix.lower() in endings]
    if not lists:
        return ""
    return (
        f"{list_some(lists)}: not read, so all images belong to train. Sort images and masks into folders train/ and "
        "val/, or split the manifest with `sparsekit split`."
    )


def named_folders(root: Path, holds: Callable[[Path], bool] = holds_images) -> list[SplitFolders]:
    """Splits of a folder, with any of the common names for image and mask folders.

    Args:
        root: The folder.
        holds: Whether a folder holds what is looked for.

    Returns:
        The splits; empty if no folder or several have such a name.
    """
    if not root.is_dir() or is_remote(root):
        return []
    if pair := _named(root, holds):
        return splits_below(*pair)
    below = [(split, *pair) for split, path in split_dirs(root) if (pair := _named(path, holds))]
    return below or _beside_labels(root, holds)


def _beside_labels(root: Path, holds: Callable[[Path], bool]) -> list[SplitFolders]:
    """Splits of two folders, such as ``train/`` or ``train_images/`` with ``train_masks/`` or ``masks_train/``."""

    def names(split: str, kinds: Iterable[str]) -> list[str]:
        return [name for kind in sorted(kinds) for name in (f"{split}_{kind}", f"{kind}_{split}")]

    wanted = {split: ([split, *names(split, IMAGE_FOLDERS)], names(split, MASK_FOLDERS)) for split in SPLIT_NAMES}
    every = {name for both in wanted.values() for of_kind in both for name in of_kind}
    there = {path.name.lower(): path for path in _called(every, root) if holds(path)}
    found = []
    for split, both in wanted.items():
        images, masks = ([there[name] for name in of_kind if name in there] for of_kind in both)
        if len(images) == len(masks) == 1:
            found.append((SPLIT_NAMES[split], images[0], masks[0]))
        elif images and SPLIT_NAMES[split] != "test":  # which often has no masks
            return []
    return found


def splits_below(images: Path, masks: Path) -> list[SplitFolders]:
    """Two folders as splits, if the image folder contains split folders.

    Raises:
        DataError: If images lie beside them, and so belong to no split.
    """
    of_masks = dict(split_dirs(masks))
    below = [
        (split, path, same if (same := masks / path.name).is_dir() else of_masks.get(split, same))
        for split, path in split_dirs(images)
    ]
    if below and (others := _others_beside(images, [path for _, path, _ in below])):
        if {split for split, _, _ in below} != {"train"}:
            raise DataError(
                f"{images}: holds {list_some(others, limit=3)} beside folders of splits. Move what is there to one of "
                "these, or give --images and --masks to take all images as one split."
            )
        below = []
    return those_there(below) or [("train", images, masks)]


def _others_beside(folder: Path, known: Sequence[Path]) -> list[str]:
    """Names of images and other folders in a folder of split folders."""
    there = [path for path in sorted(folder.iterdir()) if path not in known and not path.name.startswith(".")]
    endings = (*IMAGE_SUFFIXES, ".nii", ".nii.gz")
    return [path.name for path in there if path.name.lower().endswith(endings) or path.is_dir()]


def split_dirs(folder: Path) -> list[tuple[str, Path]]:
    """Split and path of the split folders in a folder."""
    return [(SPLIT_NAMES[path.name.lower()], path) for path in _called(SPLIT_NAMES, folder)]


def _named(folder: Path, holds: Callable[[Path], bool]) -> tuple[Path, Path] | None:
    """The one folder of images and the one of masks below a folder."""
    images = [path for path in _called(IMAGE_FOLDERS, folder) if holds(path)]
    masks = [path for path in _called(MASK_FOLDERS, folder) if holds(path)]
    return (images[0], masks[0]) if len(images) == len(masks) == 1 else None


def _called(names: Container[str], folder: Path) -> list[Path]:
    """The folders in a folder that have one of these names, sorted; looks at no other, as there can be many."""
    return sorted(p for p in folder.iterdir() if p.name.lower() in names and p.is_dir()) if folder.is_dir() else []


def side_by_side(root: Path) -> list[tuple[str, Path, Rule]]:
    """Splits, their folders and pairs, where images and masks lie side by side: at the top, or in all split folders.

    A folder counts if exactly one rule separates the two; ``test`` may have no masks.
    """
    if is_remote(root) or not root.is_dir():
        return []
    if rule := _one_rule(root):
        return [("train", root, rule)]
    below = [(split, path, _one_rule(path)) for split, path in split_dirs(root)]
    if any(rule is None and split != "test" for split, _, rule in below):
        return []
    return [(split, path, rule) for split, path, rule in below if rule]


def _one_rule(folder: Path) -> Rule | None:
    files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    rules = split_one_folder(sorted(files), folder) if files else []
    return rules[0] if len(rules) == 1 else None


def paired_by_rules(
    split: str, images_dir: Path, masks_dir: Path, mask_suffix: str | None = None
) -> tuple[list[DatasetItem], str]:
    """Items of two folders, and a description of the rule that pairs them (empty for equal names).

    Args:
        split: The split they belong to.
        images_dir: Folder of images.
        masks_dir: Folder of masks; may be the same folder.
        mask_suffix: Suffix of mask names after the image's; if None, the first rule that pairs all files.

    Raises:
        DataError: If a folder is missing or empty, or no rule pairs all files.
    """
    images, masks = images_in(images_dir), images_in(masks_dir)
    if images_dir == masks_dir:
        if mask_suffix is None and len(rules := split_one_folder(images, images_dir)) == 1:
            return [DatasetItem(key, split, image, mask) for key, image, mask in rules[0].pairs], rules[0].name
        end = require_suffix(mask_suffix, images_dir)
        masks = [path for path in images if path.stem.endswith(end)]
        images = [path for path in images if not path.stem.endswith(end)]
    rule = pair_files(images, images_dir, masks, masks_dir, mask_suffix)
    return [DatasetItem(key, split, image, mask) for key, image, mask in rule.pairs], rule.name


def require_suffix(mask_suffix: str | None, folder: Path) -> str:
    """The suffix by which masks differ from images in one folder.

    Raises:
        DataError: If none is given.
    """
    if not mask_suffix:
        raise DataError(
            f"{folder}: is the folder of both images and masks, and their names do not tell which is which. Give the "
            "suffix of mask names: --mask-suffix _mask."
        )
    return suffix_in(mask_suffix)


def pair_files(
    images: Sequence[Path], images_dir: Path, masks: Sequence[Path], masks_dir: Path, mask_suffix: str | None = None
) -> Rule:
    """The first rule that pairs all files of two folders; see ``pairing_rules``.

    Raises:
        DataError: If no rule pairs all of them.
    """
    files = (images, images_dir, masks, masks_dir, mask_suffix)
    if (rule := next((rule for rule in pairing_rules(*files) if rule.complete), None)) is None:
        rules = list(pairing_rules(*files))
        best = max(rules, key=lambda rule: len(rule.pairs))
        several = _SEVERAL if len(masks) >= 2 * len(images) else ""
        if not best.name and (best.pairs or not several):
            pair_by_key(images, masks, lambda p: relative_stem(p, images_dir), lambda p: relative_stem(p, masks_dir))
        tried = "\n".join(f"  {rule.in_words()}" for rule in rules if rule.pairs)
        raise DataError(
            f"{images_dir} and {masks_dir}: {counted(len(images), 'image')} and {counted(len(masks), 'mask')} do not "
            f"pair up. Rules that were tried:\n{tried or '  none pairs a single file'}\nAdd or remove the files that "
            f"are left over, or give the suffix of mask names: --mask-suffix _mask.{several}"
        )
    return rule


def what_is_there(root: Path) -> str:
    """Describe a folder that fits no layout: its files, possible pairings, and commands to try."""
    if is_remote(root):
        return ""
    there = [path for path in sorted(root.iterdir(), key=lambda path: path.name) if not path.name.startswith(".")]
    found = {path: list_images(path) for path in islice((path for path in there if path.is_dir()), 12)}
    found = {path: images for path, images in found.items() if images}
    own = [path for path in there if path.name.lower().endswith(IMAGE_SUFFIXES)]
    lines = [f"  {path.name}/: {counted(len(images), 'image')}" for path, images in found.items()]
    lines += [f"  {counted(len(own), 'image')} in the folder itself"] if own else []
    candidates = []
    for folder, images in (*found.items(), (root, list_images(root))):
        suffix = suffix_in_one_folder(images, folder)
        if suffix or (images and len(split_one_folder(images, folder)) == 1):
            options = _options(folder, folder) + (f" --mask-suffix {shell_quote(suffix)}" if suffix else "")
            candidates.append((0, f"  {options}   (side by side: {counted(len(images) // 2, 'pair')})"))
    for (a, images), (b, masks) in permutations(found.items(), 2):
        best = max(pairing_rules(images, a, masks, b), key=lambda rule: (rule.complete, len(rule.pairs)))
        if best.pairs and not {a.name.lower(), b.name.lower()} <= SPLIT_NAMES.keys():
            rank = 2 if not best.complete else 1 if best.name else 0
            candidates.append((rank, f"  {_options(a, b)}   ({best.in_words()})"))
    candidates += [(0, f"  {rule.in_words()}") for rule in (split_one_folder(own, root) if own else [])]
    others = other_endings(root)
    if volumes := list_images(root, (".nii", ".nii.gz")):
        lines.append(f"  {counted(len(volumes), 'volume')} (NIfTI); images and masks go in folders of their own")
        others -= Counter({".nii": len(volumes), ".gz": len(volumes)})
    if others:
        lines.append(f"  {list_some([counted(n, f'{end} file') for end, n in others.most_common()], limit=4)}")
    text = "Found:\n" + "\n".join(lines if found or own else ["  no images", *lines])
    if not candidates:
        text += (
            "\nMasks are images or volumes, one for each image. Shapes are read from labelme, CVAT, Label Studio and "
            "COCO; convert those of other tools, and run lengths in tables, to one of these."
        )
    if candidates:
        text += "\nPossible pairings:\n" + "\n".join(line for _, line in sorted(candidates)[:6])
    return (
        f"{text}\nName the folders: sparsekit points --images DIR --masks DIR [--mask-suffix _mask]\nIf there are no "
        "masks yet, `sparsekit import` takes --images DIR alone."
    )


def _options(images: Path, masks: Path) -> str:
    return f"--images {shell_quote(images)} --masks {shell_quote(masks)}"
