"""Manifests in, figure files out: plan and write the figures of ``sparsekit render``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from data_manifests import LabelMap, LabelSpace, Manifest, ManifestRow, Mark
from data_manifests.colors import Color
from data_manifests.errors import counted
from data_manifests.figures.drawing import VOID_COLOR, Image, colorize
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path, inside
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image
from sparsekit.errors import AnnotationError
from sparsekit.figures.enlarge import enlarge_image, enlarge_labels, enlarge_mark
from sparsekit.figures.join import JoinedRow, join_manifests, manifest_captions, marks_by_image
from sparsekit.figures.overlay import default_dot_size, draw_marks, marks_from_annotation, stroke_width_for
from sparsekit.figures.provenance import add_note_to_png, digest_of, digest_of_image, has_note, note_of, refuse_others
from sparsekit.figures.settings import FigureSettings
from sparsekit.figures.sheets import Grid, Sheet, lay_out, shrink


@dataclass(frozen=True)
class PlannedFigure:
    """A figure to draw.

    Args:
        path: The file to write.
        images: For each of its images, the row in each manifest.
        zoom: Whole factor by which its images are enlarged.
        room: Height and width of one image in pixels.
        note: Provenance note for the file, which distinguishes it from figures of other annotations or settings.
    """

    path: Path
    images: tuple[JoinedRow, ...]
    zoom: int
    room: tuple[int, int]
    note: str


@dataclass(frozen=True)
class FigurePlan:
    """The figures to draw, checked as far as manifests alone allow.

    Args:
        manifests: Manifests of the same images.
        settings: How the figures look.
        grid: The arrangement of each figure.
        figures: Figures to draw.
        skipped: Figures that exist already and stay unchanged.
    """

    manifests: tuple[Manifest, ...]
    settings: FigureSettings
    grid: Grid
    figures: tuple[PlannedFigure, ...]
    skipped: tuple[Path, ...]


def plan_figures(
    manifests: Sequence[Manifest],
    out_dir: str | Path,
    settings: FigureSettings | None = None,
    *,
    split: str | None = None,
    image_ids: Sequence[str] = (),
    limit: int | None = None,
    overwrite: bool = False,
) -> FigurePlan:
    """Decide which figures to draw.

    Args:
        manifests: One or more manifests of the same images; their annotations appear side by side.
        out_dir: Folder for figures named ``<image id>.png``, or contact sheets ``sheet-001.png`` and so on.
        settings: How the figures look.
        split: Only this split. Without ``split`` and ``image_ids``, only images with an annotation.
        image_ids: Only these images.
        limit: At most this many images.
        overwrite: Redraw existing figures, and replace other files in their place.

    Raises:
        DataError: If manifests do not belong together, a requested image is missing, or an existing file shows
            something else.
        ValueError: If captions do not match the manifests, or there is no room for the images.
    """
    out_dir = as_path(out_dir)
    settings = settings or FigureSettings()
    if settings.captions and len(settings.captions) != len(manifests):
        expected = counted(len(manifests), "caption")
        raise ValueError(f"Expected {expected}, one for each manifest, got {len(settings.captions)}.")
    rows = join_manifests(manifests, split=split, image_ids=image_ids, limit=limit)
    grid = Grid(*(settings.sheet or (1, 1)), len(manifests) + settings.full_mask, settings.max_width)
    digest = digest_of(manifests)
    figures = []
    for number, start in enumerate(range(0, len(rows), grid.num_groups), start=1):
        images = tuple(rows[start : start + grid.num_groups])
        name = f"sheet-{number:03}" if settings.sheet else images[0][0].image_id
        path = inside(out_dir, f"{name}.{settings.file_format}")
        note = note_of(digest, _look(images, manifests, settings))
        zoom = grid.zoom(max(max(rows[0].height, rows[0].width) for rows in images))
        figures.append(PlannedFigure(path, images, zoom, _room(images, grid, zoom), note))
    there = [] if overwrite else [figure for figure in figures if figure.path.exists()]
    refuse_others([figure.path for figure in there if not has_note(figure.path, figure.note)])
    wanted = tuple(figure for figure in figures if figure not in there)
    return FigurePlan(tuple(manifests), settings, grid, wanted, tuple(figure.path for figure in there))


def _look(images: Sequence[JoinedRow], manifests: Sequence[Manifest], settings: FigureSettings) -> dict[str, Any]:
    """Describe the selection and the look of a figure, as far as the manifests do not."""
    return {
        **asdict(settings),
        "captions": _panel_captions(manifests, settings),
        "images": [rows[0].image_id for rows in images],
        "image_files": [digest_of_image(manifests[0], rows[0]) for rows in images],
        "dot_size": settings.dot_size or [default_dot_size(rows[0].height, rows[0].width) for rows in images],
    }


def draw_figures(plan: FigurePlan, on_figure: Callable[[], None] = lambda: None) -> None:
    """Draw and write the figures of a plan; each file appears only when it is complete.

    Args:
        plan: From ``plan_figures``.
        on_figure: Called after each figure.

    Raises:
        DataError: If an image, mask or annotation cannot be used, or marks do not fit the label space.
    """
    images = [rows for figure in plan.figures for rows in figure.images]
    marks = [marks_by_image(manifest, [rows[i] for rows in images]) for i, manifest in enumerate(plan.manifests)]
    for figure in plan.figures:
        sheet = _draw_sheet(figure, plan, marks)
        as_pdf = plan.settings.file_format == "pdf"
        data = sheet.to_pdf(figure.note) if as_pdf else add_note_to_png(_encode_png(sheet.to_image()), figure.note)
        write_atomically(figure.path, data)
        on_figure()


def _draw_sheet(figure: PlannedFigure, plan: FigurePlan, marks: Sequence[dict[str, list[Mark]]]) -> Sheet:
    manifests, settings = plan.manifests, plan.settings
    groups = []
    present: set[int] = set()
    for rows in figure.images:
        image = enlarge_image(read_row_image(manifests[0], rows[0]), figure.zoom)
        look = {
            "dot_size": figure.zoom * (settings.dot_size or default_dot_size(rows[0].height, rows[0].width)),
            "stroke_width": stroke_width_for(image.shape, figure.room),
        }
        panels = []
        for manifest, row, of_images in zip(manifests, rows, marks, strict=True):
            annotation, of_image = _annotation_of(manifest, row, of_images.get(row.image_id, []))
            of_image = [enlarge_mark(mark, figure.zoom) for mark in of_image]
            annotation = None if annotation is None else enlarge_labels(annotation, figure.zoom)
            drawn = draw_marks(image, of_image, manifest.label_space, annotation=annotation, **look)
            panels.append((drawn, {*row.classes_labelled, *(mark.class_id for mark in of_image)}))
        if settings.full_mask:
            panels.append(_full_mask_panel(image, manifests[0], rows[0], settings.mask_opacity, figure.zoom))
        groups.append([shrink(panel, figure.room) for panel, _ in panels])
        present.update(*(classes for _, classes in panels))
    return lay_out(
        groups,
        plan.grid,
        figure.room[1],
        captions=_panel_captions(manifests, settings),
        names=[rows[0].image_id for rows in figure.images] if settings.names else (),
        legend=_legend(present, manifests[0].label_space),
    )


def _room(images: Sequence[JoinedRow], grid: Grid, zoom: int) -> tuple[int, int]:
    """Height and width of an image in pixels, from the median shape, so that a single tall image does not set it."""
    sizes = [(zoom * rows[0].height, zoom * rows[0].width) for rows in images]
    width = grid.panel_width(max(width for _, width in sizes))
    return max(1, round(width * median(height / width for height, width in sizes))), width


def _panel_captions(manifests: Sequence[Manifest], settings: FigureSettings) -> tuple[str, ...]:
    captions = settings.captions
    if not captions and len(manifests) + settings.full_mask > 1:
        captions = tuple(manifest_captions(manifests))
    return (*captions, "full mask") if captions and settings.full_mask else captions


def _annotation_of(manifest: Manifest, row: ManifestRow, marks: list[Mark]) -> tuple[LabelMap | None, list[Mark]]:
    """Return the sparse label map of a row if drawing needs it, and the marks, derived from it if unknown."""
    if not row.annotation or (marks and not any(mark.kind == "stroke" for mark in marks)):
        return None, marks
    annotation = read_row_annotation(manifest, row)
    return annotation, marks or marks_from_annotation(annotation, manifest.label_space)


def _full_mask_panel(
    image: Image, manifest: Manifest, row: ManifestRow, opacity: float, zoom: int
) -> tuple[Image, set[int]]:
    """Draw the full mask in class colours; also return the train ids it shows, including void."""
    if not row.full_mask:
        raise AnnotationError(f"{manifest.path}: image '{row.image_id}' has no full mask to show.")
    label_map = enlarge_labels(read_row_full_mask(manifest, row), zoom)
    space = manifest.label_space
    present = set(np.flatnonzero(np.bincount(label_map.ravel())).tolist())
    return colorize(label_map, space, image, opacity), present - ({space.unlabelled_value} if opacity < 1 else set())


def _legend(present: set[int], label_space: LabelSpace) -> list[tuple[str, Color]]:
    classes = [label_space.classes[i] for i in sorted(present - {label_space.unlabelled_value})]
    void = [("void", VOID_COLOR)] if label_space.unlabelled_value in present else []
    return [(c.name, c.color) for c in classes] + void


def _encode_png(image: Image) -> bytes:
    # OpenCV is several times as fast as Pillow, at the same size.
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
