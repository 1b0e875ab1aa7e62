"""Full label maps in, sparse label maps and figures out.

The functions ``sparsekit.synthesize.synthesize`` and ``sparsekit.rasterize.rasterize`` have the names of their modules,
and are therefore imported from there.
"""

from sparsekit.annotators import Annotator, ClickAnnotator, RegionMarkAnnotator, ScribbleAnnotator
from sparsekit.click_drawing import ClickSettings
from sparsekit.clicks import sample_clicks
from sparsekit.errors import AnnotationError
from sparsekit.export import export_manifest
from sparsekit.imports import import_annotations
from sparsekit.output_folder import FolderSummary
from sparsekit.randomness import ImageStream
from sparsekit.region_marks import RegionMarkSettings
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
    "export_manifest",
    "import_annotations",
    "sample_clicks",
    "trace_scribbles",
    "verify_manifest",
]
