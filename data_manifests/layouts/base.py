"""Shared by all dataset layouts: datasets, their items, and how images and masks are paired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from data_manifests.encodings import Encoding
from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import IMAGE_SUFFIXES, exif_orientation, list_images, read_image_size
from data_manifests.files.masks import read_mask
from data_manifests.files.view import DEFAULT_VIEW, ImageView
from data_manifests.label_maps import MaskValues
from data_manifests.label_space import LabelSpace


@dataclass(frozen=True)
class DatasetItem:
    """One image, usually with its full mask.

    Args:
        image_id: Unique in the dataset.
        split: ``train``, ``val`` or ``test``.
        image_path: The image; None if the dataset has masks only.
        mask_path: The full mask; None if the dataset has images only, which suffices to import annotations.
        instance_path: Mask of instances, if the layout has them: each value is one instance of one class.
    """

    image_id: str
    split: str
    image_path: Path | None
    mask_path: Path | None
    instance_path: Path | None = None

    @property
    def image_or_mask(self) -> Path:
        """The image, or the mask if there is no image; gives the item its name and size."""
        return self.image_path or self.mask

    @property
    def mask(self) -> Path:
        """The full mask.

        Raises:
            DataError: If there is none.
        """
        if self.mask_path is None:
            raise DataError(f"{self.image_path}: has no full mask. Only `sparsekit import` takes images without masks.")
        return self.mask_path


@dataclass(frozen=True)
class Dataset:
    """The contents of a dataset folder.

    Args:
        root: The folder.
        layout: Name of the layout.
        label_space: Its classes.
        encoding: How the mask files write the classes.
        items: Sorted by image id.
        notes: Remarks for the user, one sentence each.
        images: How to display the images.
    """

    root: Path
    layout: str
    label_space: LabelSpace
    encoding: Encoding
    items: tuple[DatasetItem, ...]
    notes: tuple[str, ...] = ()
    images: ImageView = DEFAULT_VIEW

    def __repr__(self) -> str:
        """One line, for notebooks and debuggers, without the thousands of images."""
        return f"<Dataset {self.root}: {self.layout} layout, {counted(len(self.items), 'image')}>"

    def _repr_html_(self) -> str:
        from data_manifests.figures.notebook import dataset_html

        return dataset_html(self)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have images, sorted."""
        return tuple(sorted({item.split for item in self.items}))


def read_full_mask(item: DatasetItem, encoding: Encoding) -> MaskValues:
    """Read the values of an image's full mask as stored, shape (H, W).

    Raises:
        DataError: If the mask or the image cannot be read, the image's file ends early, or they differ in size.
    """
    mask = read_mask(item.mask, encoding)
    height, width = mask.shape
    if item.image_path and (size := read_image_size(item.image_path)) != (height, width):
        advice = "Give both the same size."
        if (orientation := exif_orientation(item.image_path)) >= 5 and size == (width, height):
            advice = (
                f"Images are read as viewers display them, here rotated (EXIF orientation {orientation}): rotate the "
                "mask too, or remove the orientation from the image."
            )
        raise DataError(
            f"{item.mask}: mask is {width}x{height} (width x height) but its image {item.image_path} is "
            f"{size[1]}x{size[0]}. {advice}"
        )
    if item.image_path:  # no label for an image that nobody can read
        check_is_whole(item.image_path)
    return mask


#: A split, its image folder and its mask folder.
SplitFolders = tuple[str, Path, Path]


@dataclass(frozen=True)
class Layout:
    """One way to arrange a dataset in a folder.

    Args:
        name: Its name for ``--layout``.
        looks_for: The folders and files it expects, for messages.
        matches: Tells whether a folder has this layout; must be cheap.
        load: Reads a folder, given its root and the user's label space or None.
    """

    name: str
    looks_for: str
    matches: Callable[[Path], bool]
    load: Callable[[Path, LabelSpace | None], Dataset]


