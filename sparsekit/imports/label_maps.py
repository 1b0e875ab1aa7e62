"""Import label maps as AGMM, URSS and Tree Energy Loss keep them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_manifests.errors import list_some
from data_manifests.files.images import list_images, read_image_size, read_mask
from sparsekit.errors import AnnotationError
from sparsekit.formats import agmm, tel, urss
from sparsekit.formats.shared.label_values import LABEL_VALUES
from sparsekit.imports.source import Imported, ImportSource, check_shape

#: Where each format keeps its annotations, as patterns; where none of these is there, they are in the folder itself.
_PLACES: dict[str, tuple[str, ...]] = {"agmm": agmm.PLACES, "urss": urss.PLACES, "tel": tel.PLACES}


def read_label_maps(source: ImportSource, target: str) -> Iterator[Imported]:
    """Annotations of the images that have one.

    Raises:
        DataError: If there are none or several of them, or a file cannot be used.
    """
    values = LABEL_VALUES[target](source.space)
    for path in _images(source.folder, _PLACES[target]):
        if item := source.find(path.name):
            check_shape(item, read_image_size(path), path)  # before anything large is decoded
            yield Imported(item, label_map=values.decode(read_mask(path), source.space, path))


def _images(folder: Path, places: Sequence[str]) -> list[Path]:
    folders = sorted({path for place in places for path in folder.glob(place) if path.is_dir()})
    if len({path.name for path in folders}) > 1:
        raise AnnotationError(
            f"{folder}: holds several annotations: {list_some([str(f.relative_to(folder)) for f in folders])}. Give "
            "one of these folders."
        )
    found = [path for place in folders or [folder] for path in list_images(place, (".png",))]
    if not found:
        raise AnnotationError(f"{folder}: no label maps (.png) in it, nor in {' or '.join(places)} below it.")
    return found
