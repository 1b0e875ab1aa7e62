"""What the commands that use a trained network share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

run_argument = click.argument("run", type=click.Path(path_type=Path))

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N", help="Where to compute."
)


def prediction_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say how pictures are segmented, and where."""
    for option in reversed(
        [
            click.option(
                "--protocol", type=click.Choice(["whole", "sliding", "multi-scale"]), default="whole",
                show_default=True,
                help="Whole images; sliding windows; or the mean over 7 scales (0.5 to 2) and flips.",
            ),
            click.option(
                "--tile", "tile_size", type=click.IntRange(min=1),
                help="Side of sliding windows, in pixels; with multi-scale, slide at each scale.  "
                "[default: the training crop's; whole images for multi-scale]",
            ),
            click.option(
                "--overlap", type=click.FloatRange(0, 1, max_open=True), default=2 / 3, show_default="2/3",
                help="Share of a window that the next one covers again.",
            ),
            click.option("--crf", is_flag=True, help="Refine with a dense CRF (needs the extra 'crf'; slow)."),
            device_option,
            click.option("--amp/--no-amp", default=False, show_default=True, help="Compute in bfloat16."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command
