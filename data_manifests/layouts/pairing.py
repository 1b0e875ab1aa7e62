"""Rules that pair images with masks of different names, and the pairs each would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from data_manifests.errors import counted, list_some

#: Common suffixes and prefixes of mask names.
_MARKS = ("mask", "masks", "label", "labels", "gt", "groundtruth", "seg", "segmentation", "annotation", "anno", "l")
_JPEG = (".jpg", ".jpeg", ".jfif")

Pair = tuple[str, Path, Path]


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
) -> list[Rule]:
    """Apply all rules to the files of two folders, in order of preference.

    Args:
        images: Images in ``images_dir`` at any depth.
        images_dir: Image ids are the paths below it, without extension.
        masks: Masks in ``masks_dir``.
        masks_dir: Their folder.
        mask_suffix: Suffix of mask names after the image's; if given, only this rule is tried.
    """
    of_images = [_stem(path, images_dir) for path in images]
    of_masks = [_stem(path, masks_dir) for path in masks]

    def rule(name: str, image_key: Callable[[str], str | None], mask_key: Callable[[str], str | None]) -> Rule:
        return _rule(name, images, list(map(image_key, of_images)), masks, list(map(mask_key, of_masks)), of_images)

    if mask_suffix is not None:
        end = normalize("NFC", Path(mask_suffix).stem if Path(mask_suffix).suffix else mask_suffix)
        strip = _without(end)
        return [rule(f"mask named as the image with {mask_suffix!r}", lambda key: key, strip)]
    rules = [rule("", lambda key: key, lambda key: key), rule("names that differ in case", str.lower, str.lower)]
    for start, end in _contained(of_images, of_masks):
        rules.append(rule(f"mask {start}*{end} for image *", str.lower, _core(start, end)))
    image_start, image_end = _affixes(of_images)
    mask_start, mask_end = _affixes(of_masks)
    if (image_start, image_end) != (mask_start, mask_end):
        name = f"mask {mask_start}*{mask_end} for image {image_start}*{image_end}"
        rules.append(rule(name, _core(image_start, image_end), _core(mask_start, mask_end)))
    if any("/" in key for key in (*of_images, *of_masks)):
        rules.append(rule("equal file names in other folders", _file_name, _file_name))
    return rules


def split_one_folder(files: Sequence[Path], folder: Path) -> list[Rule]:
    """Rules that split the files of one folder into images and masks; complete ones only."""
    by_stem: dict[str, list[Path]] = {}
    for path in files:
        by_stem.setdefault(_stem(path, folder).lower(), []).append(path)
    found: dict[tuple[Pair, ...], Rule] = {}

    def add(name: str, pairs: list[tuple[Path, Path]]) -> None:
        if len(pairs) * 2 == len(files):
            named = tuple(sorted((image_id(i, folder), i, m) for i, m in pairs))
            found.setdefault(named, Rule(name, named, (), ()))

    for mark in _MARKS:
        for affix, strip in _mark_strippers(mark):
            both = [(path, strip(stem)) for stem, paths in by_stem.items() for path in paths if strip(stem)]
            images = [[p for p in by_stem.get(stem or "", []) if p != mask] for mask, stem in both]
            if all(len(one) == 1 for one in images):
                add(f"mask {affix}", [(one[0], mask) for one, (mask, _) in zip(images, both, strict=True)])
    if all(len(paths) == 2 for paths in by_stem.values()):
        pairs = [sorted(paths, key=lambda p: p.suffix.lower() not in _JPEG) for paths in by_stem.values()]
        if all(i.suffix.lower() in _JPEG and m.suffix.lower() not in _JPEG for i, m in pairs):
            add("JPEG images beside masks of another format", [(i, m) for i, m in pairs])
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


def image_id(path: Path, folder: Path) -> str:
    """Path below a folder without extension, with ``/`` between the parts."""
    return path.with_suffix("").relative_to(folder).as_posix()


def _stem(path: Path, folder: Path) -> str:
    return normalize("NFC", image_id(path, folder))


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


def _affixes(keys: Sequence[str]) -> tuple[str, str]:
    """Return the common prefix and suffix of several file names, in lower case."""
    names = [_file_name(key) for key in keys]
    if len(set(names)) < 2:
        return "", ""
    start = _common_start(names)
    end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
    return start, end


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]


def _core(start: str, end: str) -> Callable[[str], str | None]:
    def core(key: str) -> str | None:
        folder, slash, name = key.lower().rpartition("/")
        if not (name.startswith(start) and name.endswith(end) and len(name) >= len(start) + len(end)):
            return None
        return folder + slash + name[len(start) : len(name) - len(end)]

    return core


def _without(end: str) -> Callable[[str], str | None]:
    return lambda key: key.removesuffix(end) if key.endswith(end) else None


def _contained(images: Sequence[str], masks: Sequence[str]) -> list[tuple[str, str]]:
    """Return the prefix and suffix around the name of an image in the first mask's name; tries long names first."""
    if not masks:
        return []
    mask = _file_name(masks[0])
    names = sorted({_file_name(key) for key in images if _file_name(key) in mask}, key=len, reverse=True)
    around = [(mask[: mask.index(name)], mask[mask.index(name) + len(name) :]) for name in names]
    return [pair for pair in around if pair != ("", "")][:5]


def _mark_strippers(mark: str) -> list[tuple[str, Callable[[str], str | None]]]:
    return [
        *((f"*{sign}{mark}", _core("", f"{sign}{mark}")) for sign in "_-. "),
        *((f"{mark}{sign}*", _core(f"{mark}{sign}", "")) for sign in "_-. "),
    ]
