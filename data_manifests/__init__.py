"""The contract between annotation and training: label spaces, dataset layouts, and the manifest."""

from data_manifests.errors import DataError, ManifestError
from data_manifests.io import read_manifest, read_marks, write_manifest, write_marks
from data_manifests.label_space import LabelClass, LabelMap, LabelSpace, known_label_space, read_classes_csv
from data_manifests.layouts import LAYOUTS, Dataset, DatasetItem, open_dataset
from data_manifests.schema import MANIFEST_COLUMNS, MARK_COLUMNS, Manifest, ManifestInfo, ManifestRow, Mark
from data_manifests.version import __version__

__all__ = [
    "LAYOUTS",
    "MANIFEST_COLUMNS",
    "MARK_COLUMNS",
    "DataError",
    "Dataset",
    "DatasetItem",
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
    "read_classes_csv",
    "read_manifest",
    "read_marks",
    "write_manifest",
    "write_marks",
]
