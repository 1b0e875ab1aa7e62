"""Input of every export: the images of a manifest, their file names, and the output folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from data_manifests import LabelMap, Manifest, ManifestRow
from data_manifests.files.atomic import write_atomically
from data_manifests.files.decode import read_samples
from data_manifests.files.images import encode_image, exif_orientation, read_image_size
from data_manifests.files.paths import absolute, inside, is_remote
from data_manifests.files.view import DEFAULT_VIEW
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.rows import check_size, row_file
from sparsekit.annotated_images import AnnotatedImage, annotated_images
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.label_values import LabelValues

#: Possible values of ``ExportJob.annotation_folder``, as patterns.
ANNOTATION_FOLDERS = ("*clicks", "annotation")

_UNSAFE = re.compile(r'[\s/:*?"<>|,;]')


def file_name(image_id: str) -> str:
    """File name of an image: its id, with ``_`` for characters that file names or lists cannot contain.

    Raises:
        AnnotationError: If the id points outside the folder.

    Example:
        >>> file_name("train/a b")
        'train_a_b'
    """
    parts = PurePosixPath(image_id.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise AnnotationError(f"Image id {image_id!r} cannot be a file name; rename the image.")
    return _UNSAFE.sub("_", "/".join(parts))


@dataclass(frozen=True)
class Census:
    """The kinds of marks in an export.

    Args:
        kinds: Marks of each kind.
        stroke_widths: Strokes of each width; 0 for those whose width changes.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    stroke_widths: Counter[int] = field(default_factory=Counter)

    @property
    def only_clicks(self) -> bool:
        """Whether all marks are clicks."""
        return set(self.kinds) == {"click"}


def take_census(manifest: Manifest, split: str | None) -> Census | None:
    """Count the marks of a split; None if the manifest has no marks."""
    if not manifest.marks_path.is_file():
        return None
    wanted = {row.image_id for row in manifest.rows if row.annotation and split in (None, row.split)}
    census = Census()
    for image_id, marks in read_marks_of(manifest):
        for mark in marks if image_id in wanted else ():
            census.kinds[mark.kind] += 1
            if mark.kind == "stroke":
                census.stroke_widths[mark.widths[0] if len(set(mark.widths)) == 1 else 0] += 1
    return census


