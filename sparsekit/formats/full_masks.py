"""Convert polygons, boxes and masks drawn with another tool to full masks, as a dataset to annotate sparsely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_manifests import Dataset, DatasetItem, LabelClass, LabelMap, LabelSpace
from data_manifests.colors import voc_color
from data_manifests.errors import list_some
from data_manifests.files.atomic import write_atomically
from data_manifests.files.csv import write_table
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import exif_orientation, list_images
from data_manifests.files.masks import encode_label_map
from data_manifests.files.paths import absolute, as_path, inside
from data_manifests.layouts.base import relative_stem
from data_manifests.layouts.folders import split_dirs
from sparsekit.errors import AnnotationError
from sparsekit.formats import DRAWN_FORMATS, Overlaps, load_format
from sparsekit.formats.shared.areas import polygon_pixels
from sparsekit.formats.shared.files import SkippableError, is_hidden
from sparsekit.formats.shared.masks import shown_pixels, turn_drawn
from sparsekit.formats.shared.source import Drawn, Imported, ImportOptions, ImportSource, image_shape, once_each
from sparsekit.formats.shared.whole_folder import begins_with, whole_folder
from sparsekit.geometry.mark_pixels import AREA_KINDS
from sparsekit.geometry.polylines import Ints

__all__ = ["FullMasks", "are_up_to_date", "write_full_masks"]

_NOTE = "README.txt"
_FIRST_LINE = "sparsekit full-masks: "
_BACKGROUND = ("background", "_background_")
#: labelme's label for regions that belong to no class.
_IGNORED = "__ignore__"


@dataclass(frozen=True)
class FullMasks:
    """Result of ``write_full_masks``.

    Args:
        folder: A dataset of the generic layout: ``images/``, ``masks/``, ``classes.csv``.
        class_names: Its classes, in the order of their ids.
        num_images: Images with a mask.
        notes: What was skipped or changed, one sentence each.
    """

    folder: Path
    class_names: tuple[str, ...]
    num_images: int
    notes: tuple[str, ...]


def write_full_masks(
    source_dir: str | Path,
    format_: str,
    out: str | Path,
    *,
    images_dir: str | Path | None = None,
    label_space: LabelSpace | None = None,
    background: str | None = "background",
    overlaps: Overlaps = "order",
    options: ImportOptions | None = None,
    overwrite: bool = False,
    on_start: Callable[[int], None] = lambda total: None,
    on_image: Callable[[], None] = lambda: None,
) -> FullMasks:
    """Fill the shapes of another tool's annotations; the dataset appears complete or not at all.

    A pixel belongs to a shape if its centre lies inside. Shapes labelled ``__ignore__`` in labelme are void.

    Args:
        source_dir: The annotations.
        format_: A name of ``DRAWN_FORMATS``.
        out: The folder to create: ``images/`` (links), ``masks/`` and ``classes.csv``.
        images_dir: The images, at any depth; by default in the folder of the annotations.
        label_space: The classes; by default those that were drawn, sorted by name.
        background: Class of uncovered pixels; None for void.
        overlaps: ``order`` puts the shape on top that the tool draws last, ``area`` the smaller one.
        options: How to read the annotations.
        overwrite: Replace an existing dataset of this kind.
        on_start: Called with the number of images in the folder.
        on_image: Called after each image.

    Raises:
        AnnotationError: If the annotations are damaged or contain marks without area, such as clicks, or another folder
            is in the way.
        DataError: If an image cannot be used.
        ValueError: If the format is unknown.
    """
    source_dir, out = as_path(source_dir), as_path(out)
    if format_ not in DRAWN_FORMATS:
        raise ValueError(f"Format '{format_}' has no shapes to fill. Choose from: {', '.join(DRAWN_FORMATS)}.")
    options = options or ImportOptions()
    items = _images(source_dir if images_dir is None else as_path(images_dir))
    space = label_space or _classes_drawn(source_dir, format_, items, options, background)
    source = _FillSource(source_dir, _dataset(source_dir, format_, space, items), options)
    empty = source.background_value(background)
    count = 0
    on_start(len(items))
    with whole_folder(out, _is_ours, overwrite=overwrite) as folder:
        for one in once_each(_read(source, format_), source_dir):
            item, drawn = one.item, [_as_shown(part, one) for part in one.drawn]
            check_is_whole(item.image_or_mask)
            mask = fill(drawn, image_shape(item), space, empty, overlaps)
            write_atomically(inside(folder, f"masks/{item.image_id}.png"), encode_label_map(mask, space))
            link = inside(folder, f"images/{item.image_id}{item.image_or_mask.suffix}")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(absolute(item.image_or_mask))
            count += 1
            on_image()
        if not count:
            raise AnnotationError(
                f"{source_dir}: contains no annotation of any of the {len(items):,} images.{source.names_and_notes()}"
            )
        rows = ((i, c.name, *c.color, i) for i, c in enumerate(space.classes))
        write_table(folder / "classes.csv", ("id", "name", "r", "g", "b", "train_id"), rows)
        uncovered = "void" if empty == space.unlabelled_value else space.class_names[empty]
        lines = [f"{_FIRST_LINE}{format_}", f"source: {_digest(source_dir)}"]
        lines += [f"pixels of no shape: {uncovered}", f"on top of each other: by {overlaps}"]
        write_atomically(folder / _NOTE, ("\n".join(lines) + "\n").encode())
    source.note_unmet_names()
    notes = source.noted()
    if left_out := len(items) - count:
        notes.append(f"images without an annotation, left out ({left_out:,})")
    if source.unmatched:
        notes.append(f"annotations without an image: {list_some(source.unmatched)}")
    return FullMasks(out, space.class_names, count, tuple(notes))


def fill(
    drawn: Sequence[Drawn], shape: tuple[int, int], space: LabelSpace, empty: int, overlaps: Overlaps = "order"
) -> LabelMap:
    """The full mask of an image.

    Args:
        drawn: Its shapes, from top to bottom.
        shape: Height and width of the image.
        space: The classes.
        empty: Value of uncovered pixels.
        overlaps: See ``write_full_masks``.

    Returns:
        Train ids, shape (H, W).
    """
    areas = [(_area(one, shape), one.class_id) for one in drawn]
    if overlaps == "area":
        areas.sort(key=lambda area: len(area[0]))
    mask: LabelMap = np.full(shape, empty, space.dtype)
    for pixels, class_id in reversed(areas):
        mask.flat[pixels] = class_id
    return mask


def _area(one: Drawn, shape: tuple[int, int]) -> Ints:
    if one.pixels is not None:
        return one.pixels
    if one.rings:
        return np.unique(np.concatenate([polygon_pixels(ring, shape) for ring in one.rings]))
    return np.concatenate([*shown_pixels(one.marks, shape)])


def _as_shown(one: Drawn, imported: Imported) -> Drawn:
    if imported.shape == image_shape(imported.item):
        return one
    filled = Drawn(one.class_id, pixels=_area(one, imported.shape))
    return turn_drawn(filled, imported.shape, exif_orientation(imported.item.image_or_mask))


class _FillSource(ImportSource):
    """Pass on annotations whose shapes have an area; reject clicks and strokes."""

    def class_id(self, name: str) -> int | None:
        if name == _IGNORED and name not in self.options.class_names:
            return self.space.unlabelled_value
        return super().class_id(name)

    def drawn(
        self, kind: str, class_id: int, points: Sequence[tuple[float, float]], text: str, shape: tuple[int, int]
    ) -> Drawn:
        if kind not in AREA_KINDS:
            raise SkippableError(
                f"contains a {kind}, which has no area: full masks need polygons, boxes or masks. To import clicks and "
                "strokes, use `sparsekit import`",
                f"{kind}s, which have no area",
            )
        return super().drawn(kind, class_id, points, text, shape)

    def background_value(self, background: str | None) -> int:
        """Value of uncovered pixels."""
        if background is None:
            return self.space.unlabelled_value
        names = self.space.class_names
        found = next((names.index(name) for name in (background, *_BACKGROUND) if name in names), None)
        return self.space.unlabelled_value if found is None else found


class _NamesSource(_FillSource):
    """Reads only the class names of annotations."""

    def __init__(self, folder: Path, dataset: Dataset, options: ImportOptions) -> None:
        super().__init__(folder, dataset, options)
        self.names: set[str] = set()

    def class_id(self, name: str) -> int | None:
        chosen = self.chosen_name(name)
        if chosen and chosen != _IGNORED:
            self.names.add(chosen)
        return 0 if chosen else None


def _classes_drawn(
    folder: Path, format_: str, items: tuple[DatasetItem, ...], options: ImportOptions, background: str | None
) -> LabelSpace:
    """The classes that were drawn: the background first, the others sorted by name."""
    placeholder = LabelSpace("custom", (LabelClass("background", (0, 0, 0), (0,)),))
    source = _NamesSource(folder, _dataset(folder, format_, placeholder, items), options)
    for _ in _read(source, format_):
        pass
    names = sorted(source.names - {*_BACKGROUND})
    if background is not None or source.names & {*_BACKGROUND}:
        own = next((name for name in _BACKGROUND if name in source.names), background or _BACKGROUND[0])
        names = [own, *(name for name in names if name != own)]
    if not names:
        raise AnnotationError(f"{folder}: contains no shape of any class.")
    return LabelSpace("custom", tuple(LabelClass(name, voc_color(i), (i,)) for i, name in enumerate(names)))


def _read(source: ImportSource, format_: str) -> Iterator[Imported]:
    read = load_format(format_, "import").read
    assert read is not None  # of all DRAWN_FORMATS
    return read(source)


def _images(folder: Path) -> tuple[DatasetItem, ...]:
    if not folder.is_dir():
        raise AnnotationError(f"{folder}: no such folder; expected a folder of images.")
    paths = list_images(folder)
    if not paths:
        raise AnnotationError(f"{folder}: contains no images. Give their folder: `sparsekit full-masks --images DIR`.")
    (top, *others) = {path.relative_to(folder).parts[0] for path in paths}
    if not others and split_dirs(folder / top):  # as images/train/ and images/val/: the splits come first in the ids
        folder = folder / top
    return tuple(DatasetItem(relative_stem(path, folder), "train", path, path) for path in paths)


def _dataset(folder: Path, format_: str, space: LabelSpace, items: tuple[DatasetItem, ...]) -> Dataset:
    return Dataset(folder, format_, space, "train_ids", items)


def _is_ours(folder: Path) -> bool:
    return begins_with(folder / _NOTE, _FIRST_LINE)


def are_up_to_date(folder: Path, source_dir: Path) -> bool:
    """Whether full masks were made from the present annotations."""
    return _is_ours(folder) and f"source: {_digest(source_dir)}\n" in (folder / _NOTE).read_text(encoding="utf-8")


def _digest(folder: Path) -> str:
    """A hash of all annotation files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".json", ".xml")):
        if path.is_file() and not is_hidden(path, folder):
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
