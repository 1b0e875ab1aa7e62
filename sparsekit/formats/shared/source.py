"""Input of every import: the annotations, the dataset's images and classes, and the import options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TypeVar
from unicodedata import normalize

from data_manifests import Dataset, DatasetItem, LabelMap, LabelSpace, Mark
from data_manifests.errors import list_some
from data_manifests.files.images import exif_orientation, read_image_size
from data_manifests.terminal import shell_quote
from sparsekit.arguments import as_whole_number
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.areas import ellipse_pixels, outline_marks
from sparsekit.formats.shared.files import RefusedError, SkippableError
from sparsekit.formats.shared.image_names import ImageNames
from sparsekit.formats.shared.shapes import XY, clip_points, mark_from_xy
from sparsekit.geometry.polylines import Ints

_Shape = TypeVar("_Shape")

#: Smallest EXIF orientation that exchanges height and width.
_FIRST_ON_ITS_SIDE = 5

#: Largest value of a label map of 16 bits.
_LARGEST_VALUE = 65535


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Args:
        stroke_width: Width in pixels of strokes whose file gives none.
        class_names: Class of the dataset for each differing name in the annotations; "" skips its shapes.
        skip_unsupported: Skip and count unsupported shapes instead of rejecting the file.
        image_key: Key of the image in the data of Label Studio's tasks; detected if None.
        unlabelled: Value of pixels without a label in label maps; by default that of the format.

    Raises:
        ValueError: If the width is not a whole number of at least 1, or ``unlabelled`` is no value of 16 bits.
    """

    stroke_width: int = 3
    class_names: Mapping[str, str] = field(default_factory=dict)
    skip_unsupported: bool = False
    image_key: str | None = None
    unlabelled: int | None = None

    def __post_init__(self) -> None:
        as_whole_number("stroke_width", self.stroke_width, least=1)
        if self.unlabelled is not None and as_whole_number("unlabelled", self.unlabelled, least=0) > _LARGEST_VALUE:
            raise ValueError(f"unlabelled must be at most {_LARGEST_VALUE}, got {self.unlabelled}.")


@dataclass(frozen=True)
class Drawn:
    """One drawing of an annotator.

    Args:
        class_id: Train id.
        marks: Its marks; empty if only its pixels are known.
        pixels: Its pixels, as sorted row * width + column, if the file gives them; they take precedence over the marks.
        rings: Outlines of its area, if they are finer than the pixels of the marks.
    """

    class_id: int
    marks: tuple[Mark, ...] = ()
    pixels: Ints | None = None
    rings: tuple[tuple[XY, ...], ...] = ()


@dataclass(frozen=True)
class Imported:
    """The annotation of one image.

    Args:
        item: The image.
        shape: Height and width of the image according to the annotation, displayed or stored.
        drawn: Its drawings, from top to bottom.
        label_map: The annotation as train ids, if it is a label map.
    """

    item: DatasetItem
    shape: tuple[int, int]
    drawn: tuple[Drawn, ...] = ()
    label_map: LabelMap | None = None


