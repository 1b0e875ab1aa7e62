"""The manifest: one row per image, the marks drawn on the images, and the settings that made them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from data_manifests.encodings import Encoding
from data_manifests.errors import ManifestError, counted, list_some
from data_manifests.files.paths import absolute, name_fault, named_by
from data_manifests.files.view import DEFAULT_VIEW, ImageView
from data_manifests.label_space import LabelSpace

if TYPE_CHECKING:
    import pandas as pd
    from datasets import DatasetDict

SCHEMA_VERSION = 1

#: Command recorded for annotations predicted by a network: label maps without marks.
PSEUDO_LABELS = "pseudo-labels"

#: Command recorded for annotations grown from another manifest's labels: label maps without marks of their own.
GROWN = "grow"

#: Columns that every ``manifest.csv`` has, in this order.
MANIFEST_COLUMNS = (
    "image_id",
    "split",
    "image",
    "full_mask",
    "annotation",
    "height",
    "width",
    "num_labelled",
    "classes_labelled",
    "full_mask_sha256",
    "annotation_sha256",
)

#: Column order of ``marks.csv``.
MARK_COLUMNS = ("image_id", "mark", "kind", "class_id", "row", "col", "width", "region", "points")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image.

    A field not in ``MANIFEST_COLUMNS`` is an optional column: it needs a default for manifests without that column, and
    the column is written only if a row has another value.

    Args:
        image_id: Unique in the manifest; it keys the image's random stream. A plain name; ``/`` separates folders.
        split: ``train``, ``val`` or ``test``; a plain name.
        image: Path of the image: relative to the manifest's folder, absolute, or a URL, with ``/`` between the parts.
        full_mask: Path of the full mask, in the same form; empty if there is none.
        annotation: Path of the sparse label map, in the same form; empty for rows that only serve evaluation.
        height: In pixels.
        width: In pixels.
        num_labelled: Labelled pixels of the annotation.
        classes_labelled: Train ids that occur in the annotation, ascending.
        full_mask_sha256: ``pixel_sha256`` of the full mask's stored values; empty without one.
        annotation_sha256: ``pixel_sha256`` of the sparse label map; empty without one.
        extra: Names and cells of columns unknown to this version; derived manifests keep them.
    """

    image_id: str
    split: str
    image: str
    full_mask: str
    annotation: str
    height: int
    width: int
    num_labelled: int = 0
    classes_labelled: tuple[int, ...] = ()
    full_mask_sha256: str = ""
    annotation_sha256: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def name_fault(self) -> str:
        """Why image_id or split cannot name files below a folder, as writers use them; empty if both can."""
        for column, name in (("image_id", self.image_id), ("split", self.split)):
            if not name:
                return f"column {column} is empty"
            if fault := name_fault(name) or ("holds /" if column == "split" and "/" in name else ""):
                return f"{column} {name!r} is not a plain name: it {fault}"
        return ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of an annotator: a click, a stroke, a block, a box or a polygon.

    Args:
        kind: ``click``, ``stroke``, ``block``, ``box`` or ``polygon``.
        class_id: Train id the annotator gave it.
        row: Row of the click, or of the first point.
        col: Column of the click, or of the first point.
        points: All corners as (row, col); empty for a click.
        widths: Full width in pixels of a stroke at each of its points; empty for other kinds.
        region: Number of its region in the full mask; -1 if the mark was not drawn by region.
    """

    kind: str
    class_id: int
    row: int
    col: int
    points: tuple[tuple[int, int], ...] = ()
    widths: tuple[int, ...] = ()
    region: int = -1


@dataclass(frozen=True)
class ManifestInfo:
    """Contents of ``manifest.json``, which apply to all rows.

    Args:
        label_space: Classes of the annotations.
        mask_encoding: How the ``full_mask`` files write the classes.
        dataset: Name of the dataset's folder.
        layout: Name of the layout that read it.
        command: The command that made the annotations, such as ``points``; empty for foreign ones.
        settings: All settings of the command, including the seed, from which the annotations can be reproduced.
        tool_version: Version of sparsekit that wrote the manifest.
        schema_version: Version of the manifest format.
        images: How to display the images.
    """

    label_space: LabelSpace
    mask_encoding: Encoding = "train_ids"
    dataset: str = ""
    layout: str = ""
    command: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tool_version: str = ""
    schema_version: int = SCHEMA_VERSION
    images: ImageView = DEFAULT_VIEW


@dataclass(frozen=True)
class Manifest:
    """A manifest in memory: a sequence of rows.

    Its length is the number of rows; an index gives a row, and a slice a manifest of some rows.

    Args:
        path: The CSV file; paths in the rows are relative to its folder.
        rows: Sorted by image id.
        info: Properties of all rows.
        marks_sha256: SHA-256 of the marks in their ``marks.csv`` form; empty if the file records none. Writing computes
            it from the marks beside the manifest.
        edited: Whether rows were selected or changed in memory, so that ``sha256`` counts them too.
    """

    path: Path
    rows: tuple[ManifestRow, ...]
    info: ManifestInfo
    marks_sha256: str = ""
    edited: bool = False

    @property
    def label_space(self) -> LabelSpace:
        """Classes of the annotations."""
        return self.info.label_space

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ManifestRow]:
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int) -> ManifestRow: ...

    @overload
    def __getitem__(self, index: slice) -> Manifest: ...

    def __getitem__(self, index: int | slice) -> ManifestRow | Manifest:
        rows = self.rows[index]
        return rows if isinstance(rows, ManifestRow) else replace(self, rows=rows, edited=True)

    def __repr__(self) -> str:
        """One line, for notebooks and debuggers, without the thousands of rows."""
        return f"<Manifest {self.path}: {counted(len(self.rows), 'row')}, {self.label_space.name}>"

    def _repr_html_(self) -> str:
        from data_manifests.figures.notebook import manifest_html

        return manifest_html(self)

    @property
    def name(self) -> str:
        """Name of its folder, which tables and figures use."""
        return absolute(self.path).parent.name  # handles "../manifest.csv" too

    @property
    def marks_path(self) -> Path:
        """Path of the marks: ``marks.parquet`` if it exists, or else ``marks.csv``."""
        parquet = self.path.with_name("marks.parquet")
        return parquet if parquet.exists() else self.path.with_name("marks.csv")

    @property
    def splits(self) -> dict[str, int]:
        """Number of rows of each split, by name."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.split] = counts.get(row.split, 0) + 1
        return dict(sorted(counts.items()))

    @property
    def split_fault(self) -> str:
        """Which splits differ in letter case only, a typing error that would leave images out; empty if none do."""
        splits = self.splits
        alike = Counter(name.casefold() for name in splits)
        twice = [name for name in splits if alike[name.casefold()] > 1]
        counts = ", ".join(f"'{name}' ({splits[name]})" for name in twice)
        return f"splits that differ in letter case only: {counts}; spell them alike" if twice else ""

    def rows_of(self, split: str | None) -> tuple[ManifestRow, ...]:
        """Rows of one split, or all rows if it is None.

        Raises:
            ManifestError: If the split has no rows.
        """
        if split is None:
            return self.rows
        rows = tuple(row for row in self.rows if row.split == split)
        if not rows:
            hint = " `sparsekit split` sets images aside for another split." if len(self.splits) == 1 else ""
            raise ManifestError(f"{self.path}: split '{split}' has no rows. {self.splits_in_words()}{hint}")
        return rows

    def filter(
        self,
        where: Callable[[ManifestRow], bool] | None = None,
        *,
        split: str | None = None,
        classes: Sequence[str] = (),
    ) -> Manifest:
        """Select rows in memory; ``sparsekit subset`` and ``sparsekit split`` write new manifests.

        Args:
            where: Whether to keep a row.
            split: Keep only this split.
            classes: Keep only images with a label of at least one of these classes, given by name.

        Returns:
            The rows that meet all conditions, with the same path and settings.

        Raises:
            ManifestError: If the split has no rows, or a class is unknown.
        """
        names = self.label_space.class_names
        if unknown := [name for name in classes if name not in names]:
            raise ManifestError(f"{self.path}: no class {list_some(unknown)}. Classes: {list_some([*names], 40)}.")
        wanted = {names.index(name) for name in classes}
        rows = tuple(
            row
            for row in self.rows_of(split)
            if (where is None or where(row)) and (not wanted or wanted & set(row.classes_labelled))
        )
        return replace(self, rows=rows, edited=True)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a table with the columns of ``manifest.csv``.

        Sizes and counts are integers, ``classes_labelled`` holds tuples of train ids; columns of your own hold text.
        """
        from data_manifests.manifest.frames import rows_to_frame

        return rows_to_frame(self)

    def marks_to_pandas(self) -> pd.DataFrame:
        """Return the marks of the rows as a table, one mark per line.

        The columns are ``image_id``, ``mark`` (its number in the image), ``kind``, ``class_id``, ``class_name``,
        ``row``, ``col``, ``widths``, ``region`` and ``points``, with the values of :class:`Mark`.

        Raises:
            ManifestError: If there are no marks, or they are not those the manifest was written with.
        """
        from data_manifests.manifest.frames import marks_to_frame

        return marks_to_frame(self)

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, like: Manifest) -> Manifest:
        """Make a manifest of the rows of a table.

        Args:
            frame: A table with the columns of ``manifest.csv``, as ``to_pandas`` or ``pandas.read_csv`` return it.
                Further columns are kept as text. Paths are relative to the folder of ``like.path``.
            like: The manifest that gives path, label space and settings. For images without a manifest, give
                ``Manifest(path, (), ManifestInfo(label_space))``.

        Returns:
            The manifest in memory, sorted by image id; ``write_manifest`` writes it.

        Raises:
            ManifestError: If a column is missing, a cell has a wrong value, or an image id occurs twice.
        """
        from data_manifests.manifest.frames import frame_to_manifest

        return frame_to_manifest(frame, like)

    def to_hf(self) -> DatasetDict:
        """Return the images with their label maps as a Hugging Face dataset of all splits.

        ``annotation`` holds train ids: a few annotated pixels where ``sparse`` is true, otherwise the full mask, and
        ``ignore_index`` elsewhere. The feature of ``classes_labelled`` names the classes. ``push_to_hub`` stores the
        images themselves.

        Raises:
            ManifestError: If ``datasets`` is not installed, or a file of a row is missing.
        """
        from data_manifests.manifest.hf import manifest_to_hf

        return manifest_to_hf(self)

    def splits_in_words(self) -> str:
        """A sentence that lists the splits with their number of rows."""
        return f"Splits of this manifest: {', '.join(f'{name} ({n})' for name, n in self.splits.items()) or 'none'}."

    def sha256(self) -> str:
        """Checksum of the manifest's two files, which covers rows, annotation hashes, label space and settings.

        For an edited manifest, it also covers the rows in memory.
        """
        digest = hashlib.sha256()
        for path in (self.path, self.path.with_suffix(".json")):
            digest.update(path.read_bytes())
        if self.edited:
            digest.update(repr(self.rows).encode())
        return digest.hexdigest()

    def resolve(self, relative: str) -> Path:
        """Path of a file named in a row."""
        return named_by(self.path.parent, relative)
