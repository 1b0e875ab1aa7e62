"""Rules that pair images with masks of different names, and the pairs each would give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from data_manifests.errors import counted, list_some
from data_manifests.layouts.base import relative_stem

#: Common suffixes and prefixes of mask names.
_MARKS = ("mask", "masks", "label", "labels", "gt", "groundtruth", "seg", "segmentation", "annotation", "anno", "l")
_JPEG = (".jpg", ".jpeg", ".jfif")

Pair = tuple[str, Path, Path]
_Key = Callable[[str], str | None]
#: What a name has before and after the part that an image and its mask share.
_Affixes = tuple[str, str]


@dataclass(frozen=True)
class Rule:
    """Result of one pairing rule.

    Args:
        name: Description for messages; empty for equal names.
        pairs: Image id, image and mask, sorted by id.
        images_left: Images without a partner.
        masks_left: Masks without a partner.
    """

    name: str
    pairs: tuple[Pair, ...]
    images_left: tuple[Path, ...]
    masks_left: tuple[Path, ...]

    @property
    def complete(self) -> bool:
        """Whether every image has its mask and every mask its image."""
        return bool(self.pairs) and not self.images_left and not self.masks_left

    def in_words(self) -> str:
        """One-line summary for messages."""
        left = [
            f"{counted(len(paths), noun)} left ({list_some([p.name for p in paths], limit=3)})"
            for paths, noun in ((self.images_left, "image"), (self.masks_left, "mask"))
            if paths
        ]
        return f"{self.name or 'equal names'}: {counted(len(self.pairs), 'pair')}" + "".join(f", {x}" for x in left)


def pairing_rules(
    images: Sequence[Path], images_dir: Path, masks: Sequence[Path], masks_dir: Path, mask_suffix: str | None = None
) -> Iterator[Rule]:
    """Apply rules to the files of two folders, one after the other, in order of preference.

    Args:
        images: Images in ``images_dir`` at any depth.
        images_dir: Image ids are the paths below it, without extension.
        masks: Masks in ``masks_dir``.
        masks_dir: Their folder.
        mask_suffix: Suffix of mask names, after the image's or in place of a suffix of all images; if given, no other
            rules are tried.
    """
    of_images = [_stem(path, images_dir) for path in images]
    of_masks = [_stem(path, masks_dir) for path in masks]

    def rule(name: str, image_key: _Key, mask_key: _Key) -> Rule:
        return _rule(name, images, list(map(image_key, of_images)), masks, list(map(mask_key, of_masks)), of_images)

    def named(image: _Affixes, mask: _Affixes) -> Rule:
        name = "mask {}*{} for image {}*{}".format(*mask, *image)
        return rule(name, _core(*image), _core(*mask))

    def elsewhere(image: _Affixes, mask: _Affixes) -> Rule:
        name = "mask {}*{} in another folder for image {}*{}".format(*mask, *image)
        return rule(name, lambda key: _core(*image)(_file_name(key)), lambda key: _core(*mask)(_file_name(key)))

    if mask_suffix is not None:
        strip = _without(normalize("NFC", suffix_in(mask_suffix)))
        yield rule(f"mask named as the image with {mask_suffix!r}", lambda key: key, strip)
        if None not in map(strip, of_masks):
            yield from (named(*each) for each in _replaced(of_images, of_masks))
        return
    yield rule("", lambda key: key, lambda key: key)
    yield rule("names that differ in case", str.lower, str.lower)
    patterns = [(("", ""), around) for around in _contained(of_images, of_masks)] + _replaced(of_images, of_masks)
    yield from (named(*each) for each in patterns)
    if any("/" in key for key in (*of_images, *of_masks)):
        yield rule("equal file names in other folders", _file_name, _file_name)
        yield from (elsewhere(*each) for each in patterns)


def suffix_in(text: str) -> str:
    """A suffix of names as users give it, which may have an extension."""
    return Path(text).stem if Path(text).suffix else text


def split_one_folder(files: Sequence[Path], folder: Path) -> list[Rule]:
    """Rules that split the files of one folder into images and masks; complete ones only."""
    stems = {path: _stem(path, folder).lower() for path in files}
    names = {path: _file_name(stem) for path, stem in stems.items()}
    found: dict[tuple[Pair, ...], Rule] = {}
    for mark in _MARKS:
        for start, end in (affixes for sign in "_-. " for affixes in (("", sign + mark), (mark + sign, ""))):
            masks = {path for path, name in names.items() if name.startswith(start) and name.endswith(end)}
            if len(masks) * 2 != len(files):
                continue
            images = [path for path in files if path not in masks]
            rules = pairing_rules(images, folder, sorted(masks), folder)
            rule = next((rule for rule in rules if rule.complete), None)
            # Names with _l and _r are those of two cameras.
            if rule and (mark != "l" or all(_core(start, end)(stems[m]) == stems[i] for _, i, m in rule.pairs)):
                found.setdefault(rule.pairs, rule)
    by_stem: dict[str, list[Path]] = {}
    for path, stem in stems.items():
        by_stem.setdefault(stem, []).append(path)
    if all(len(paths) == 2 for paths in by_stem.values()):
        both = [sorted(paths, key=lambda p: p.suffix.lower() not in _JPEG) for paths in by_stem.values()]
        if all(i.suffix.lower() in _JPEG and m.suffix.lower() not in _JPEG for i, m in both):
            pairs = tuple(sorted((relative_stem(image, folder), image, mask) for image, mask in both))
            found.setdefault(pairs, Rule("JPEG images beside masks of another format", pairs, (), ()))
    return list(found.values())


def suffix_in_one_folder(files: Sequence[Path], folder: Path) -> str | None:
    """The suffix that the names of half of the files add to those of the others, at any depth; None without one."""
    stems = {_stem(path, folder) for path in files}
    first = min(stems, default="")  # sorts before the same name with a suffix, so it is an image
    for suffix in sorted(stem.removeprefix(first) for stem in stems if stem.startswith(first) and stem != first):
        masks = {stem for stem in stems if stem.endswith(suffix)}
        if len(stems) == len(files) and not suffix.isdigit() and {i + suffix for i in stems - masks} == masks:
            return suffix
    return None


def _stem(path: Path, folder: Path) -> str:
    return normalize("NFC", relative_stem(path, folder))


def _rule(
    name: str,
    images: Sequence[Path],
    image_keys: Sequence[str | None],
    masks: Sequence[Path],
    mask_keys: Sequence[str | None],
    ids: Sequence[str],
) -> Rule:
    """Pairs with equal keys that occur once on each side."""
    once_image = {key for key, count in Counter(image_keys).items() if key is not None and count == 1}
    once_mask = {key: m for m, key in zip(masks, mask_keys, strict=True) if key is not None and key in once_image}
    twice = {key for key, count in Counter(mask_keys).items() if count > 1}
    pairs, left = [], []
    for image, key, id_ in zip(images, image_keys, ids, strict=True):
        if key in once_mask and key not in twice:
            pairs.append((id_, image, once_mask[key]))
        else:
            left.append(image)
    paired = {mask for _, _, mask in pairs}
    return Rule(name, tuple(sorted(pairs)), tuple(left), tuple(m for m in masks if m not in paired))


def _file_name(key: str) -> str:
    return key.rsplit("/", 1)[-1].lower()


def _replaced(images: Sequence[str], masks: Sequence[str]) -> list[tuple[_Affixes, _Affixes]]:
    """The prefixes and suffixes that all images, and all masks, have in common; none if they tell nothing.

    Numbers in both must be equal: those of other years or cameras are other images.
    """
    image, mask = _affixes(images), _affixes(masks)
    numbers = [re.findall("[1-9][0-9]*", " ".join(affixes)) for affixes in (image, mask)]
    return [] if image == mask or (all(numbers) and numbers[0] != numbers[1]) else [(image, mask)]


def _affixes(keys: Sequence[str]) -> _Affixes:
    """The common prefix and suffix of several file names, in lower case, which cut no number but leading zeros off."""
    names = [_file_name(key) for key in keys]
    if len(set(names)) < 2:
        return "", ""
    start = _common_start(names)
    if any(name[len(start) :][:1].isdigit() for name in names):
        start = re.sub("[1-9][0-9]*$", "", start)
    end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
    if any(name[: len(name) - len(end)][-1:].isdigit() for name in names):
        end = end.lstrip("0123456789")
    return start, end


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]


def _core(start: str, end: str) -> _Key:
    def core(key: str) -> str | None:
        folder, slash, name = key.lower().rpartition("/")
        if not (name.startswith(start) and name.endswith(end) and len(name) >= len(start) + len(end)):
            return None
        return folder + slash + name[len(start) : len(name) - len(end)]

    return core


def _without(end: str) -> _Key:
    return lambda key: key.removesuffix(end) if key.endswith(end) else None


def _contained(images: Sequence[str], masks: Sequence[str]) -> list[_Affixes]:
    """The prefix and suffix around the name of an image in the first mask's name; long names first, and no part of a
    number.
    """
    if not masks:
        return []
    mask = _file_name(masks[0])
    names = sorted({_file_name(key) for key in images if _file_name(key) in mask}, key=len, reverse=True)
    around = [(mask[: mask.index(name)], mask[mask.index(name) + len(name) :]) for name in names]
    whole = [
        (start, end)
        for name, (start, end) in zip(names, around, strict=True)
        if not re.search("[1-9]\0[0-9]", f"{start}\0{name}") and not re.search("[0-9]\0[0-9]", f"{name}\0{end}")
    ]
    return [pair for pair in whole if pair != ("", "")][:5]