def pair_by_key(
    images: Iterable[Path], masks: Iterable[Path], image_key: Callable[[Path], str], mask_key: Callable[[Path], str]
) -> list[tuple[str, Path, Path]]:
    """Join images and masks that share a key.

    Args:
        images: Images.
        masks: Masks.
        image_key: Key of an image; also its image id.
        mask_key: Key of a mask.

    Returns:
        Key, image and mask, sorted by key.

    Raises:
        DataError: If an image has no mask, a mask has no image, or two files have the same key.
    """
    by_image = _by_key(images, image_key)
    by_mask = _by_key(masks, mask_key)
    problems = []
    images_only, masks_only = by_image.keys() - by_mask.keys(), by_mask.keys() - by_image.keys()
    if lonely := sorted(str(by_image[k]) for k in images_only):
        problems.append(f"{counted(len(lonely), 'image')} without a mask: {list_some(lonely)}.")
    if lonely := sorted(str(by_mask[k]) for k in masks_only):
        problems.append(f"{counted(len(lonely), 'mask')} without an image: {list_some(lonely)}.")
    if problems:
        raise DataError(" ".join(problems) + " Add the missing files, or remove those without a partner.")
    return sorted((image_key(image), image, by_mask[key]) for key, image in by_image.items())


def those_there(folders: Iterable[SplitFolders]) -> list[SplitFolders]:
    """Return the splits whose two folders exist."""
    return [(split, images, masks) for split, images, masks in folders if images.is_dir() and masks.is_dir()]


def paired_items(split: str, images_dir: Path, masks_dir: Path, mask_end: str = "") -> list[DatasetItem]:
    """Pair the files of two folders that have the same relative path, ignoring extensions.

    Args:
        split: The split they belong to.
        images_dir: Folder of images; the path below it, without extension, is the image id.
        masks_dir: Folder of masks.
        mask_end: Suffix of a mask's stem after the image's.

    Raises:
        DataError: If a folder is missing or empty, or files do not pair up.
    """
    masks = [mask for mask in images_in(masks_dir) if mask.stem.endswith(mask_end)]
    pairs = pair_by_key(
        images_in(images_dir),
        masks,
        lambda path: relative_stem(path, images_dir),
        lambda path: relative_stem(path, masks_dir).removesuffix(mask_end),
    )
    return [DatasetItem(key, split, image, mask) for key, image, mask in pairs]


def _by_key(paths: Iterable[Path], key: Callable[[Path], str]) -> dict[str, Path]:
    """Paths by their key in Unicode NFC, because accented letters may be stored as one character or two."""
    found: dict[str, Path] = {}
    for path in paths:
        if (name := normalize("NFC", key(path))) in found:
            raise DataError(f"{found[name]} and {path} are the same image in two formats; keep one of them.")
        found[name] = path
    return found


def images_in(folder: Path) -> list[Path]:
    """Images below a folder that must hold some.

    Raises:
        DataError: If the folder is missing or empty.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.")
    if not (found := list_images(folder)):
        others = other_endings(folder).most_common(1)
        there = "".join(f" It holds {counted(n, f'{end} file')}; {_advice(end)}." for end, n in others)
        raise DataError(
            f"{folder}: contains no images (searched for .png, .jpg, .tif, .bmp, .gif and .webp at any depth).{there}"
        )
    return found


def other_endings(folder: Path) -> Counter[str]:
    """Numbers of the files below a folder that are no images, by their ending."""
    others = [path.suffix.lower() for path in list_images(folder, ("",))]
    return Counter(ending for ending in others if ending and ending not in IMAGE_SUFFIXES)


def _advice(ending: str) -> str:
    is_volume = ending in (".nii", ".gz")
    return "images and masks must both be volumes, or slices as PNG or TIFF" if is_volume else "save them as PNG"


def spread(paths: Sequence[Path], most: int = 12) -> list[Path]:
    """A sample of the paths, evenly spread."""
    number = min(most, len(paths))
    return [paths[i * len(paths) // number] for i in range(number)]


def relative_stem(path: Path, folder: Path) -> str:
    """Path relative to a folder, without extension, with ``/`` as separator."""
    return path.with_suffix("").relative_to(folder).as_posix()
