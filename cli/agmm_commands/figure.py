"""``agmm figure``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.agmm_commands.options import device_option, image_option, manifest_option, names_option, runs_argument
from cli.command import command
from cli.options import out_option, read_manifest
from cli.progress import progress
from cli.reporting import usage_errors, warn

# Where the images of each kind come from, and how many, unless told otherwise.
_SPLITS = {"gmm-predictions": "train", "tsne": "val", "qualitative": "val"}
_LIMITS = {"gmm-predictions": 4, "tsne": 30, "qualitative": 4}


@command(short_help="Draw a figure of the paper's supplement.")
@click.argument("kind", type=click.Choice(["gmm-predictions", "training-curves", "tsne", "qualitative"]))
@runs_argument
@names_option
@manifest_option
@out_option("File to write, .png or .pdf.", "out_path", required=True)
@click.option("--split", help="Split of the images.  [default: train for gmm-predictions, else val]")
@click.option(
    "--limit", type=click.IntRange(min=1),
    help="Number of images, spread evenly over the split.  [default: 4; 30 for tsne]",
)  # fmt: skip
@image_option
@click.option("--pixels-per-class", type=click.IntRange(min=1), default=100, show_default=True, help="Pixels of tsne.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of tsne and its pixels.")
@device_option
def figure(
    kind: str,
    runs: tuple[Path, ...],
    names: tuple[str, ...],
    manifest_path: Path | None,
    out_path: Path,
    split: str | None,
    limit: int | None,
    image_ids: tuple[str, ...],
    pixels_per_class: int,
    seed: int,
    device: str,
) -> None:
    """Draw a figure of the paper's supplement from one's own RUNs.

    gmm-predictions: image, segmentation, class of the highest Gaussian, truth. training-curves: training-set mIoU by
    epoch, recorded by `agmm train --gmm-images`. tsne: features of the same pixels in one to three runs. qualitative:
    image, each run's segmentation, truth. It needs the extra 'figures'.
    """
    from agmm.report.runs import read_runs
    from agmm.requirements import require_training_packages
    from agmm.runs.files import manifest_of

    manifest = None if kind == "training-curves" else read_manifest(manifest_path or manifest_of(runs[0]))
    with usage_errors():
        found = read_runs(runs, names, warn)
    require_training_packages()
    from agmm.distributed import choose_device
    from agmm.report.figures import draw_gmm_predictions, draw_qualitative, draw_training_curves
    from agmm.report.images import choose_rows
    from agmm.report.style import check_figure
    from agmm.report.tsne import draw_tsne

    with usage_errors():
        check_figure([out_path])
        if manifest is None:
            draw_training_curves(found, [out_path], warn)
        else:
            rows = choose_rows(manifest, [split or _SPLITS[kind]], limit or _LIMITS[kind], image_ids)
            with progress(len(found) * len(rows)) as advance:
                if kind == "tsne":
                    draw_tsne(
                        found, manifest, rows, [out_path], pixels_per_class=pixels_per_class, seed=seed,
                        device=choose_device(device), on_image=advance, on_problem=warn,
                    )  # fmt: skip
                else:
                    draw = draw_gmm_predictions if kind == "gmm-predictions" else draw_qualitative
                    draw(
                        found, manifest, rows, [out_path], device=choose_device(device), on_image=advance,
                        on_problem=warn,
                    )  # fmt: skip
    click.echo(str(out_path))
