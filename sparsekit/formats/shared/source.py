"""Input of every import: the annotations, the dataset's images and classes, and the import options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from shlex import quote
from unicodedata import normalize

from data_manifests import Dataset, DatasetItem, LabelMap, LabelSpace, Mark
from data_manifests.errors import list_some
from data_manifests.files.images import exif_orientation, read_image_size
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.areas import ellipse_pixels, outline_marks
from sparsekit.formats.shared.files import RefusedError
from sparsekit.formats.shared.image_names import ImageNames
from sparsekit.formats.shared.shapes import XY, clip_points, mark_from_xy
from sparsekit.geometry.polylines import Ints

#: EXIF orientations from this one on exchange height and width.
_FIRST_ON_ITS_SIDE = 5


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Args:
        stroke_width: Width in pixels of strokes whose file says none.
        class_names: Class of the dataset for each name in the annotations that differs; "" leaves it out.
        skip_unsupported: Leave out shapes that cannot be read, and count them, instead of refusing the file.
        image_key: Key of the image in the data of Label Studio's tasks; found by looking when not given.
        unlabelled: Value of pixels without a label in label maps; that of the format when not given.

    Raises:
        ValueError: If the width is below 1.
    """

    stroke_width: int = 3
    class_names: Mapping[str, str] = field(default_factory=dict)
    skip_unsupported: bool = False
    image_key: str | None = None
    unlabelled: int | None = None

    def __post_init__(self) -> None:
        if self.stroke_width < 1:
            raise ValueError(f"stroke_width must be at least 1, got {self.stroke_width}.")


@dataclass(frozen=True)
class Drawn:
    """One thing that somebody drew.

    Args:
        class_id: Train id.
        marks: It as marks; none where only its pixels are known.
        pixels: Its pixels, as row * width + column, sorted, where the file gives them; they count more than the marks.
        rings: Outlines of its area, where they are finer than the whole pixels of the marks.
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
        shape: Height and width of the image as the annotation says, of the image as shown or as stored.
        drawn: What was drawn, the uppermost first.
        label_map: The annotation itself, train ids, where it is no drawing.
    """

    item: DatasetItem
    shape: tuple[int, int]
    drawn: tuple[Drawn, ...] = ()
    label_map: LabelMap | None = None


