"""Detect how the masks of a dataset encode classes; reject masks that would silently be misread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_manifests.colors import name_colors, to_rgb
from data_manifests.encodings import Encoding
from data_manifests.errors import DataError, counted
from data_manifests.files.decode import read_palette, read_samples
from data_manifests.files.masks import mask_channels, read_mask
from data_manifests.label_maps import count_values
from data_manifests.label_space import LabelClass, LabelSpace, numbered_label_space
from data_manifests.layouts.base import Dataset, spread

#: Placeholder for the classes of a dataset without a table until its masks have been inspected.
UNKNOWN_CLASSES = LabelSpace("unknown", (LabelClass("unknown", (0, 0, 0), ()),))

#: Colours no brighter than this are probably ids in several channels, not chosen colours.
_DARKEST_PALETTE = 50

#: White in masks of 8 and of 16 bits; void, unless the masks are black and white.
_WHITES = (255, 65535)

_BLENDED = "Resizing and JPEG compression blend colours at borders"
_BLACK_AND_WHITE = (
    "For black and white, give --mask-values nearest-colors and a classes.csv with the lines name,r,g,b and "
    "background,0,0,0 and foreground,255,255,255."
)

_JPEG = (".jpg", ".jpeg", ".jfif")
_RGB = ("colors", "nearest_colors")


def settle_values(dataset: Dataset, encoding: Encoding | None) -> Dataset:
    """Set the mask encoding of a dataset; if it has no class table, derive the classes from the masks.

    Args:
        dataset: The dataset as read by its layout.
        encoding: Encoding given by the user; detected if None.

    Raises:
        DataError: If the masks do not match the encoding, or their classes are unknown.
    """
    masks = [item.mask for item in dataset.items]
    sample = spread(masks)
    if encoding != "nearest_colors":
        for mask in sample:
            if mask.suffix.lower() in _JPEG:
                read_mask(mask)  # raises with reason and remedy
    if encoding is None and dataset.encoding == "class_ids":
        encoding = _colors_or_ids(sample)
        if encoding is None:
            _check_palettes(sample)
    if dataset.label_space is UNKNOWN_CLASSES:
        return _with_classes_found(dataset, encoding)
    if encoding in _RGB:
        return _by_color(dataset, encoding, sample)
    if dataset.label_space.ids_are_colors:
        raise DataError(
            f"{sample[0]}: the masks hold ids in one channel, but the table of the classes has only colours. Add a "
            "column id with the value of each class in the masks, or give --mask-values colors if the palettes of the "
            "masks hold these colours."
        )
    if encoding is not None:
        return replace(dataset, encoding=encoding)
    if dataset.encoding == "class_ids" and dataset.label_space.num_classes <= 2:
        dataset = _check_two_classes(dataset, sample)
    if dataset.layout == "ade20k" and dataset.label_space.name == "ade20k":
        _check_ade20k(sample)
    return dataset


def _colors_or_ids(sample: Sequence[Path]) -> Encoding | None:
    """The colour encoding if masks hold colours; None for ids.

    Raises:
        DataError: If some hold colours, and others one channel.
    """
    kinds = {mask_channels(mask): mask for mask in sample}
    if "colors" in kinds and "one" in kinds:
        raise DataError(
            f"{kinds['colors']} holds colours, but {kinds['one']} holds ids in one channel; all masks must use one "
            "encoding. If the former is only an RGB preview of a mask, remove it."
        )
    return "colors" if "colors" in kinds else None


def _check_palettes(sample: Sequence[Path]) -> None:
    """Reject masks of ids in which one index has different colours.

    Programs that number the colours of each image anew write such files: an index then is another class in each mask.

    Raises:
        DataError: If two masks use the same index for two colours.
    """
    palettes = {mask: found for mask in sample if (found := read_palette(mask)) is not None}
    if len({palette.tobytes() for palette in palettes.values()}) < 2:
        return
    first: dict[int, tuple[tuple[int, ...], Path]] = {}
    for mask, palette in palettes.items():
        values = read_samples(mask).values
        for index in np.unique(values[values < len(palette)]).tolist():
            color = tuple(palette[index].tolist())
            other, where = first.setdefault(index, (color, mask))
            if color != other:
                raise DataError(
                    f"{where} and {mask}: index {index} of their palettes is the colour {_rgb(other)} in one and "
                    f"{_rgb(color)} in the other. If the colours are the classes, give --mask-values colors; if the "
                    "indices are, --mask-values class-ids."
                )


def _rgb(color: tuple[int, ...]) -> str:
    return ",".join(map(str, color))


def _by_color(dataset: Dataset, encoding: Encoding, sample: list[Path]) -> Dataset:
    space = dataset.label_space if dataset.label_space.ids_are_colors else dataset.label_space.by_color
    if space is None:
        raise DataError(
            f"{sample[0]}: the masks hold colours, but the classes of label space '{dataset.label_space.name}' have no "
            "colours of their own. Add the columns r,g,b to its table. If one channel of the masks holds the ids, name "
            "it: --mask-channel red."
        )
    unknown: Counter[int] = Counter()
    known = [color for c in space.classes for color in c.class_ids] + list(space.void_ids)
    for mask in sample if encoding == "colors" else []:
        values = read_mask(mask, encoding)
        space.to_train_ids(values, encoding, mask)
        unknown.update({color: n for color, n in count_values(values).items() if color not in known})
    notes = dataset.notes
    if unknown:
        pixels: NDArray[np.uint32] = np.array([*unknown.elements()], np.uint32)
        notes = (
            *notes,
            f"pixels whose colour matches no class are void; in {counted(len(sample), 'mask')} inspected: "
            f"{name_colors(pixels)}.",
        )
    return replace(dataset, label_space=space, encoding=encoding, notes=notes)


def _with_classes_found(dataset: Dataset, given: Encoding | None) -> Dataset:
    """One class per value or colour in the masks; ``given`` is None where they hold ids and the user said nothing."""
    encoding = given or dataset.encoding
    if encoding == "nearest_colors":
        raise DataError(f"{dataset.root}: nearest-colors needs a class table with r,g,b. {_BLACK_AND_WHITE}")
    pixels: Counter[int] = Counter()
    for item in dataset.items:
        pixels.update(count_values(read_mask(item.mask, encoding)))
        if encoding == "colors" and len(pixels) > 255:
            raise DataError(
                f"{item.mask}: more than 255 colours in the masks so far, too many for classes. {_BLENDED}: give a "
                "classes.csv with r,g,b and --mask-values nearest-colors."
            )
    if encoding == "colors":
        space = _classes_of_colors(dataset.items[0].mask, set(pixels))
        what = f"each colour in the masks becomes a class: {len(pixels)} colours{_rare_ones(pixels)}"
    else:
        if given is None:
            _check_blended(dataset.items[0].mask, set(pixels))
        space = _classes_of_ids(dataset.items[0].mask, set(pixels))
        void = "".join(f"; {value} means void" for value in space.void_ids)
        what = f"each value in the masks becomes a class: {_in_short([c.class_ids[0] for c in space.classes])}{void}"
    note = (
        f"no classes.csv in {dataset.root}, so {what}. To name the classes or to mark some as void, edit the "
        "classes.csv that `sparsekit info --write-classes FILE` writes, or give --classes."
    )
    return replace(dataset, label_space=space, encoding=encoding, notes=(*dataset.notes, note))


def _classes_of_colors(mask: Path, colors: set[int]) -> LabelSpace:
    if max(max(to_rgb(code)) for code in colors) <= _DARKEST_PALETTE:
        raise DataError(
            f"{mask}: the masks have several channels whose values look like ids, not colours. Name the channel "
            "that holds the class: --mask-channel red."
        )
    classes = tuple(LabelClass(f"color_{code:06x}", to_rgb(code), (code,)) for code in sorted(colors))
    return LabelSpace("custom", classes, ids_are_colors=True)


def _rare_ones(pixels: Counter[int]) -> str:
    """A remark on rare colours where most are rare, as those of blended borders."""
    rare = sum(100 * count < pixels.total() for count in pixels.values())
    if 2 * rare <= len(pixels):
        return ""
    return (
        f", {rare} of them on less than 1 % of the pixels each. {_BLENDED}; a classes.csv with r,g,b and --mask-values "
        "nearest-colors undo that"
    )


def _check_blended(mask: Path, values: set[int]) -> None:
    """Reject black and white masks with greys between, each of which would become a class, and white void.

    Raises:
        DataError: If there are black, white and several greys, some of them bright.
    """
    white = max(values)
    between = values - {0, white}
    if white in _WHITES and 0 in values and len(between) > 2 and max(between) > 0.75 * white:
        deep = "Save them with 8 bits. " if white > 255 else ""
        raise DataError(
            f"{mask.parent}: the masks hold 0, {white} and {len(between)} values between. {_BLENDED}. "
            f"{deep}{_BLACK_AND_WHITE} If each value is a class, list all in a classes.csv with id,name, or give "
            f"--mask-values class-ids, by which {white} is void."
        )


def _classes_of_ids(mask: Path, values: set[int]) -> LabelSpace:
    """A class for each value; white is one if the masks are black and white, and void otherwise."""
    white = max(values)
    if values == {0, white} and white in _WHITES:
        classes = (LabelClass("background", (0, 0, 0), (0,)), LabelClass("foreground", (255, 255, 255), (white,)))
        return LabelSpace("custom", classes)
    if values.issubset(_WHITES):
        raise DataError(
            f"{mask.parent}: all masks are void ({white}); there is no class to annotate. If {white} is a class, list "
            "it with id,name in a classes.csv."
        )
    return numbered_label_space(values)


def _check_two_classes(dataset: Dataset, sample: list[Path]) -> Dataset:
    """Handle black and white masks whose table lists ids 0 and 1, or colours."""
    space = dataset.label_space
    found = {0}
    for mask in sample:
        found |= count_values(read_mask(mask)).keys()
    for item in dataset.items:  # masks without any object tell nothing
        if found != {0}:
            break
        found |= count_values(read_mask(item.mask)).keys()
    _check_blended(sample[0], found)
    white = max(found)
    listed = {*space.void_ids, *(class_id for c in space.classes for class_id in c.class_ids)}
    if found != {0, white} or white not in _WHITES or white in listed:
        return dataset
    by_color = space.by_color
    colors = {*by_color.void_ids, *(code for c in by_color.classes for code in c.class_ids)} if by_color else set()
    if colors == {0, 0xFFFFFF} and white == 255:
        return _by_color(dataset, "colors", sample)
    last = space.classes[-1]
    raise DataError(
        f"{sample[0].parent}: the masks hold 0 and {white}, but '{last.name}' has id {last.class_ids[0]}, and {white} "
        f"means void. If {white} is a class, give it the id {white} in the class table; if it is void, add a void row "
        f"with id {white}."
    )


def _check_ade20k(sample: list[Path]) -> None:
    """ADE20K counts classes from 1; reject masks reduced to 0..149, which would all shift by one."""
    pixels = np.zeros(65536, np.int64)
    for mask in sample:
        pixels += np.bincount(read_mask(mask).ravel(), minlength=65536)
    share = pixels[0] / max(1, pixels.sum())
    if pixels[255] or (share > 0.5 and not pixels[150]):
        sign = "hold 255, which never occurs in ADE20K" if pixels[255] else f"are 0 (void) on {share:.0%} of the pixels"
        raise DataError(
            f"{sample[0].parent}: the masks {sign}. Their classes seem to start at 0, as after mmsegmentation's "
            "reduce_zero_label; ADE20K's start at 1, so every class would be read as its predecessor. Give "
            "--mask-values train-ids if they start at 0, or --mask-values class-ids if they are ADE20K's own."
        )


def _in_short(values: list[int]) -> str:
    """Ascending numbers as ranges.

    Example:
        >>> _in_short([0, 1, 2, 7])
        '0..2, 7'
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
