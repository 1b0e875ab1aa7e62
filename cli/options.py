"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from data_manifests.files.paths import as_path, is_remote

if TYPE_CHECKING:
    from data_manifests import Manifest

_F = TypeVar("_F", bound=Callable[..., Any])

_DATA_ROOT = "cli.data_root"

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
dataset_argument = click.argument("dataset", type=PathType(), required=False)


def _remember_data_root(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    ctx.meta[_DATA_ROOT] = value


#: ``--data-root`` of every command that reads manifests; ``read_manifest`` of this module heeds it.
data_root_option = click.option(
    "--data-root", type=PathType(), metavar="DIR", expose_value=False, callback=_remember_data_root,
    help="Folder of the dataset, if it is no longer where the manifest says.",
)  # fmt: skip


def manifest_argument(command: _F) -> _F:
    """MANIFEST, with ``--data-root``."""
    return click.argument("manifest", type=PathType())(data_root_option(command))


def manifests_argument(command: _F) -> _F:
    """One or several MANIFESTS, with ``--data-root``."""
    return click.argument("manifests", type=PathType(), nargs=-1, required=True)(data_root_option(command))


def read_manifest(path: Path) -> Manifest:
    """The manifest that a command was given, its dataset where ``--data-root`` says."""
    import data_manifests

    manifest = data_manifests.read_manifest(path)
    return at_data_root(manifest)


def data_root() -> Path | None:
    """What ``--data-root`` of the running command says."""
    path: Path | None = click.get_current_context().meta.get(_DATA_ROOT)
    return path


def at_data_root(manifest: Manifest) -> Manifest:
    """The manifest with its dataset where ``--data-root`` says, if that is given."""
    if (root := data_root()) is None:
        return manifest
    from data_manifests.manifest.relocate import with_data_root

    return with_data_root(manifest, root)


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
common_option = click.option("--common", is_flag=True, help="Only the images that all of them annotate.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace results that are already there.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def out_option(help: str, name: str = "out_dir", *, type: click.Path | None = None, **settings: Any) -> Decorator:
    """``--out``: where a command writes; a path of this machine unless another type is given."""
    return click.option(
        "--out", "-o", name, type=type or LocalPathType(), help=help, show_default="default" in settings, **settings
    )


def count_splits(splits: dict[str, int]) -> str:
    """The number of images of each split, in words."""
    return ", ".join(f"{count} {name}" for name, count in splits.items())
