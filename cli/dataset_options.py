"""Options that describe a dataset: its folders, layout and classes, and the values of its masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from cli.command import option_group
from cli.reporting import note, usage_errors, warn
from cli.types import Choice, PathType
from data_manifests.encodings import CHANNELS, MaskValuesEncoding
from data_manifests.errors import counted
from data_manifests.files.axes import AXES
from data_manifests.layout_names import LAYOUT_NAMES

if TYPE_CHECKING:
    from data_manifests import Dataset, LabelSpace
    from data_manifests.layouts.volumes import VolumeItem

#: Choices of ``--mask-values``.
_MASK_VALUES = [name.replace("_", "-") for name in get_args(MaskValuesEncoding)]


class NumbersType(click.ParamType[tuple[float, ...]]):
    """Reads ``4,3,2`` as (4, 3, 2)."""

    def __init__(self, name: str, kind: type[int] | type[float], counts: tuple[int, ...]) -> None:
        self.name = name
        self._kind = kind
        self._counts = counts

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        try:
            numbers = tuple(self._kind(part) for part in value.split(","))
            if len(numbers) in self._counts:
                return numbers
        except ValueError:
            pass
        self.fail(f"{value!r} is not of the form {self.name}.", param, ctx)


class ValueRangeType(click.ParamType[Any]):
    """Reads ``0,3000`` as (0.0, 3000.0), and ``2%,98%`` as percentiles."""

    name = "LOW,HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        parts = value.split(",")
        shares = [part.strip().endswith("%") for part in parts]
        try:
            low, high = (float(part.strip().removesuffix("%")) for part in parts)
        except ValueError:
            low = high = math.nan
        if low < high and (not any(shares) or (all(shares) and low >= 0 and high <= 100)):
            return Percentiles(low, high) if any(shares) else (low, high)
        self.fail(f"{value!r} is not of the form LOW,HIGH: two values, or two percentages such as 2%,98%.", param, ctx)


@dataclass(frozen=True)
class Percentiles:
    """A range of values, in per cent of all values."""

    low: float
    high: float


#: Of volumes without a ``--value-range``; nnU-Net clips CT so.
_OF_VOLUMES = Percentiles(0.5, 99.5)


@dataclass(frozen=True)
class DatasetOptions:
    """The values of ``dataset_options``."""

    images_dir: Path | None
    masks_dir: Path | None
    mask_suffix: str | None
    layout: str | None
    classes_path: Path | None
    map_path: Path | None
    mask_values: str | None
    mask_channel: str | None
    bands: tuple[int, ...] | None
    value_range: tuple[float, float] | Percentiles | None
    axis: str | None

    @property
    def given(self) -> bool:
        """Whether any of them was given."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def open(
        self,
        dataset_dir: Path | None,
        out_dir: Path | None = None,
        named: str = "DATASET",
        *,
        is_scratch: bool = False,
        images_alone: bool = False,
    ) -> Dataset:
        """Read the dataset of a folder, or of the folders that the options name.

        Args:
            dataset_dir: The folder; it may hold shapes drawn with another tool instead of masks.
            out_dir: Where the full masks of such shapes go; without it they are refused.
            named: How the command's usage names the folder.
            is_scratch: Whether ``out_dir`` is removed when the command ends.
            images_alone: Whether ``--images`` may go alone, for images without masks.

        Raises:
            DataError: If it cannot be read.
            UsageError: If options contradict each other.
        """
        from data_manifests.files.view import ImageView

        given = None if isinstance(self.value_range, Percentiles) else self.value_range
        with usage_errors():
            ImageView(self.bands, given)  # before any file is read
        if images_alone and self.images_dir and dataset_dir is None and self.masks_dir is None:
            dataset = self._open_images(self.images_dir, named)
        elif (dataset_dir is None) == (self.masks_dir is None):
            alone = ", or --images DIR alone" if images_alone else ""
            raise click.UsageError(f"Give either {named}, or --masks DIR with or without --images DIR{alone}.")
        else:
            dataset = self._open(dataset_dir, out_dir, named, is_scratch)
        if self.axis and not dataset.images.axis:
            raise click.UsageError("--axis applies to NIfTI volumes; these are images, or pages of TIFF.")
        dataset = replace(dataset, images=replace(dataset.images, bands=self.bands, value_range=given))
        of_volumes = dataset.images.axis and not self.value_range
        return _with_range_measured(dataset, _OF_VOLUMES if of_volumes else self.value_range)

    def _open_images(self, images_dir: Path, named: str) -> Dataset:
        import data_manifests

        if self.layout or self.mask_suffix or self.mask_values or self.mask_channel:
            raise click.UsageError(f"--layout and the options of masks apply to {named} and --masks DIR.")
        return data_manifests.open_images(images_dir, *self._read_classes())

    def _read_classes(self) -> tuple[LabelSpace | None, Any]:
        """The class table and the class map that were given."""
        import data_manifests

        return (
            data_manifests.read_label_space(self.classes_path) if self.classes_path else None,
            data_manifests.read_class_map(self.map_path) if self.map_path else None,
        )

    def _open(self, dataset_dir: Path | None, out_dir: Path | None, named: str, is_scratch: bool) -> Dataset:
        import data_manifests

        if dataset_dir is not None and (self.images_dir or self.mask_suffix):
            raise click.UsageError(f"--images and --mask-suffix need --masks DIR; they do not apply to {named}.")
        if self.masks_dir is not None and self.layout:
            raise click.UsageError(f"--layout applies to {named}, not to --masks.")
        if self.mask_values and self.mask_channel:
            raise click.UsageError("Give either --mask-values or --mask-channel.")
        label_space, class_map = self._read_classes()
        how: Any = (label_space, class_map, self.mask_channel or (self.mask_values or "").replace("-", "_") or None)
        folder = dataset_dir or Path()
        try:
            if self.masks_dir is not None:
                found = data_manifests.open_folders(self.masks_dir, self.images_dir, self.mask_suffix, *how)
            else:
                found = data_manifests.open_dataset(folder, self.layout, *how)
            _warn_of_unused(found)
            return found
        except data_manifests.DataError as error:
            if self.layout:
                raise
            if volumes := self._find_volumes(dataset_dir):
                root, items = volumes
                return self._slices(root, items, out_dir, label_space, class_map, how[2])
            if self.masks_dir is not None or self.mask_values or self.mask_channel:
                raise
            if (drawn := _dataset_drawn(folder, out_dir, is_scratch)) is None:
                raise
            if isinstance(drawn, str):
                raise data_manifests.DataError(drawn) from error
            made = data_manifests.open_dataset(drawn, "generic", label_space, class_map)
            return replace(made, root=folder)

    def _find_volumes(self, dataset_dir: Path | None) -> tuple[Path, list[VolumeItem]] | None:
        """The volumes of the folders, and the folder that their dataset is called after; None if there are none."""
        from data_manifests.layouts import common_folder
        from data_manifests.layouts.volumes import find_volumes, pair_volumes

        if self.masks_dir is None:
            root, items = dataset_dir or Path(), find_volumes(dataset_dir or Path())
        else:
            root = common_folder(self.masks_dir, self.images_dir)
            items = pair_volumes("train", self.images_dir, self.masks_dir, self.mask_suffix)
        return (root, items) if items else None

    def _slices(
        self,
        root: Path,
        items: list[VolumeItem],
        out_dir: Path | None,
        label_space: LabelSpace | None,
        class_map: Any,
        encoding: Any,
    ) -> Dataset:
        """The slices of volumes as a dataset, written below ``out_dir`` unless they are there."""
        import data_manifests
        from cli.progress import counting
        from data_manifests.files.axes import DEFAULT_AXIS
        from data_manifests.files.images import IMAGE_SUFFIXES
        from data_manifests.files.paths import absolute, is_remote
        from data_manifests.files.view import ImageView
        from data_manifests.files.volumes import NIFTI_SUFFIXES, is_nifti
        from data_manifests.layouts.image_notes import unused_note
        from data_manifests.layouts.volumes import classes_of
        from sparsekit.volumes import are_up_to_date, write_slices

        has_axes = is_nifti(items[0].mask)
        if text := unused_note(
            (path for item in items for path in (*item.images, item.mask)), (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES)
        ):
            warn(f"{root}: {text}")
        if out_dir is None or is_remote(out_dir):
            raise data_manifests.DataError(
                f"{root}: holds volumes. `sparsekit points` writes their slices to OUT/{absolute(root).name}-slices, a "
                "dataset to name here."
            )
        axis: Any = self.axis or DEFAULT_AXIS
        label_space = label_space or classes_of(root)
        folder = out_dir / f"{absolute(root).name}-slices"
        if not are_up_to_date(folder, items, axis):
            with counting("volume") as counter:
                found = write_slices(
                    items, folder, axis=axis, label_space=label_space, on_start=counter.start,
                    on_volume=counter.advance,
                )  # fmt: skip
            note(f"{root}: wrote {f'{axis} ' * has_axes}slices of {counted(len(items), 'volume')}: {found}.")
        how = (label_space, class_map, encoding)
        if items[0].images:
            made = data_manifests.open_dataset(folder, "generic", *how)
        else:
            made = data_manifests.open_folders(folder / "masks", None, None, *how)
        return replace(made, root=root, images=ImageView(axis=axis if has_axes else None))


