"""An HTML page for browsing annotations: images with their marks, filters and statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import DataError, LabelMap, LabelSpace, Manifest, ManifestRow, Mark
from data_manifests.errors import counted
from data_manifests.figures.drawing import Image, colorize
from data_manifests.figures.viewer import (
    ImageSeries,
    Layer,
    Viewer,
    ViewerImage,
    build_viewer_page,
    check_jinja,
    image_uri,
)
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image
from sparsekit.figures.join import JoinedRow, check_marks, join_manifests, manifest_captions
from sparsekit.figures.overlay import DOT_SHARE, default_dot_size, draw_marks, marks_from_annotation, stroke_width_for
from sparsekit.figures.provenance import digest_of, digest_of_image, has_note, note_of, refuse_others
from sparsekit.figures.sheets import fitting_size, shrink

_LAYERS = (Layer("image"), Layer("full mask", veil=True, shown=False), Layer("marks"))
_TEMPLATE = Path(__file__).with_name("gallery.html")


@dataclass(frozen=True)
class ManifestTotals:
    """Statistics of one manifest, over all images of the gallery, shown or not.

    Args:
        caption: Name of the manifest on the page.
        path: The manifest.
        command: The command that made it, and its settings.
        num_images: Annotated images.
        num_marks: Marks on them; None if the manifest has no marks.
        num_labelled: Labelled pixels.
        num_pixels: All pixels of these images.
        marks_of_classes: Marks of each class, by train id.
        images_of_classes: Images with a label of the class, by train id.
    """

    caption: str
    path: Path
    command: str
    num_images: int
    num_marks: int | None
    num_labelled: int
    num_pixels: int
    marks_of_classes: tuple[int, ...]
    images_of_classes: tuple[int, ...]

    @property
    def num_classes_reached(self) -> int:
        """Classes with a label in at least one image."""
        return sum(count > 0 for count in self.images_of_classes)


@dataclass(frozen=True)
class GallerySummary:
    """Result of ``write_gallery``.

    Args:
        path: The page.
        num_images: Images shown.
        num_bytes: Size of the page.
        problems: One line for each image, mask or annotation that is missing, with the reason.
    """

    path: Path
    num_images: int
    num_bytes: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class GalleryChoice:
    """The images of a gallery.

    Args:
        manifests: Manifests of the same images.
        available: All images; the statistics cover these.
        shown: The images that the page shows.
    """

    manifests: tuple[Manifest, ...]
    available: tuple[JoinedRow, ...]
    shown: tuple[JoinedRow, ...]


def choose_images(
    manifests: Sequence[Manifest], *, split: str | None = None, limit: int | None = None
) -> GalleryChoice:
    """Choose the images of a gallery.

    Args:
        manifests: At least one.
        split: Only this split; by default all images with an annotation.
        limit: Number of images to show, spread evenly over all; None for all.

    Raises:
        DataError: If the manifests do not belong together, or there is no image to show.
    """
    available = tuple(join_manifests(manifests, split=split))
    number = len(available) if limit is None else min(limit, len(available))
    shown = tuple(available[i * len(available) // number] for i in range(number))
    return GalleryChoice(tuple(manifests), available, shown)


def is_gallery_there(
    choice: GalleryChoice, path: str | Path, *, thumbnail_size: int = 640, dot_size: int | None = None
) -> bool:
    """Check whether the file is already the page that ``write_gallery`` would write.

    Raises:
        AnnotationError: If the file shows something else.
    """
    path = as_path(path)
    if not path.exists():
        return False
    if has_note(path, _note(choice, thumbnail_size, dot_size, unfinished=True)):
        return False  # it lacks images that could not be read then but may be readable now
    if not has_note(path, _note(choice, thumbnail_size, dot_size)):
        refuse_others([path])
    return True


def _note(choice: GalleryChoice, thumbnail_size: int, dot_size: int | None, *, unfinished: bool = False) -> str:
    first = choice.manifests[0]
    settings = {
        "captions": manifest_captions(choice.manifests),
        "available": [rows[0].image_id for rows in choice.available],
        "shown": [rows[0].image_id for rows in choice.shown],
        "image_files": None if unfinished else [digest_of_image(first, rows[0]) for rows in choice.shown],
        "thumbnail_size": thumbnail_size,
        "dot_size": dot_size or DOT_SHARE,
    }
    return note_of(digest_of(choice.manifests), settings)


def write_gallery(
    choice: GalleryChoice,
    path: str | Path,
    *,
    thumbnail_size: int = 640,
    dot_size: int | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> GallerySummary:
    """Write a self-contained HTML page of annotations that can compare two manifests.

    Args:
        choice: From ``choose_images``.
        path: The HTML file.
        thumbnail_size: Longer side of the images on the page, in pixels.
        dot_size: Diameter of a click in pixels of the full image; by default ``overlay.default_dot_size``.
        on_image: Called after each image.

    Raises:
        DataError: If marks cannot be read, or Jinja2 is not installed. Unreadable images, masks and annotations are
            not errors; the page shows the reason in their place.
    """
    path = as_path(path)
    check_jinja()
    captions = manifest_captions(choice.manifests)
    totals, marks = [], []
    for i, (manifest, caption) in enumerate(zip(choice.manifests, captions, strict=True)):
        rows = [joined[i] for joined in choice.available]
        total, found = _count(manifest, caption, rows, {joined[i].image_id for joined in choice.shown})
        totals.append(total)
        marks.append(found)
    images, problems = [], []
    for joined in choice.shown:
        image, missing = _image(choice.manifests, joined, marks, thumbnail_size, dot_size)
        images.append(image)
        problems.extend(missing)
        on_image()
    first = choice.manifests[0]
    available = counted(len(choice.available), "image")
    part = f"{len(images)} of {available}, spread evenly; the statistics count all of them."
    page = build_viewer_page(
        Viewer(tuple(captions), _LAYERS, tuple(images), first.label_space),
        title=f"Annotations of {first.info.dataset or first.name}",
        subtitle=part if len(images) < len(choice.available) else available,
        template=_TEMPLATE,
        note=_note(choice, thumbnail_size, dot_size, unfinished=bool(problems)),
        totals=totals,
        classes=first.label_space.classes,
    )
    data = page.encode()
    write_atomically(path, data)
    return GallerySummary(path, len(images), len(data), tuple(problems))


def _count(
    manifest: Manifest, caption: str, rows: Sequence[ManifestRow], shown: set[str]
) -> tuple[ManifestTotals, dict[str, list[Mark]]]:
    """Count a manifest in one pass over its marks, and keep the marks of the images shown."""
    num_classes = manifest.label_space.num_classes
    ids = {row.image_id for row in rows}
    marks_of_classes = [0] * num_classes
    kept: dict[str, list[Mark]] = {}
    has_marks = manifest.marks_path.is_file()
    for image_id, marks in read_marks_of(manifest) if has_marks else ():
        if image_id not in ids:
            continue
        for mark in marks:
            if 0 <= mark.class_id < num_classes:
                marks_of_classes[mark.class_id] += 1
        if image_id in shown:
            kept[image_id] = marks
    settings = ", ".join(f"{key} {value}" for key, value in manifest.info.settings.items())
    totals = ManifestTotals(
        caption=caption,
        path=manifest.path,
        command=f"{manifest.info.command}: {settings}" if settings else manifest.info.command,
        num_images=sum(bool(row.annotation) for row in rows),
        num_marks=sum(marks_of_classes) if has_marks else None,
        num_labelled=sum(row.num_labelled for row in rows),
        num_pixels=sum(row.height * row.width for row in rows if row.annotation),
        marks_of_classes=tuple(marks_of_classes),
        images_of_classes=tuple(sum(i in row.classes_labelled for row in rows) for i in range(num_classes)),
    )
    return totals, kept


def _image(
    manifests: Sequence[Manifest],
    joined: JoinedRow,
    marks: Sequence[dict[str, list[Mark]]],
    thumbnail_size: int,
    dot_size: int | None,
) -> tuple[ViewerImage, list[str]]:
    """Build one image of the page; also return what could not be read."""
    first, row = manifests[0], joined[0]
    room = thumbnail_size, thumbnail_size
    problems: list[str] = []

    def layer(name: str, make: Callable[[], str]) -> dict[str, str]:
        try:
            return {name: make()}
        except DataError as error:
            problems.append(str(error))
            return {}

    shared = layer("image", lambda: image_uri(shrink(read_row_image(first, row), room)))
    if row.full_mask:
        shared |= layer("full mask", lambda: _mask_uri(read_row_full_mask(first, row), first.label_space, room))
    dot_size = dot_size or default_dot_size(row.height, row.width)
    series = []
    for manifest, of_manifest, marks_by_image in zip(manifests, joined, marks, strict=True):
        found = marks_by_image.get(of_manifest.image_id, [])
        draw = partial(_marks_uri, manifest, of_manifest, found, dot_size, room)
        layers = layer("marks", draw) if of_manifest.annotation else {}
        numbers = {"marks": len(found)} if manifest.marks_path.is_file() else {}
        numbers["labelled pixels"] = of_manifest.num_labelled
        series.append(ImageSeries(layers, of_manifest.classes_labelled, numbers))
    note = " ".join(problems)
    return ViewerImage(row.image_id, row.split, row.width, row.height, tuple(series), shared, note), problems


def _mask_uri(label_map: LabelMap, label_space: LabelSpace, room: tuple[int, int]) -> str:
    height, width = fitting_size(label_map.shape, room)
    small: LabelMap = cv2.resize(label_map, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    alpha = np.where(small == label_space.unlabelled_value, 0, 255).astype(np.uint8)
    return image_uri(np.dstack([colorize(small, label_space), alpha]), lossless=True)


def _marks_uri(manifest: Manifest, row: ManifestRow, marks: list[Mark], dot_size: int, room: tuple[int, int]) -> str:
    check_marks(manifest, row, marks)
    annotation = read_row_annotation(manifest, row)  # checks the size that the row gives
    drawn_from = annotation if not marks or any(mark.kind == "stroke" for mark in marks) else None
    marks = marks or marks_from_annotation(annotation, manifest.label_space)
    look = {"dot_size": dot_size, "stroke_width": stroke_width_for((row.height, row.width), room)}
    drawn = []
    for background in (0, 255):
        canvas = np.full((row.height, row.width, 3), background, np.uint8)
        drawn.append(shrink(draw_marks(canvas, marks, manifest.label_space, annotation=drawn_from, **look), room))
    return image_uri(_transparent(*drawn), lossless=True)


def _transparent(on_black: Image, on_white: Image) -> NDArray[np.uint8]:
    """Recover colour and opacity (RGBA) from the same drawing on black and on white."""
    opacity = 255 - (on_white.astype(np.int16) - on_black).mean(2).clip(0, 255)
    color = on_black * (255 / np.maximum(opacity, 1))[..., None]
    return np.dstack([color.clip(0, 255), opacity]).round().astype(np.uint8)
