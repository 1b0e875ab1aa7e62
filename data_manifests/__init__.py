"""The contract between annotation and training: label spaces, dataset layouts, and the manifest.

The names below are loaded when they are first used: the commands answer ``--help`` without NumPy and OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_manifests.lazy_names import load_when_used
from data_manifests.version import __version__

if TYPE_CHECKING:
    from data_manifests.class_tables import known_label_space, read_class_map, read_classes_csv, read_label_space
    from data_manifests.errors import DataError, ManifestError
    from data_manifests.io import read_manifest, read_marks, write_manifest, write_marks
    from data_manifests.label_space import Encoding, LabelClass, LabelMap, LabelSpace
    from data_manifests.layouts import LAYOUTS, Dataset, DatasetItem, open_dataset
    from data_manifests.row_files import read_row_annotation, read_row_full_mask, read_row_image
    from data_manifests.schema import MANIFEST_COLUMNS, MARK_COLUMNS, Manifest, ManifestInfo, ManifestRow, Mark

__all__ = [
    "LAYOUTS",
    "MANIFEST_COLUMNS",
    "MARK_COLUMNS",
    "DataError",
    "Dataset",
    "DatasetItem",
    "Encoding",
    "LabelClass",
    "LabelMap",
    "LabelSpace",
    "Manifest",
    "ManifestError",
    "ManifestInfo",
    "ManifestRow",
    "Mark",
    "__version__",
    "known_label_space",
    "open_dataset",
    "read_class_map",
    "read_classes_csv",
    "read_label_space",
    "read_manifest",
    "read_marks",
    "read_row_annotation",
    "read_row_full_mask",
    "read_row_image",
    "write_manifest",
    "write_marks",
]

_HOMES = {
    "class_tables": ("known_label_space", "read_class_map", "read_classes_csv", "read_label_space"),
    "errors": ("DataError", "ManifestError"),
    "io": ("read_manifest", "read_marks", "write_manifest", "write_marks"),
    "label_space": ("Encoding", "LabelClass", "LabelMap", "LabelSpace"),
    "layouts": ("LAYOUTS", "Dataset", "DatasetItem", "open_dataset"),
    "row_files": ("read_row_annotation", "read_row_full_mask", "read_row_image"),
    "schema": ("MANIFEST_COLUMNS", "MARK_COLUMNS", "Manifest", "ManifestInfo", "ManifestRow", "Mark"),
}

__getattr__, __dir__ = load_when_used(__name__, _HOMES)
