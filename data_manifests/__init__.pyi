from .encodings import Encoding as Encoding
from .errors import (
    DataError as DataError,
)
from .errors import (
    ManifestError as ManifestError,
)
from .label_maps import LabelMap as LabelMap
from .label_space import LabelClass as LabelClass
from .label_space import LabelSpace as LabelSpace
from .layouts import (
    LAYOUTS as LAYOUTS,
)
from .layouts import (
    Dataset as Dataset,
)
from .layouts import (
    DatasetItem as DatasetItem,
)
from .layouts import (
    open_dataset as open_dataset,
)
from .layouts import (
    open_folders as open_folders,
)
from .layouts import (
    open_images as open_images,
)
from .layouts.class_tables import (
    known_label_space as known_label_space,
)
from .layouts.class_tables import (
    read_class_map as read_class_map,
)
from .layouts.class_tables import (
    read_classes_csv as read_classes_csv,
)
from .layouts.class_tables import (
    read_label_space as read_label_space,
)
from .layouts.volumes import VolumeItem as VolumeItem
from .layouts.volumes import find_volumes as find_volumes
from .manifest.io import (
    read_manifest as read_manifest,
)
from .manifest.io import (
    write_manifest as write_manifest,
)
from .manifest.marks import (
    read_marks as read_marks,
)
from .manifest.marks import (
    write_marks as write_marks,
)
from .manifest.rows import (
    read_row_annotation as read_row_annotation,
)
from .manifest.rows import (
    read_row_full_mask as read_row_full_mask,
)
from .manifest.rows import (
    read_row_image as read_row_image,
)
from .manifest.schema import (
    MANIFEST_COLUMNS as MANIFEST_COLUMNS,
)
from .manifest.schema import (
    MARK_COLUMNS as MARK_COLUMNS,
)
from .manifest.schema import (
    Manifest as Manifest,
)
from .manifest.schema import (
    ManifestInfo as ManifestInfo,
)
from .manifest.schema import (
    ManifestRow as ManifestRow,
)
from .manifest.schema import (
    Mark as Mark,
)
from .version import __version__ as __version__
