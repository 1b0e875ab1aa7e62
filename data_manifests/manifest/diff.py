"""Compare two annotations of the same images: marks added, removed, moved or relabelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from data_manifests.errors import ManifestError
from data_manifests.manifest.classes import require_equal_classes
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.rows import read_row_annotation
from data_manifests.manifest.schema import Manifest, ManifestRow, Mark


@dataclass(frozen=True)
class ImageDiff:
    """One image in two annotations.

    Args:
        image_id: The image.
        same: Marks in both.
        relabelled: Marks at the same place with another class.
        moved: Marks of the same kind and class that start at most ``max_move`` apart, or strokes with another path.
        added: Marks only in the second annotation.
        removed: Marks only in the first annotation.
        move_distance: Sum of the distances of moved marks, in pixels.
        both: Pixels with the same label in both.
        either: Pixels with a label in at least one of them.
        classes_gained: Train ids labelled only in the second annotation.
        classes_lost: Train ids labelled only in the first annotation.
    """

    image_id: str
    same: int
    relabelled: int
    moved: int
    added: int
    removed: int
    move_distance: float
    both: int
    either: int
    classes_gained: tuple[int, ...]
    classes_lost: tuple[int, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.relabelled or self.moved or self.added or self.removed) or self.both != self.either


@dataclass(frozen=True)
class ManifestDiff:
    """Comparison of two manifests.

    Args:
        images: Images annotated in both, sorted by id.
        only_first: Ids annotated in the first manifest only.
        only_second: Ids annotated in the second manifest only.
    """

    images: tuple[ImageDiff, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.only_first or self.only_second) or any(image.differs for image in self.images)

    def summary(self) -> dict[str, Any]:
        """Totals over all images, JSON-ready."""
        total: Counter[str] = Counter()
        for image in self.images:
            total.update({k: v for k, v in asdict(image).items() if isinstance(v, int | float)})
        moved = total["moved"]
        return {
            "images_compared": len(self.images),
            "images_that_differ": sum(image.differs for image in self.images),
            "images_only_in_first": len(self.only_first),
            "images_only_in_second": len(self.only_second),
            **{f"marks_{name}": total[name] for name in ("same", "relabelled", "moved", "added", "removed")},
            "mean_move_px": total["move_distance"] / moved if moved else 0.0,
            "pixel_iou": total["both"] / total["either"] if total["either"] else 1.0,
            "classes_gained": sum(len(image.classes_gained) for image in self.images),
            "classes_lost": sum(len(image.classes_lost) for image in self.images),
        }


def diff_manifests(first: Manifest, second: Manifest, *, max_move: float = 10.0) -> ManifestDiff:
    """Compare the annotations of two manifests image by image.

    Args:
        first: The old manifest.
        second: The new manifest, with the same classes.
        max_move: A removed and an added mark at most this many pixels apart count as one moved mark.

    Raises:
        DataError: If the classes differ, an image has two sizes, or an annotation or the marks cannot be read.
    """
    require_equal_classes([first, second])
    rows = [{row.image_id: row for row in m.rows if row.annotation} for m in (first, second)]
    common = sorted(rows[0].keys() & rows[1].keys())
    # Keep only the marks of images in both, as the files can be long.
    marks = [_marks_of(manifest, set(common)) for manifest in (first, second)]
    images = tuple(
        _diff_image((first, rows[0][i], marks[0].get(i, [])), (second, rows[1][i], marks[1].get(i, [])), max_move)
        for i in common
    )
    return ManifestDiff(
        images, tuple(sorted(rows[0].keys() - rows[1].keys())), tuple(sorted(rows[1].keys() - rows[0].keys()))
    )


def _marks_of(manifest: Manifest, image_ids: set[str]) -> dict[str, list[Mark]]:
    if not manifest.marks_path.is_file():
        return {}
    return {image_id: marks for image_id, marks in read_marks_of(manifest) if image_id in image_ids}


Side = tuple[Manifest, ManifestRow, list[Mark]]


def _diff_image(first: Side, second: Side, max_move: float) -> ImageDiff:
    maps = [read_row_annotation(manifest, row) for manifest, row, _ in (first, second)]
    if maps[0].shape != maps[1].shape:
        raise ManifestError(f"{second[0].path}: image '{second[1].image_id}' differs in size from {first[0].path}.")
    unlabelled = first[0].label_space.unlabelled_value
    labelled = [label_map != unlabelled for label_map in maps]
    classes = [set(row.classes_labelled) for _, row, _ in (first, second)]
    same, relabelled, removed, added = _match_in_place(first[2], second[2])
    distances = _match_nearby(removed, added, max_move)
    return ImageDiff(
        image_id=first[1].image_id,
        same=same,
        relabelled=relabelled,
        moved=len(distances),
        added=len(added) - len(distances),
        removed=len(removed) - len(distances),
        move_distance=sum(distances),
        both=int(np.count_nonzero(labelled[0] & labelled[1] & (maps[0] == maps[1]))),
        either=int(np.count_nonzero(labelled[0] | labelled[1])),
        classes_gained=tuple(sorted(classes[1] - classes[0])),
        classes_lost=tuple(sorted(classes[0] - classes[1])),
    )


def _match_in_place(first: Sequence[Mark], second: Sequence[Mark]) -> tuple[int, int, list[Mark], list[Mark]]:
    """Number of equal and of relabelled marks, and the unmatched marks of both sides."""
    # Region numbers may differ between equal marks.
    before, after = (Counter(replace(mark, region=-1) for mark in marks) for marks in (first, second))
    gone = [replace(mark, class_id=-1) for mark in (before - after).elements()]
    removed, added = list((before - after).elements()), list((after - before).elements())
    relabelled = 0
    for mark in tuple(added):
        place = replace(mark, class_id=-1)
        if place in gone:
            position = gone.index(place)
            del gone[position], removed[position]
            added.remove(mark)
            relabelled += 1
    return (before & after).total(), relabelled, removed, added


def _match_nearby(removed: Sequence[Mark], added: Sequence[Mark], max_move: float) -> list[float]:
    """Distances of moved marks: pairs of the same kind and class, closest first."""
    pairs = []
    for i, a in enumerate(removed):
        for j, b in enumerate(added):
            squared = (a.row - b.row) ** 2 + (a.col - b.col) ** 2
            if a.kind == b.kind and a.class_id == b.class_id and squared <= max_move**2:
                pairs.append((squared, i, j))
    used: tuple[set[int], set[int]] = (set(), set())
    distances = []
    for squared, i, j in sorted(pairs):
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            distances.append(squared**0.5)
    return distances
