"""Agreement of two annotations of the same images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests import Manifest
from data_manifests.errors import counted
from data_manifests.manifest.classes import require_equal_classes
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.audit.score import annotated_in_all
from sparsekit.audit.tables import format_table, number, percent, share
from sparsekit.errors import AnnotationError


@dataclass(frozen=True)
class Agreement:
    """Agreement of two annotations, over the pixels that both label, of all images in both.

    Args:
        names: Name of each annotation.
        class_names: In the order of train ids.
        num_images: Images annotated in both.
        num_labelled: Pixels that each labels on these images.
        confusion: Pixels that both label, by class in the first (row) and in the second, shape (C, C).
    """

    names: tuple[str, str]
    class_names: tuple[str, ...]
    num_images: int
    num_labelled: tuple[int, int]
    confusion: NDArray[np.int64]

    @property
    def num_common(self) -> int:
        """Pixels that both label."""
        return int(self.confusion.sum())

    @property
    def agreeing(self) -> float | None:
        """Share of these with the same class, 0..1; None without a common pixel."""
        return share(int(np.trace(self.confusion)), self.num_common)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: agreement beyond chance, 1 for perfect; None if undefined, as for a single common class.

        References:
            Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 1960.
        """
        if self.agreeing is None:
            return None
        # Exact integers: products of pixel counts exceed what floats distinguish.
        rows, cols = self.confusion.sum(1).tolist(), self.confusion.sum(0).tolist()
        by_chance = sum(row * col for row, col in zip(rows, cols, strict=True))
        total = self.num_common
        return share(int(np.trace(self.confusion)) * total - by_chance, total * total - by_chance)

    def rows(self) -> list[dict[str, Any]]:
        """For each class in either: common pixels of it in each, and its agreement (Dice coefficient), 0..1."""
        found = zip(
            self.class_names, self.confusion.sum(1).tolist(), self.confusion.sum(0).tolist(),
            np.diagonal(self.confusion).tolist(), strict=True,
        )  # fmt: skip
        return [
            {"class": name, "first": ours, "second": theirs, "agreement": share(2 * both, ours + theirs)}
            for name, ours, theirs, both in found
            if ours + theirs
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers; shares lie in 0..1."""
        return {
            "names": list(self.names),
            "num_images": self.num_images,
            "labelled_pixels": list(self.num_labelled),
            "common_pixels": self.num_common,
            "agreeing": self.agreeing,
            "kappa": self.kappa,
            "classes": self.rows(),
        }


def measure_agreement(
    first: Manifest, second: Manifest, *, split: str | None = None, on_image: Callable[[], None] = lambda: None
) -> Agreement:
    """Compare two annotations of the same images, pixel by pixel.

    Args:
        first: A manifest.
        second: Another, with the same classes.
        split: Only this split.
        on_image: Called after each image.

    Raises:
        DataError: If the classes differ, no image is annotated in both, an image differs in size, or a file cannot be
            used.
    """
    require_equal_classes([first, second])
    ids = annotated_in_all([first, second], split)
    if not ids:
        raise AnnotationError(f"{first.path} and {second.path}: no image is annotated in both.")
    space = first.label_space
    size = space.num_classes
    confusion = np.zeros((size, size), np.int64)
    labelled = [0, 0]
    tables = [{row.image_id: row for row in manifest.rows} for manifest in (first, second)]
    for image_id in sorted(ids):
        ours, theirs = (
            read_row_annotation(manifest, table[image_id])
            for manifest, table in zip((first, second), tables, strict=True)
        )
        if ours.shape != theirs.shape:
            raise AnnotationError(
                f"{second.path}: image '{image_id}' is {theirs.shape[0]}x{theirs.shape[1]} (height x width), but "
                f"{ours.shape[0]}x{ours.shape[1]} in {first.path}."
            )
        known = ours != space.unlabelled_value, theirs != space.unlabelled_value
        both = known[0] & known[1]
        pairs = size * ours[both].astype(np.int64) + theirs[both]
        confusion += np.bincount(pairs, minlength=size * size).reshape(size, size)
        labelled = [count + int(np.count_nonzero(one)) for count, one in zip(labelled, known, strict=True)]
        on_image()
    return Agreement((first.name, second.name), space.class_names, len(ids), (labelled[0], labelled[1]), confusion)


def format_agreement(found: Agreement) -> str:
    """Format a line with the totals and a table of the classes."""
    ours, theirs = found.num_labelled
    total = (
        f"{counted(found.num_images, 'image')} in both; {found.names[0]} labels {counted(ours, 'pixel')}, "
        f"{found.names[1]} {theirs:,}, both {found.num_common:,}.\n"
        f"Of these, {percent(found.agreeing)} % agree; Cohen's kappa is {number(found.kappa, 3)}."
    )
    if not found.num_common:
        return total
    table = format_table(
        [
            {
                "class": row["class"],
                f"{found.names[0]}, pixels": f"{row['first']:,}",
                f"{found.names[1]}, pixels": f"{row['second']:,}",
                "agreement %": percent(row["agreement"]),
            }
            for row in found.rows()
        ]
    )
    return f"{total}\n\n{table}"
