"""The one writer of all targets that read label maps: where images, annotations and full masks go is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from data_manifests import ManifestRow
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.formats.shared.job import ExportJob


@dataclass(frozen=True)
class Places:
    """Where files go.

    The patterns hold ``{name}``, ``{split}``, ``{city}`` (what is before the first ``_`` of the name) or ``{part}``
    (``Ts`` for images to test on, ``Tr`` for the others).

    Args:
        image: Pattern of images, without ending.
        sparse: Pattern of annotations.
        full: Pattern of the full masks of images that serve evaluation.
        image_suffix: The ending that the reader looks for.
    """

    image: str
    sparse: str
    full: str
    image_suffix: str | None = None


@dataclass(frozen=True)
class Placed:
    """One image that was written.

    Args:
        row: Its row.
        name: Name of its files.
        image: Path of the image in the export.
        labels: Path of the annotation, or of the full mask of an image that serves evaluation.
    """

    row: ManifestRow
    name: str
    image: str
    labels: str


def write_label_maps(job: ExportJob, places: Places) -> list[Placed]:
    """Write images and label maps of all images, sorted by image id."""
    placed = [_place(job, image, places) for image in job.annotated()]
    placed += [_place(job, image, places) for image in job.evaluated()]
    return sorted(placed, key=lambda p: p.row.image_id)


def _place(job: ExportJob, image: AnnotatedImage, places: Places) -> Placed:
    name = job.name(image.row)
    sparse = bool(image.row.annotation)
    part = "Ts" if image.row.split == "test" and not sparse else "Tr"
    words = {"name": name, "split": image.row.split, "city": name.partition("_")[0], "part": part}
    labels = (places.sparse if sparse else places.full).format(**words)
    job.write_label_map(labels, image.read_annotation() if sparse else image.read_full_mask(), full=not sparse)
    return Placed(
        image.row, name, job.put_image(image, places.image.format(**words), places.image_suffix), labels
    )  # fmt: skip


def write_lists(job: ExportJob, placed: Iterable[Placed], path: str, line: Callable[[Placed], str]) -> None:
    """Write a list of the images of each split.

    Args:
        job: The export.
        placed: All images.
        path: Path of a list, with ``{split}`` in it.
        line: The line of an image.
    """
    by_split: dict[str, list[str]] = {}
    for one in placed:
        by_split.setdefault(one.row.split, []).append(line(one) + "\n")
    for split, lines in by_split.items():
        job.write(path.replace("{split}", split), "".join(lines))  # a dataset's name may have braces too
