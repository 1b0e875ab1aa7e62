"""Writer and reader shared by all formats of label maps; each format supplies a table of paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_manifests import LabelMap, ManifestRow
from data_manifests.errors import list_some
from data_manifests.files.images import list_images, read_image_size
from data_manifests.files.masks import read_mask
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_values import LabelValues
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape

#: If one class covers a larger share, the file is not a sparse label map or has another unlabelled value.
_MOST_OF_ONE_CLASS = 0.99


@dataclass(frozen=True)
class Places:
    """Paths of an export.

    The patterns hold ``{name}``, ``{split}``, ``{city}`` (the name up to its first ``_``) or ``{part}`` (``Ts`` for
    test images, ``Tr`` for the others).

    Args:
        image: Pattern of images, without extension.
        sparse: Pattern of annotations.
        full: Pattern of the full masks of evaluation images.
        image_suffix: Extension that the reader expects.
        rgb: Whether the reader requires exactly three bands.
    """

    image: str
    sparse: str
    full: str
    image_suffix: str | None = None
    rgb: bool = False


@dataclass(frozen=True)
class Placed:
    """One exported image.

    Args:
        row: Its row.
        name: Name of its files.
        image: Path of the image in the export.
        labels: Path of the annotation, or of the full mask of an evaluation image.
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
        line: Formats the line of an image.
    """
    by_split: dict[str, list[str]] = {}
    for one in placed:
        by_split.setdefault(one.row.split, []).append(line(one) + "\n")
    for split, lines in by_split.items():
        job.write(path.replace("{split}", split), "".join(lines))  # the name of a dataset may contain braces


def read_label_maps(source: ImportSource, values: LabelValues, places: Sequence[str]) -> Iterator[Imported]:
    """Annotations of the images that have one.

    Args:
        source: The import.
        values: Values of the classes.
        places: Folders of annotations, as patterns; if none exists, the annotations are in the folder itself.

    Raises:
        DataError: If there are no annotations or several sets, or a file cannot be used.
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
    """Ask the user if nearly all pixels have the value of one class, for example because 0 was meant as no label."""
    counts = np.bincount(found.ravel())
    value = int(counts.argmax())
    if value in values.of_class and counts[value] >= _MOST_OF_ONE_CLASS * found.size and np.count_nonzero(counts) > 1:
        raise AnnotationError(
            f"{path}: {counts[value] / found.size:.1%} of the pixels have the value {value}, which is a class in this "
            f"format; {values.unlabelled} means no label. Give --unlabelled {value} if it means no label here, or "
            f"--unlabelled {values.unlabelled} if these pixels really belong to the class."
        )


def _images(folder: Path, places: Sequence[str]) -> list[tuple[Path, Path]]:
    """Label maps, each with its folder of annotations."""
    folders = sorted({path for place in places for path in folder.glob(place) if path.is_dir()})
    if len({path.name for path in folders}) > 1:
        raise AnnotationError(
            f"{folder}: holds several annotations: {list_some([str(f.relative_to(folder)) for f in folders])}. Give "
            "one of these folders."
        )
    found = [(place, path) for place in folders or [folder] for path in list_images(place, (".png",))]
    if not found:
        raise AnnotationError(
            f"{folder}: contains no label maps (.png), and neither does {' or '.join(places)} below it."
        )
    return found
