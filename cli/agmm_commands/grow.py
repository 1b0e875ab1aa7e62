"""``agmm grow``."""

from __future__ import annotations

from pathlib import Path

import click

from agmm.config.growing import FEATURES, FeatureGrowSettings
from cli.agmm_commands.options import device_option
from cli.command import command, option_group
from cli.options import (
    echo_next_of_grown,
    json_option,
    manifest_argument,
    out_option,
    overwrite_option,
    read_manifest_to_grow,
    seed_option,
)
from cli.processes import require_one_process
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, usage_errors
from cli.types import FloatRange, IntRange
from data_manifests.errors import counted


@command(short_help="Grow sparse labels by an encoder's features.")
@manifest_argument
@option_group(
    "Encoder",
    click.option(
        "--encoder",
        metavar="NAME",
        required=True,
        help="Encoder by its name in timm, such as vit_small_patch14_dinov2.lvd142m.",
    ),
    click.option(
        "--encoder-weights",
        metavar="imagenet|none|FILE",
        default=FeatureGrowSettings.encoder_weights,
        show_default=True,
        help="Weights of the encoder: those of its name, from timm's hub; random ones; or a file.",
    ),
    click.option(
        "--longer-side",
        "size",
        type=IntRange(1, 16384),
        default=FeatureGrowSettings.size,
        show_default=True,
        help="Scale images so that their longer side has N pixels.",
    ),
)
@option_group(
    "Labels",
    click.option(
        "--max-distance",
        type=FloatRange(0, 2),
        default=FeatureGrowSettings.max_distance,
        show_default=True,
        help="Largest cosine distance to a labelled pixel of the class.",
    ),
    click.option(
        "--confidence",
        type=FloatRange(0, 1),
        default=FeatureGrowSettings.confidence,
        show_default=True,
        help="Certainty that a label needs: 0.5 takes the nearest class, 1 only pixels like a labelled one.",
    ),
)
@option_group(
    "Output",
    out_option(f"Annotation folder to create.  [default: <folder of the manifest>-{FEATURES}, next to it]"),
    overwrite_option,
    json_option,
)
@option_group("Execution", seed_option, device_option)
def grow(
    manifest: Path,
    encoder: str,
    encoder_weights: str,
    size: int,
    max_distance: float,
    confidence: float,
    out_dir: Path | None,
    overwrite: bool,
    as_json: bool,
    seed: int,
    device: str,
) -> None:
    """Grow the labels of a manifest to pixels whose features in an encoder resemble those of a labelled pixel.

    MANIFEST is a manifest.csv or the folder that holds it. The result is an annotation folder, as `sparsekit grow`
    makes it. Existing labels stay as they are, and other pixels stay unlabelled. Repeat an interrupted command to
    resume. --seed matters only with --encoder-weights none.
    """
    from agmm.requirements import require_training_packages

    require_one_process("Growing labels")
    source = read_manifest_to_grow(manifest)
    with usage_errors():
        settings = FeatureGrowSettings(encoder, encoder_weights, max_distance, confidence, size, seed)
    require_training_packages()
    from agmm.inference.grow import grow_by_features

    before = [row for row in source.rows if row.annotation]
    with usage_errors(), progress(len(before)) as advance:
        grown = grow_by_features(source, settings, out_dir, device=device, overwrite=overwrite, on_image=advance)
    num_pixels = sum(row.height * row.width for row in before)
    share_before = sum(row.num_labelled for row in before) / num_pixels
    share = sum(row.num_labelled for row in grown.rows if row.annotation) / num_pixels
    if as_json:
        echo_json(
            {
                "folder": str(grown.path.parent), "manifest": str(grown.path), "method": FEATURES,
                "num_images": len(before), "share_labelled_before": share_before, "share_labelled": share,
            }
        )  # fmt: skip
        return
    echo_summary(grown.path)
    echo_summary(f"  labels of {counted(len(before), 'image')} grown by the features of {encoder}")
    echo_summary(f"  {share:.1%} of the pixels labelled ({share_before:.3%} before)")
    echo_next_of_grown(source, grown.path)
