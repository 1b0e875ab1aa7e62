"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.reporting import echo_json, echo_next, echo_summary, shown_path, warn
from cli.types import IntRange, LocalPathType, PathType, ShardType, WorkersType

if TYPE_CHECKING:
    from data_manifests import Manifest

Decorator = Callable[[Any], Any]
_F = TypeVar("_F", bound=Callable[..., Any])

_DATA_ROOT, _ALLOW_REMOTE = "cli.data_root", "cli.allow_remote"

#: Widest dot or stroke, in pixels; larger values are almost certainly typos.
WIDEST_MARK = 1000

# Existence is checked by the library, whose errors say what to do; click would only say that a path does not exist.
dataset_argument = click.argument("dataset", type=PathType(), required=False)


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    ctx.meta[f"cli.{param.name}"] = value


def data_root_option(command: _F) -> _F:
    """``--data-root`` and ``--allow-remote`` of every command that reads manifests, for ``read_manifest``."""
    return click.option(
        "--data-root", type=PathType(), metavar="DIR", expose_value=False, callback=_remember,
        help="Folder of the dataset, if it has moved.",
    )(
        click.option(
            "--allow-remote", is_flag=True, expose_value=False, callback=_remember,
            help="Open the web addresses that the manifest names.",
        )(command)
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

    return at_data_root(data_manifests.read_manifest(path))


def read_manifest_to_grow(path: Path) -> Manifest:
    """The manifest that a command was given to grow, with a warning of annotations without a label."""
    from data_manifests.errors import counted
    from data_manifests.manifest.derive import count_unlabelled

    manifest = read_manifest(path)
    if number := count_unlabelled(manifest):
        bare = counted(number, "annotation has", "annotations have")
        warn(f"{manifest.path}: {bare} no label, so nothing grows there.")
    return manifest


def data_root() -> Path | None:
    """Value of ``--data-root`` of the running command."""
    path: Path | None = click.get_current_context().meta.get(_DATA_ROOT)
    return path


def data_root_words() -> tuple[object, ...]:
    """``--data-root`` as it was given, for a command that reads the same manifest next."""
    return () if (root := data_root()) is None else ("--data-root", root)


def at_data_root(manifest: Manifest) -> Manifest:
    """The manifest with its dataset where ``--data-root`` says, if that is given; web addresses need a word.

    Raises:
        ManifestError: If the manifest names addresses of the web, and ``--allow-remote`` is not given.
    """
    from data_manifests.manifest.relocate import with_data_root
    from data_manifests.manifest.rows import require_no_web

    if (root := data_root()) is not None:
        manifest = with_data_root(manifest, root)
    if not click.get_current_context().meta.get(_ALLOW_REMOTE):
        require_no_web(manifest)
    return manifest


seed_option = click.option(
    "--seed", type=IntRange(min=0), default=0, show_default=True, help="Random seed; equal seeds give equal results."
)
split_option = click.option("--split", metavar="NAME", help="Use this split only.")
workers_option = click.option(
    "--workers",
    type=WorkersType(),
    default="auto",
    show_default=True,
    help="Number of processes, or auto for as many as save time; the result does not depend on it.",
)
threads_option = click.option(
    "--workers",
    type=IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Number of threads; the result does not depend on it.",
)
dot_size_option = click.option(
    "--dot-size",
    type=IntRange(1, WIDEST_MARK),
    help="Diameter of a click in pixels of the full image.  [default: 2 % of the longer side]",
)
image_option = click.option(
    "--image", "image_ids", metavar="ID", multiple=True, help="Use this image only; repeat for several."
)
thumbnail_size_option = click.option(
    "--thumbnail-size",
    type=IntRange(16, 16383),  # what WebP can hold
    default=640,
    show_default=True,
    help="Longer side of the images on the page, in pixels.",
)


def echo_next_of_grown(source: Manifest, path: Path) -> None:
    """Suggest what to look at: the share of right labels, or figures where there are no full masks to compare with."""
    following = "stats" if any(row.full_mask for row in source.rows) else "render"
    echo_next("sparsekit", following, path)


common_option = click.option("--common", is_flag=True, help="Use only images that all inputs annotate.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing results.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def out_option(help: str, name: str = "out_dir", *, type: click.Path | None = None, **settings: Any) -> Decorator:
    """``--out``: where a command writes; a path of this machine unless another type is given."""
    return click.option(
        "--out", "-o", name, type=type or LocalPathType(), help=help, show_default="default" in settings, **settings
    )


shard_option = click.option(
    "--shard",
    type=ShardType(),
    default="1/1",
    metavar="I/N",
    help="Process part I of N only; the last part to finish completes the folder.",
)


def count_splits(splits: dict[str, int]) -> str:
    """The number of images of each split, in words."""
    return ", ".join(f"{count} {name}" for name, count in splits.items())


def echo_derived(manifest: Manifest, as_json: bool) -> None:
    """Print where a new manifest is and how many images its splits have."""
    if as_json:
        echo_json({"manifest": str(manifest.path), "images": manifest.splits})
    else:
        echo_summary(f"{shown_path(manifest.path)}: {count_splits(manifest.splits)}")
