"""The one writer and the one reader of all formats of label maps: where files lie is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_manifests import LabelMap, ManifestRow
from data_manifests.errors import list_some
from data_manifests.files.images import list_images, read_image_size, read_mask
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_values import LabelValues
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape

#: A sparse label map in which one class has a larger share is none, or its unlabelled value is another one.
_MOST_OF_ONE_CLASS = 0.99


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
        rgb: Whether the reader counts the bands of images, and expects red, green and blue.
    """

    image: str
    sparse: str
    full: str
    image_suffix: str | None = None
    rgb: bool = False


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
    shown = job.put_image(image, places.image.format(**words), places.image_suffix, rgb=places.rgb)
    return Placed(image.row, name, shown, labels)


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


def read_label_maps(source: ImportSource, values: LabelValues, places: Sequence[str]) -> Iterator[Imported]:
    """Annotations of the images that have one.

    Args:
        source: The import.
        values: Which value stands for which class.
        places: Where annotations lie, as patterns; where none of these is there, they are in the folder itself.

    Raises:
        DataError: If there are none or several of them, or a file cannot be used.
    """
    for folder, path in _images(source.folder, places):
        if item := source.find(path.relative_to(folder).as_posix()):
            shape = check_shape(item, read_image_size(path), path)  # before anything large is decoded
            found = read_mask(path)
            if source.options.unlabelled is None:
                _check_sparse(found, values, path)
            label_map = values.decode(found, source.space, path, source.options.unlabelled)
            yield Imported(item, shape, label_map=label_map)


def _check_sparse(found: LabelMap, values: LabelValues, path: Path) -> None:
    """Ask when nearly all pixels have the value of one class: where somebody wrote 0 for no label, that is a class."""
    counts = np.bincount(found.ravel())
    value = int(counts.argmax())
    if value in values.of_class and counts[value] >= _MOST_OF_ONE_CLASS * found.size and np.count_nonzero(counts) > 1:
        raise AnnotationError(
            f"{path}: {counts[value] / found.size:.1%} of the pixels have the value {value}, which is a class in this "
            f"format; no label is {values.unlabelled}. Say which value means no label: --unlabelled {value}, or "
            f"--unlabelled {values.unlabelled} if that many pixels really have that class."
        )


def _images(folder: Path, places: Sequence[str]) -> list[tuple[Path, Path]]:
    """Label maps, each with the folder of annotations in which it lies."""
    folders = sorted({path for place in places for path in folder.glob(place) if path.is_dir()})
    if len({path.name for path in folders}) > 1:
        raise AnnotationError(
            f"{folder}: holds several annotations: {list_some([str(f.relative_to(folder)) for f in folders])}. Give "
            "one of these folders."
        )
    found = [(place, path) for place in folders or [folder] for path in list_images(place, (".png",))]
    if not found:
        raise AnnotationError(f"{folder}: no label maps (.png) in it, nor in {' or '.join(places)} below it.")
    return found
