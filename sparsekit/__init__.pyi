from .any_dataset import open_any_dataset as open_any_dataset
from .areas.draw import (
    mark_regions as mark_regions,
)
from .areas.settings import (
    RegionMarkSettings as RegionMarkSettings,
)
from .arrays import Annotation as Annotation
from .arrays import annotate as annotate
from .clicks.draw import (
    draw_clicks as draw_clicks,
)
from .clicks.guides import (
    Guidance as Guidance,
)
from .clicks.guides import (
    Guide as Guide,
)
from .clicks.settings import (
    ClickSettings as ClickSettings,
)
from .clicks.uniform import sample_clicks as sample_clicks
from .errors import AnnotationError as AnnotationError
from .figures.overlay import draw_marks as draw_marks
from .formats.export import export_manifest as export_manifest
from .formats.full_masks import write_full_masks as write_full_masks
from .formats.import_ import (
    ImportOptions as ImportOptions,
)
from .formats.import_ import (
    import_annotations as import_annotations,
)
from .geometry.rasterize import rasterize as rasterize
from .randomness import ImageStream as ImageStream
from .scribbles.settings import (
    ScribbleSettings as ScribbleSettings,
)
from .scribbles.trace import (
    trace_scribbles as trace_scribbles,
)
from .synthesis.annotators import (
    Annotator as Annotator,
)
from .synthesis.annotators import (
    ClickAnnotator as ClickAnnotator,
)
from .synthesis.annotators import (
    RegionMarkAnnotator as RegionMarkAnnotator,
)
from .synthesis.annotators import (
    ScribbleAnnotator as ScribbleAnnotator,
)
from .synthesis.annotators import (
    Subject as Subject,
)
from .synthesis.output_folder import FolderSummary as FolderSummary
from .synthesis.synthesize import synthesize as synthesize
from .synthesis.verify import verify_manifest as verify_manifest
from .version import __version__ as __version__
from .volumes import write_slices as write_slices