def _warn_of_unused(dataset: Dataset) -> None:
    """Warn of volumes beside the images of a dataset, and in folders of no known layout also of images."""
    from data_manifests.files.images import IMAGE_SUFFIXES
    from data_manifests.files.volumes import NIFTI_SUFFIXES
    from data_manifests.layouts.image_notes import unused_note

    pairs = [(item.image_path, item.mask) for item in dataset.items if item.image_path]
    # Known layouts have further files by design, such as instance ids, and masks alone lie beside their images.
    suffixes = (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES) if dataset.layout == "generic" and pairs else NIFTI_SUFFIXES
    used = [path for pair in pairs for path in pair] or [item.mask for item in dataset.items]
    if text := unused_note(used, suffixes):
        warn(f"{dataset.root}: {text}")


def _with_range_measured(dataset: Dataset, wanted: object) -> Dataset:
    """The dataset with percentiles as values, measured on some of its images; unchanged where none are wanted."""
    from data_manifests.errors import DataError
    from data_manifests.files.images import is_eight_bits
    from data_manifests.files.view import measure_range
    from data_manifests.layouts.base import spread

    if not isinstance(wanted, Percentiles):
        return dataset
    paths = spread([item.image_path for item in dataset.items if item.image_path])
    if wanted is _OF_VOLUMES and (not paths or is_eight_bits(paths[0])):
        return dataset
    if not paths:
        raise DataError(f"{dataset.root}: percentiles of --value-range need images, and there are masks alone.")
    low, high = measure_range(paths, dataset.images.bands, wanted.low, wanted.high)
    text = (
        f"value range {low:g},{high:g}: {wanted.low:g} % and {wanted.high:g} % of the values in "
        f"{counted(len(paths), 'image')} looked at; --value-range sets another."
    )
    view = replace(dataset.images, value_range=(low, high))
    return replace(dataset, images=view, notes=(*dataset.notes, text))


