"""What the commands that show several runs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])

runs_argument = click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)
names_option = click.option(
    "--name", "names", multiple=True,
    help="What to call a run; once for each, in their order.  [default: what tells the runs apart, such as "
    "L_seg and AGMM, 20 clicks and 50 clicks]",
)  # fmt: skip


def manifest_option(required: bool) -> Callable[[_F], _F]:
    """``--manifest``: where the pictures come from."""
    return click.option(
        "--manifest", "manifest_path", type=click.Path(path_type=Path), required=required,
        help="Manifest of the pictures to show; its classes must be those of the runs.",
    )  # fmt: skip


def image_option(command: _F) -> _F:
    """``--image``, repeatable: show just these pictures."""
    return click.option("--image", "image_ids", multiple=True, help="Show this image; may be given several times.")(
        command
    )
