"""Options that describe a dataset: its folders, layout and classes, and the values of its masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from cli.command import option_group
from cli.reporting import usage_errors, warn
from cli.types import Choice, PathType
from data_manifests.encodings import CHANNELS, MaskValuesEncoding
from data_manifests.files.axes import AXES
from data_manifests.layout_names import LAYOUT_NAMES

if TYPE_CHECKING:
    from data_manifests import Dataset, LabelSpace
    from data_manifests.layouts.views import Percentiles

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
            from data_manifests.layouts.views import Percentiles

            return Percentiles(low, high) if any(shares) else (low, high)
        self.fail(f"{value!r} is not of the form LOW,HIGH: two values, or two percentages such as 2%,98%.", param, ctx)


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
        images_alone: bool = False,
    ) -> Dataset:
        """Read the dataset of a folder, or of the folders that the options name.

        Args:
            dataset_dir: The folder; it may hold volumes, or shapes drawn with another tool instead of masks.
            out_dir: Where slices of volumes and full masks of shapes go; without it they are refused.
            named: How the command's usage names the folder.
            images_alone: Whether ``--images`` may go alone, for images without masks.

        Raises:
            DataError: If it cannot be read.
            UsageError: If options contradict each other.
        """
        from data_manifests import open_images
        from data_manifests.files.view import ImageView
        from data_manifests.layouts.views import Percentiles, with_view

        with usage_errors():  # before any file is read
            ImageView(self.bands, None if isinstance(self.value_range, Percentiles) else self.value_range)
        alone = images_alone and dataset_dir is None and self.masks_dir is None and self.images_dir
        self._check(dataset_dir, named, is_alone=bool(alone), images_alone=images_alone)
        dataset = open_images(alone, *self._read_classes()) if alone else self._open(dataset_dir, out_dir)
        if self.axis and not dataset.images.axis:
            raise click.UsageError("--axis applies to NIfTI volumes; these are images, or pages of TIFF.")
        return with_view(dataset, self.bands, self.value_range)

    def _check(self, dataset_dir: Path | None, named: str, *, is_alone: bool, images_alone: bool) -> None:
        """Refuse options that contradict each other."""
        if is_alone:
            if self.layout or self.mask_suffix or self.mask_values or self.mask_channel:
                raise click.UsageError(f"--layout and the options of masks apply to {named} and --masks DIR.")
            return
        if (dataset_dir is None) == (self.masks_dir is None):
            alone = ", or --images DIR alone" if images_alone else ""
            raise click.UsageError(f"Give either {named}, or --masks DIR with or without --images DIR{alone}.")
        if dataset_dir is not None and (self.images_dir or self.mask_suffix):
            raise click.UsageError(f"--images and --mask-suffix need --masks DIR; they do not apply to {named}.")
        if self.masks_dir is not None and self.layout:
            raise click.UsageError(f"--layout applies to {named}, not to --masks.")
        if self.mask_values and self.mask_channel:
            raise click.UsageError("Give either --mask-values or --mask-channel.")

    def _read_classes(self) -> tuple[LabelSpace | None, Any]:
        """The class table and the class map that were given."""
        from data_manifests import read_class_map, read_label_space

        return (
            read_label_space(self.classes_path) if self.classes_path else None,
            read_class_map(self.map_path) if self.map_path else None,
        )

    def _open(self, dataset_dir: Path | None, out_dir: Path | None) -> Dataset:
        from cli.progress import counting
        from sparsekit.any_dataset import open_any_dataset

        label_space, class_map = self._read_classes()
        encoding: Any = self.mask_channel or (self.mask_values or "").replace("-", "_") or None
        axis: Any = self.axis
        with counting("volume") as counter:
            return open_any_dataset(
                dataset_dir, out_dir, masks_dir=self.masks_dir, images_dir=self.images_dir,
                mask_suffix=self.mask_suffix, layout=self.layout, label_space=label_space, class_map=class_map,
                encoding=encoding, axis=axis, on_warning=warn, on_start=counter.start, on_volume=counter.advance,
            )  # fmt: skip


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