class ImportSource:
    """A folder of annotations and the dataset that they belong to.

    Args:
        folder: Folder of the annotations.
        dataset: The dataset.
        options: How to read them.
    """

    def __init__(self, folder: Path, dataset: Dataset, options: ImportOptions) -> None:
        self.folder = folder
        self.space: LabelSpace = dataset.label_space
        self.options = options
        #: Image names in the annotations that match no image, or ids of images without a name.
        self.unmatched: list[str] = []
        #: What was skipped or changed, and how often.
        self.notes: Counter[str] = Counter()
        self._class_ids = {normalize("NFC", name): i for i, name in enumerate(self.space.class_names)}
        self._names = ImageNames(dataset.items, folder)
        self._class_names = {normalize("NFC", old): new for old, new in options.class_names.items()}
        self._met: set[str] = set()

    def find(self, *names: str, hint: str = "") -> DatasetItem | None:
        """See ``ImageNames.find``; if no name matches, the last one is added to ``unmatched``."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"expected the name of an image, got {names[0]!r:.40}")
        item = self._names.find(*names, hint=hint)
        if item is None:
            self.unmatched.append(names[-1])
        return item

    def chosen_name(self, name: str) -> str:
        """The class of the dataset that the user gives for a name in the annotations, in Unicode NFC; "" to skip it."""
        wanted = normalize("NFC", name)
        self._met.add(wanted)
        return normalize("NFC", self._class_names.get(wanted, wanted))

    def class_id(self, name: str) -> int | None:
        """Train id of a class; None for a class that the user skips, which is noted.

        Raises:
            RefusedError: If the dataset has no class of that name.
        """
        chosen = self.chosen_name(name)
        if chosen == "":
            self.notes[f"shapes of class {name!r} left out"] += 1
            return None
        if (class_id := self._class_ids.get(chosen)) is None:
            if chosen != normalize("NFC", name):
                known = list_some(list(self._class_ids), limit=40)
                raise RefusedError(f"--map gives {chosen!r} for {name!r}, but the dataset has: {known}.")
            raise RefusedError(self._unknown_class(name))
        return class_id

    def noted(self) -> list[str]:
        """What was skipped or changed, and how often, one sentence each."""
        return [f"{what} ({count:,})" for what, count in sorted(self.notes.items())]

    def names_and_notes(self) -> str:
        """Names that match no image, and what was skipped, for the message that nothing was found."""
        names = f" Names in them: {list_some(self.unmatched)}." if self.unmatched else ""
        return names + "".join(f" Noted: {one}." for one in self.noted())

    def note_unmet_names(self) -> None:
        """Note names of ``--map`` and ``--ignore-class`` without any shape, which are usually misspelt."""
        for name in sorted(set(self._class_names) - self._met):
            self.notes[f"no shape of class {name!r}, which --map or --ignore-class names"] += 1

    def _unknown_class(self, name: str) -> str:
        by_folded = {known.casefold(): known for known in self._class_ids}
        near = get_close_matches(name.strip().casefold(), by_folded, n=1)
        meant = f"; did you mean {by_folded[near[0]]!r}?" if near else "."
        mapped = shell_quote(f"{name}={by_folded[near[0]] if near else 'CLASS'}")
        return (
            f"unknown class {name!r}{meant} Give --map {mapped} if the dataset uses another name, or --ignore-class "
            f"{shell_quote(name)} to skip it. The dataset has: {list_some(list(self._class_ids), limit=40)}."
        )

    def read_shapes(self, read: Callable[[_Shape], Drawn | None], shapes: Iterable[_Shape]) -> tuple[Drawn, ...]:
        """Read shapes one by one; those that may be skipped are noted, if the user allows that.

        Args:
            read: Reads a shape; None if there is nothing to draw.
            shapes: The shapes of an image, from top to bottom.

        Raises:
            RefusedError: If a shape is not supported.
        """
        found = []
        for shape in shapes:
            try:
                drawn = read(shape)
            except SkippableError as error:
                if not self.options.skip_unsupported:
                    raise
                self.notes[f"{error.note}: left out"] += 1
                continue
            if drawn is not None:
                found.append(drawn)
        return tuple(found)

    def inside(self, points: Sequence[XY], shape: tuple[int, int]) -> list[XY]:
        """See ``clip_points``; moved points are noted."""
        inside, moved = clip_points(points, shape)
        if moved:
            self.notes["points just outside the image, moved to its edge"] += moved
        return inside

    def ellipse(self, class_id: int, centre: XY, radii: XY, degrees: float, shape: tuple[int, int]) -> Drawn | None:
        """An ellipse: polygons around its pixels; see ``ellipse_pixels``.

        Raises:
            RefusedError: If its centre lies outside the image, or it is much larger than the image.
        """
        (centre,) = self.inside([centre], shape)
        if not 0 <= min(radii) <= max(radii) <= sum(shape):
            raise RefusedError(f"an ellipse has the half axes {radii}; expected at most {sum(shape)} on this image")
        return self.area(class_id, ellipse_pixels(centre, radii, degrees, shape), shape)

    def area(self, class_id: int, pixels: Ints, shape: tuple[int, int]) -> Drawn | None:
        """An area of a shape that we do not have: polygons around its pixels, or else only the pixels.

        None if it has no pixels, which is noted.
        """
        if not len(pixels):
            self.notes["shapes that cover no pixel: left out"] += 1
            return None
        marks = outline_marks(pixels, class_id, shape)
        return Drawn(class_id, marks, None if marks else pixels)

    def drawn(self, kind: str, class_id: int, points: Sequence[XY], text: str, shape: tuple[int, int]) -> Drawn:
        """Convert a shape to one mark; see ``mark_from_xy`` and ``inside``."""
        points = self.inside(points, shape)
        mark = mark_from_xy(kind, class_id, points, text, shape, self.options.stroke_width)
        return Drawn(class_id, (mark,), rings=_rings(mark.kind, points))


def unsupported(found: str, possible: Sequence[str], instead: str = "Draw it as one of these") -> SkippableError:
    """Error about a shape of a kind that is not supported.

    Args:
        found: Description of the shape.
        possible: Supported shapes.
        instead: Advice on how to fix it in the tool.
    """
    expected = f"; expected one of: {', '.join(possible)}" if possible else ""
    return SkippableError(f"contains {found}, which is not supported{expected}. {instead}", found)


@lru_cache(maxsize=4)
def image_shape(item: DatasetItem) -> tuple[int, int]:
    """Height and width of an image."""
    return read_image_size(item.image_or_mask)


def check_shape(item: DatasetItem, shape: tuple[object, object], where: object) -> tuple[int, int]:
    """Check the height and width given in an annotation against its image, displayed or stored.

    Raises:
        AnnotationError: If they differ from both.
    """
    height, width = image_shape(item)
    if shape == (height, width):
        return height, width
    orientation = exif_orientation(item.image_or_mask)
    if orientation >= _FIRST_ON_ITS_SIDE and shape == (width, height):
        return width, height
    shown = f" as viewers display it (EXIF orientation {orientation})" if orientation != 1 else ""
    raise AnnotationError(
        f"{where}: refers to an image of {shape[1]}x{shape[0]} (width x height), but {item.image_or_mask} is "
        f"{width}x{height}{shown}. Annotations must refer to the images of the dataset."
    )


def once_each(found: Iterable[Imported], where: Path) -> Iterator[Imported]:
    """Pass annotations on, each of a different image.

    Raises:
        AnnotationError: If an image has two annotations.
    """
    seen: set[str] = set()
    for one in found:
        if one.item.image_id in seen:
            raise AnnotationError(f"{where}: contains two annotations of image '{one.item.image_id}'; remove one.")
        seen.add(one.item.image_id)
        yield one


def _rings(kind: str, points: Sequence[XY]) -> tuple[tuple[XY, ...], ...]:
    """Outline of a polygon or box; none for blocks, which consist of whole pixels."""
    if kind == "box":
        (x0, y0), (x1, y1) = points
        return (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),)
    return (tuple(points),) if kind == "polygon" else ()
