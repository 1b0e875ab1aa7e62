"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data_manifests.files.paths import as_path, is_remote

if TYPE_CHECKING:
    from data_manifests import Dataset

Decorator = Callable[[Any], Any]

#: The names of ``data_manifests.LAYOUTS``, whose import takes long.
LAYOUTS = (
    "cityscapes", "cityscapes_coarse", "pascal_voc", "camvid", "ade20k", "coco_stuff", "kitti", "bdd100k", "generic",
)  # fmt: skip


#: Widest dot or stroke, in pixels: far beyond any of use, and far from what would fill the memory.
WIDEST_MARK = 1000


class FloatRange(click.FloatRange):
    """A range of numbers, in which "nan" is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


class ShardType(click.ParamType[tuple[int, int]]):
    """Reads ``3/16`` as (3, 16)."""

    name = "i/n"
    most = 100_000  # each part looks for the journals of all

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """See ``click.ParamType``."""
        try:
            number, count = (int(part) for part in value.split("/"))
            if 1 <= number <= count <= self.most:
                return number, count
        except ValueError:
            pass
        expected = f"the form i/n such as 3/16; parts count from 1 to {self.most} at most"
        self.fail(f"{value!r} is not of {expected}.", param, ctx)


class PathType(click.Path):
    """Reads a path, or the URL of an object store; see ``as_path``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        if value == "":  # would be the working folder, which nobody means who quotes a variable
            self.fail("the path is empty; is a variable not set?", param, ctx)
        return as_path(value) if isinstance(value, str) else value


class LocalPathType(PathType):
    """Reads a path of this machine, for what no object store can hold or hand out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See ``click.ParamType``."""
        path = super().convert(value, param, ctx)
        if is_remote(path):
            self.fail(f"{value} is a URL; only a path of this machine will do here.", param, ctx)
        return path


# Existence is checked by the library, whose errors say what to do; click would only say that a path does not exist.
dataset_argument = click.argument("dataset", type=PathType())
manifest_argument = click.argument("manifest", type=PathType())
manifests_argument = click.argument("manifests", type=PathType(), nargs=-1, required=True)

layout_option = click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    help="How the dataset's folder is arranged.  [default: found by looking]",
)
classes_option = click.option(
    "--classes",
    "classes_path",
    type=PathType(),
    help="Classes to use instead of the layout's own: CSV (name, id, optional r, g, b, train_id, void), JSON or TOML.",
)
map_option = click.option(
    "--map",
    "map_path",
    type=PathType(),
    help='TOML or JSON of classes to put together, such as vehicle = ["car", "bus"]; void = [...] leaves some out.',
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Equal seeds give equal results."
)
split_option = click.option("--split", help="Only this split.")
workers_option = click.option(
    "--workers", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes; the result is the same."
)
dot_size_option = click.option(
    "--dot-size",
    type=click.IntRange(1, WIDEST_MARK),
    help="Diameter of a click, in pixels of the full image.  [default: 2 % of the image's longer side]",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace results that are already there.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def out_option(help: str, name: str = "out_dir", *, type: click.Path | None = None, **settings: Any) -> Decorator:
    """``--out``: where a command writes; a path of this machine unless another type is given."""
    return click.option(
        "--out", "-o", name, type=type or LocalPathType(), help=help, show_default="default" in settings, **settings
    )


def synthesis_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that makes annotations from a dataset; they are the arguments of ``run_synthesis``."""
    for option in reversed(
        [
            out_option(
                "Folder in which the annotation folders are created.", type=PathType(), default=Path("sparse")
            ),
            seed_option,
            click.option(
                "--split", "splits", multiple=True,
                help="Split to annotate; may be given several times.  [default: train where there is one, else all]",
            ),
            click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images of each split."),
            layout_option,
            classes_option,
            map_option,
            workers_option,
            click.option("--dask", metavar="ADDRESS", help="Use the workers of this dask scheduler (tcp://host:8786)."),
            click.option(
                "--shard", type=ShardType(), default="1/1",
                help="Do only part i of n, counted from 1; the last part to finish puts the folder in its place.",
            ),
            overwrite_option,
            click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
            click.option("--absolute-paths", is_flag=True, help="Write absolute paths into the manifest."),
            json_option,
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def open_dataset(dataset_dir: Path, layout: str | None, classes_path: Path | None, map_path: Path | None) -> Dataset:
    """The dataset of a folder, as the options for layout, classes and map say."""
    import data_manifests

    label_space = data_manifests.read_label_space(classes_path) if classes_path else None
    class_map = data_manifests.read_class_map(map_path) if map_path else None
    return data_manifests.open_dataset(dataset_dir, layout, label_space, class_map)


def count_splits(splits: dict[str, int]) -> str:
    """The number of images of each split, in words."""
    return ", ".join(f"{count} {name}" for name, count in splits.items())