class ExportJob:
    """One export.

    Args:
        manifest: The annotations to export.
        format_: The format.
        folder: The output folder.
        split: Only this split.
        link: Link images instead of copying them.
        census: Its marks by kind, or None.
        on_image: Called after each image.

    Raises:
        AnnotationError: If two images would have the same name.
        ManifestError: If nothing is annotated.
    """

    def __init__(
        self,
        manifest: Manifest,
        format_: Format,
        folder: Path,
        *,
        split: str | None = None,
        link: bool = False,
        census: Census | None = None,
        on_image: Callable[[], None] = lambda: None,
    ) -> None:
        self.manifest = manifest
        self.space = manifest.label_space
        self.format = format_
        self.folder = folder
        self.census = census
        self._split = split
        self._link = link
        self.num_annotated = 0
        self.num_evaluated = 0
        self._on_image = on_image
        self._names: dict[str, str] = {}
        rows = [row for row in manifest.rows if split in (None, row.split)]
        owners: dict[str, str] = {}
        for row in rows:
            name = self._names[row.image_id] = file_name(row.image_id)
            if owners.setdefault(name, row.image_id) != row.image_id:
                raise AnnotationError(
                    f"{manifest.path}: images '{owners[name]}' and '{row.image_id}' would both be named '{name}'. "
                    "Export their splits separately with --split, or rename one."
                )
        # Readers expect one file extension for all images.
        endings = {PurePosixPath(row.image).suffix.lower() for row in rows if row.image}
        self.image_suffix = endings.pop() if len(endings) == 1 else ".png"

    @property
    def values(self) -> LabelValues:
        """The values of the format's label maps.

        Raises:
            ValueError: If it has no label maps.
        """
        if self.format.values is None:
            raise ValueError("This format has no label maps.")
        return self.format.values(self.space)

    @property
    def is_cityscapes(self) -> bool:
        """Whether the images are named as in Cityscapes, by city and frame."""
        return self.manifest.info.layout.startswith("cityscapes")

    @property
    def only_clicks(self) -> bool:
        """Whether the annotation consists of clicks; without marks, the command that made it decides."""
        return self.census.only_clicks if self.census else self.manifest.info.command == "points"

    @property
    def budget(self) -> str:
        """Short description of the annotation, such as ``50clicks`` or ``scribbles``; not a file name."""
        clicks = self.manifest.info.settings.get("clicks_per_image")
        return f"{clicks}clicks" if clicks else self.manifest.info.command or "annotation"

    @property
    def annotation_folder(self) -> str:
        """Folder of the annotation for readers that keep several side by side, one of ``ANNOTATION_FOLDERS``.

        Does not depend on the command that made the annotation, which may be any word, so that an import can find it.
        """
        clicks = self.manifest.info.settings.get("clicks_per_image")
        return f"{clicks}clicks" if clicks and isinstance(clicks, int) else "annotation"

    def name(self, row: ManifestRow) -> str:
        """File name of an image, without extension."""
        return self._names[row.image_id]

    def annotated(self, *, with_marks: bool = False) -> Iterator[AnnotatedImage]:
        """Images with an annotation, sorted by id."""
        for image in annotated_images(self.manifest, self._split, with_marks=with_marks):
            yield image
            self.num_annotated += 1
            self._on_image()

    def evaluated(self) -> Iterator[AnnotatedImage]:
        """Images without annotation whose full masks serve evaluation, sorted by id."""
        for row in self.manifest.rows:
            if self._split in (None, row.split) and not row.annotation and row.full_mask and row.split != "train":
                yield AnnotatedImage(row, self.manifest)
                self.num_evaluated += 1
                self._on_image()

    def write(self, name: str, data: str | bytes) -> None:
        """Write a file of the export."""
        write_atomically(inside(self.folder, name), data.encode() if isinstance(data, str) else data)

    def write_label_map(self, name: str, label_map: LabelMap, *, full: bool) -> None:
        """Write train ids in the values of the format, as grey PNG, because some readers expand palettes."""
        self.write(name, encode_image(self.values.encode(label_map, self.space, full=full)))

    def put_image(self, image: AnnotatedImage, stem: str, suffix: str | None = None, *, rgb: bool = False) -> str:
        """Copy or link an image, or encode it as PNG if other readers would read the file differently.

        Images are encoded again if they have an EXIF orientation, which some readers ignore; if they have another
        format and the reader expects PNG; or if ``rgb`` is set and they do not have three 8-bit bands.

        Args:
            image: The image.
            stem: Its path in the export, without extension.
            suffix: Extension that the reader expects; by default that of all images. Readers decode by content, so a
                PNG named ``.jpg`` works.
            rgb: Whether the reader requires exactly three bands.

        Returns:
            Its path in the export.

        Raises:
            DataError: If the image is damaged, even where it is only copied.
        """
        name = stem + (suffix or self.image_suffix)
        if not image.row.image:  # masks only: the user of the export supplies the images
            return name
        source = row_file(self.manifest, image.row.image)
        check_size(self.manifest, image.row, source, read_image_size(source))
        target = inside(self.folder, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        samples, view = read_samples(source), self.manifest.info.images
        plain = samples.values.dtype == np.uint8 and samples.values.shape[2:] == (3,)
        png_wanted = target.suffix == ".png" and source.suffix.lower() != ".png"
        if png_wanted or exif_orientation(source) != 1 or (rgb and not plain) or view != DEFAULT_VIEW:
            self.write(name, encode_image(view.read(source)))
        elif self._link and not is_remote(source):
            target.symlink_to(absolute(source))
        else:
            write_atomically(target, source.read_bytes())
        return name
