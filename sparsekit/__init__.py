"""Full label maps in, sparse label maps and figures out.

The names below are loaded when they are first used: the commands answer ``--help`` without NumPy and OpenCV.
The functions ``sparsekit.synthesize.synthesize`` and ``sparsekit.rasterize.rasterize`` have the names of their modules,
and are therefore imported from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_manifests.lazy_names import load_when_used

if TYPE_CHECKING:
    from sparsekit.annotators import Annotator, ClickAnnotator, RegionMarkAnnotator, ScribbleAnnotator
    from sparsekit.click_drawing import ClickSettings, draw_clicks
    from sparsekit.clicks import sample_clicks
    from sparsekit.errors import AnnotationError
    from sparsekit.export import export_manifest
    from sparsekit.imports import import_annotations
    from sparsekit.output_folder import FolderSummary
    from sparsekit.randomness import ImageStream
    from sparsekit.region_marks import RegionMarkSettings, mark_regions
    from sparsekit.render import draw_marks
    from sparsekit.scribbles import ScribbleSettings, trace_scribbles
    from sparsekit.verify import verify_manifest

__all__ = [
    "AnnotationError",
    "Annotator",
    "ClickAnnotator",
    "ClickSettings",
    "FolderSummary",
    "ImageStream",
    "RegionMarkAnnotator",
    "RegionMarkSettings",
    "ScribbleAnnotator",
    "ScribbleSettings",
    "draw_clicks",
    "draw_marks",
    "export_manifest",
    "import_annotations",
    "mark_regions",
    "sample_clicks",
    "trace_scribbles",
    "verify_manifest",
]

_HOMES = {
    "annotators": ("Annotator", "ClickAnnotator", "RegionMarkAnnotator", "ScribbleAnnotator"),
    "click_drawing": ("ClickSettings", "draw_clicks"),
    "clicks": ("sample_clicks",),
    "errors": ("AnnotationError",),
    "export": ("export_manifest",),
    "imports": ("import_annotations",),
    "output_folder": ("FolderSummary",),
    "randomness": ("ImageStream",),
    "region_marks": ("RegionMarkSettings", "mark_regions"),
    "render": ("draw_marks",),
    "scribbles": ("ScribbleSettings", "trace_scribbles"),
    "verify": ("verify_manifest",),
}

__getattr__, __dir__ = load_when_used(__name__, _HOMES)