class ImportSource:
    """A folder of annotations and the dataset that they belong to.

    Args:
        folder: The annotations.
        dataset: The dataset.
        options: What the user says about them.
    """

    def __init__(self, folder: Path, dataset: Dataset, options: ImportOptions) -> None:
        self.folder = folder
        self.space: LabelSpace = dataset.label_space
        self.options = options
        #: Names of images in the annotations that the dataset has not, or their ids where they have no name.
        self.unmatched: list[str] = []
        #: What was left out or changed, and how often.
        self.notes: Counter[str] = Counter()
        self._class_ids = {normalize("NFC", name): i for i, name in enumerate(self.space.class_names)}
        self._names = ImageNames(dataset.items, folder)
        self._class_names = {normalize("NFC", old): new for old, new in options.class_names.items()}
        self._met: set[str] = set()

    def find(self, *names: str, hint: str = "") -> DatasetItem | None:
        """See ``ImageNames.find``; the last of the names is noted in ``unmatched`` if no image has any."""
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"expected the name of an image, got {names[0]!r:.40}")
        item = self._names.find(*names, hint=hint)
        if item is None:
            self.unmatched.append(names[-1])
        return item

    def class_id(self, name: str) -> int | None:
        """Train id of a class; None, and a note, for a class that the user leaves out.

        Raises:
            RefusedError: If the dataset has no class of that name.
        """
        wanted = normalize("NFC", name)
        self._met.add(wanted)
        chosen = self._class_names.get(wanted, wanted)
        if chosen == "":
            self.notes[f"shapes of class {name!r} left out"] += 1
            return None
        if (class_id := self._class_ids.get(normalize("NFC", chosen))) is None:
            if chosen != wanted:
                known = list_some(list(self._class_ids), limit=40)
                raise RefusedError(f"--map gives {chosen!r} for {name!r}, but the dataset has: {known}.")
            raise RefusedError(self._unknown_class(name))
        return class_id

    def note_unmet_names(self) -> None:
        """Note the names of ``--map`` and ``--ignore-class`` that no shape had, which are usually misspelt."""
        for name in sorted(set(self._class_names) - self._met):
            self.notes[f"no shape of class {name!r}, which --map or --ignore-class names"] += 1

    def _unknown_class(self, name: str) -> str:
        by_folded = {known.casefold(): known for known in self._class_ids}
        near = get_close_matches(name.strip().casefold(), by_folded, n=1)
        meant = f"; did you mean {by_folded[near[0]]!r}?" if near else "."
        mapped = quote(f"{name}={by_folded[near[0]] if near else 'CLASS'}")
        return (
            f"unknown class {name!r}{meant} Give --map {mapped} if it goes by another name in the dataset, or "
            f"--ignore-class {quote(name)} to leave it out. The dataset has: "
            f"{list_some(list(self._class_ids), limit=40)}."
        )

    def unsupported(self, found: str, possible: Sequence[str], instead: str = "") -> None:
        """Refuse a shape that is not read, or leave it out with a note if the user says so.

        Args:
            found: What it is.
            possible: What is read.
            instead: What to do in the tool.

        Raises:
            RefusedError: If the user does not say so.
        """
        if not self.options.skip_unsupported:
            expected = f"; expected one of: {', '.join(possible)}" if possible else ""
            raise RefusedError(
                f"holds {found}, which is not read{expected}. {instead or 'Draw it as one of these'}, or give "
                "--skip-unsupported to leave out what is not read."
            )
        self.notes[f"{found}: left out"] += 1

    def inside(self, points: Sequence[XY], shape: tuple[int, int]) -> list[XY]:
        """See ``clip_points``; points that are moved are noted."""
        inside, moved = clip_points(points, shape)
        if moved:
            self.notes["points just outside of the image, moved to its edge"] += moved
        return inside

    def ellipse(self, class_id: int, centre: XY, radii: XY, degrees: float, shape: tuple[int, int]) -> Drawn:
        """An ellipse: polygons around its pixels; see ``ellipse_pixels``.

        Raises:
            RefusedError: If its centre lies outside of the image, or it is far larger than that.
        """
        (centre,) = self.inside([centre], shape)
        if not 0 <= min(radii) <= max(radii) <= sum(shape):
            raise RefusedError(f"an ellipse has the half axes {radii}; expected at most {sum(shape)} on this image")
        return self.area(class_id, ellipse_pixels(centre, radii, degrees, shape), shape)

    def area(self, class_id: int, pixels: Ints, shape: tuple[int, int]) -> Drawn:
        """An area that was drawn as some other shape than ours: polygons around its pixels, or else these alone."""
        marks = outline_marks(pixels, class_id, shape)
        return Drawn(class_id, marks, None if marks else pixels)

    def drawn(self, kind: str, class_id: int, points: Sequence[XY], text: str, shape: tuple[int, int]) -> Drawn:
        """A shape of a tool as one mark; see ``mark_from_xy`` and ``inside``."""
        points = self.inside(points, shape)
        mark = mark_from_xy(kind, class_id, points, text, shape, self.options.stroke_width)
        return Drawn(class_id, (mark,), rings=_rings(mark.kind, points))


@lru_cache(maxsize=4)
def image_shape(item: DatasetItem) -> tuple[int, int]:
    """Height and width of an image."""
    return read_image_size(item.image_or_mask)


def check_shape(item: DatasetItem, shape: tuple[object, object], where: object) -> tuple[int, int]:
    """Height and width that an annotation says, if they are those of its image: as shown, or as it is stored.

    Raises:
        AnnotationError: If it says something else.
    """
    height, width = image_shape(item)
    if shape == (height, width):
        return height, width
    orientation = exif_orientation(item.image_or_mask)
    if orientation >= _FIRST_ON_ITS_SIDE and shape == (width, height):
        return width, height
    shown = f" as viewers show it (EXIF orientation {orientation})" if orientation != 1 else ""
    raise AnnotationError(
        f"{where}: is of an image of {shape[0]}x{shape[1]} (height x width), but {item.image_or_mask} is "
        f"{height}x{width}{shown}. Annotations must be of the images as they are in the dataset."
    )


def once_each(found: Iterable[Imported], where: Path) -> Iterator[Imported]:
    """Pass on annotations of different images.

    Raises:
        AnnotationError: If an image comes twice.
    """
    seen: set[str] = set()
    for one in found:
        if one.item.image_id in seen:
            raise AnnotationError(f"{where}: holds two annotations of image '{one.item.image_id}'; remove one.")
        seen.add(one.item.image_id)
        yield one


def _rings(kind: str, points: Sequence[XY]) -> tuple[tuple[XY, ...], ...]:
    """The outline of a polygon or box; of blocks none, which are ours and made of whole pixels."""
    if kind == "box":
        (x0, y0), (x1, y1) = points
        return (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),)
    return (tuple(points),) if kind == "polygon" else ()
