"""``agmm figure``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agmm.config.outputs import FIGURES, MAX_TSNE_RUNS
from cli.agmm_commands.options import device_option, manifest_option, names_option, runs_argument
from cli.agmm_commands.work import budget_options, read_budgets, refuse_budget_options
from cli.command import command
from cli.options import image_option, json_option, out_option, read_manifest
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, usage_errors, warn
from cli.types import Choice, IntRange

_SHOWN = {name: kind for name, kind in FIGURES.items() if kind}


@command(short_help="Draw a figure of runs, or of a study.")
@click.argument("kind", metavar="FIGURE", type=Choice(list(FIGURES)))
@runs_argument
@names_option
@manifest_option
@click.option(
    "--split",
    metavar="NAME",
    help=f"Split of the images.  [default: {', '.join(f'{kind.split} for {name}' for name, kind in _SHOWN.items())}]",
)
@click.option(
    "--limit", type=IntRange(min=1),
    help="Number of images, spread evenly over the split.  "
    f"[default: {', '.join(f'{kind.num_images} for {name}' for name, kind in _SHOWN.items())}]",
)  # fmt: skip
@image_option
@click.option(
    "--pixels-per-class", type=IntRange(min=1), default=100, show_default=True, help="Pixels per class for tsne."
)
@click.option("--seed", type=IntRange(min=0), default=0, show_default=True, help="Random seed of tsne.")
@budget_options
@device_option
@out_option("File to write, .png or .pdf.", "out_path", required=True)
@json_option
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
    as_json: bool,
    **budget: Any,
) -> None:
    """Draw a figure of RUNS: budgets, or a figure of the paper's supplement.

    FIGURE is gmm-predictions (image, segmentation, class of the highest Gaussian, and ground truth), training-curves
    (mIoU on the training set by epoch, as recorded by `agmm train --gmm-images`), tsne (features of the same pixels in
    one to three runs), qualitative (image, segmentation of each run, and ground truth) or budget (mIoU over clicks and
    minutes of annotation, of scored runs or of one study of `agmm ablate`). This needs the extra 'figures'.
    """
    from agmm.report.style import check_figure

    if kind == "tsne" and len(runs) > MAX_TSNE_RUNS:
        raise click.UsageError(f"tsne shows one to {MAX_TSNE_RUNS} runs, got {len(runs)}.")
    with usage_errors():
        check_figure([out_path])
    if kind == "budget":
        from agmm.report.budget_figure import draw_budget

        draw_budget(read_budgets(runs, names, split, None, **budget), [out_path])
        _echo(out_path, as_json)
        return
    refuse_budget_options(budget)
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
    from agmm.report.tsne import draw_tsne

    with usage_errors():
        if manifest is None:
            draw_training_curves(found, [out_path], warn)
        else:
            rows = choose_rows(manifest, [split or _SHOWN[kind].split], limit or _SHOWN[kind].num_images, image_ids)
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
    _echo(out_path, as_json)


def _echo(out_path: Path, as_json: bool) -> None:
    if as_json:
        echo_json({"file": str(out_path)})
    else:
        echo_summary(out_path)