def _dataset_drawn(folder: Path, out_dir: Path | None, is_scratch: bool) -> Path | str | None:
    """Full masks of the shapes in a folder; a message where they have no place; None where there are no shapes."""
    from data_manifests.files.paths import absolute, is_remote
    from sparsekit.formats.detect import find_drawn_format
    from sparsekit.formats.full_masks import are_up_to_date, write_full_masks

    if is_remote(folder) or (format_ := find_drawn_format(folder)) is None:
        return None
    if out_dir is None or is_remote(out_dir):
        return (
            f"{folder}: holds annotations of {format_} instead of masks. Make a dataset of them with `sparsekit "
            f"full-masks {folder} --out NEW`."
        )
    masks_dir = out_dir / f"{absolute(folder).name}-full-masks"
    if not are_up_to_date(masks_dir, folder):
        made = write_full_masks(folder, format_, masks_dir, overwrite=True)
        for text in made.notes:
            warn(text)
    where = "These are filled to full masks" if is_scratch else f"{masks_dir} has their full masks"
    warn(
        f"{folder}: holds annotations of {format_}. {where}: pixels of no shape are background, and of two shapes the "
        "one drawn last lies on top; see `sparsekit full-masks`."
    )
    return masks_dir


_MAP = click.option(
    "--map",
    "map_path",
    type=PathType(),
    help='TOML or JSON file that merges classes, such as vehicle = ["car", "bus"]; void = [...] ignores classes.',
)
_OPTIONS = (
    click.option("--images", "images_dir", type=PathType(), help="Folder of images, instead of DATASET."),
    click.option("--masks", "masks_dir", type=PathType(), help="Folder of masks, instead of DATASET; may go alone."),
    click.option(
        "--mask-suffix",
        metavar="TEXT",
        help="Ending that masks add to the names of their images, such as _mask.  [default: detected]",
    ),
    click.option(
        "--layout",
        type=Choice(list(LAYOUT_NAMES)),
        metavar="NAME",
        help=f"Folder layout of the dataset: {', '.join(LAYOUT_NAMES)}.  [default: detected]",
    ),
    click.option(
        "--classes",
        "classes_path",
        type=PathType(),
        help="Class table to use instead of the dataset's own: CSV (name, id or r, g, b; optionally train_id, void), "
        "JSON, TOML, or TXT with one name per line, for the ids from 0.",
    ),
    click.option(
        "--mask-values",
        type=Choice(_MASK_VALUES),
        help="Values of the masks: ids of the class table, 0, 1, 2, ... in its order, or class colours, exact or "
        "nearest (JPEG).  [default: detected]",
    ),
    click.option("--mask-channel", type=Choice(list(CHANNELS)), help="Channel of the masks that holds the ids."),
    click.option(
        "--bands",
        type=NumbersType("R,G,B", int, (1, 3)),
        help="Bands of the images that are red, green and blue, counted from 1; or one band, shown in grey.",
    ),
    click.option(
        "--value-range",
        type=ValueRangeType(),
        metavar="LOW,HIGH",
        help="Values of the images that are black and white, or percentiles such as 2%,98%.  [default: 0,255; of 16 "
        "bits 0,4095 or 0,65535; of volumes 0.5%,99.5%]",
    ),
    click.option(
        "--axis",
        type=Choice(AXES),
        help="Plane in which NIfTI volumes are sliced.  [default: axial]",
    ),
)


def dataset_options(command: Callable[..., None], *, with_map: bool = True) -> Callable[..., None]:
    """Options of every command that reads a dataset; it receives them as one argument ``dataset_options``.

    Args:
        command: The command.
        with_map: Whether ``--map`` is among them; a command may have one of its own.
    """

    @wraps(command)
    def with_one_argument(*args: Any, **kwargs: Any) -> None:
        given = {field.name: kwargs.pop(field.name, None) for field in fields(DatasetOptions)}
        command(*args, dataset_options=DatasetOptions(**given), **kwargs)

    wrapped: Callable[..., None] = with_one_argument
    return option_group("Dataset", *_OPTIONS, *([_MAP] if with_map else []))(wrapped)
