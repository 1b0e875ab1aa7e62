"""Evaluate a run on a manifest and write the scores to the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agmm.config.protocol import ProtocolName
from agmm.data.bands import with_bands
from agmm.distributed import join_ranks
from agmm.evaluation.evaluate import evaluate_mixture, evaluate_rows, evaluate_with_mixture
from agmm.evaluation.per_image import PER_IMAGE_NAME, write_per_image
from agmm.inference.crf import require_colors
from agmm.inference.protocols import Protocol, make_protocol, require_annotations
from agmm.runs.checkpoint import load_run
from agmm.runs.files import require_writable
from agmm.runs.scores import read_records, save_records
from data_manifests import Manifest
from data_manifests.files.paths import as_path, name_from


def evaluate_run(
    run: str | Path,
    manifest: Manifest,
    *,
    split: str = "val",
    limit: int | None = None,
    protocol: ProtocolName | Protocol = "whole",
    boundary: bool = False,
    per_image: bool = False,
    gmm: bool = False,
    device: str = "auto",
    amp: bool = False,
    workers: int = 1,
    out_dir: str | Path | None = None,
    on_image: Callable[[], None] | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a trained network on a split of a manifest and write the scores.

    Under torchrun, each process takes a share of the images, and the first one writes.

    Args:
        run: Run folder or weights file.
        manifest: Manifest with the split and the classes of the network.
        split: Split to evaluate.
        limit: At most this many images.
        protocol: How to segment images; a name stands for ``make_protocol`` with its defaults.
        boundary: Also compute boundary IoU.
        per_image: Write the counts of each image as well, to ``per_image.csv``.
        gmm: Also evaluate the mixture; the rows of the split need annotations.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        amp: Compute in bfloat16.
        workers: Threads that read files ahead.
        out_dir: Folder of the scores; by default the run folder.
        on_image: Called after each image of this process, once for the network and once for the mixture.

    Returns:
        A record of scores, and with ``gmm`` a second one for the mixture; see ``agmm.runs.scores.save_records``.

    Raises:
        DataError: If the run cannot be loaded, its classes differ from the manifest's, a file (including existing
            scores) cannot be read, or the folder of the scores cannot be written.
        ValueError: If the protocol's values are out of range.
    """
    ranks = join_ranks(device)
    loaded = load_run(run, ranks.device)
    loaded.info.require_classes(manifest.label_space, manifest.path)
    manifest = with_bands(manifest, loaded.info.config)
    rows = manifest.rows_of(split)[:limit]
    folder = loaded.path.parent if out_dir is None else as_path(out_dir)
    # Check now what would otherwise fail after all images have been segmented.
    read_records(folder)
    if ranks.is_first:
        require_writable(folder)
    if gmm:
        require_annotations(manifest, rows)
    config = loaded.info.config
    settings = protocol if isinstance(protocol, Protocol) else make_protocol(protocol, config.crop_size)
    if settings.crf:
        require_colors(loaded.info.model.in_channels)
    shared: dict[str, Any] = {
        "device": ranks.device, "distributed": ranks.num_ranks > 1, "boundary": boundary, "amp": amp,
        "workers": workers, "on_image": on_image,
    }  # fmt: skip
    options = config.mixture()
    if gmm and settings == Protocol():  # one pass of the network for both
        shared |= {"options": options, "per_image": per_image}
        results = [*evaluate_with_mixture(loaded.model, manifest, rows, **shared)]
    else:
        results = [evaluate_rows(loaded.model, manifest, rows, protocol=settings, per_image=per_image, **shared)]
        if gmm:
            results.append(evaluate_mixture(loaded.model, manifest, rows, options=options, **shared))
    images = hashlib.sha256("\n".join(sorted(row.image_id for row in rows)).encode()).hexdigest()[:16]
    records = [
        {
            "dataset": manifest.info.dataset, "split": split, "images_sha256": images,
            "manifest": name_from(folder, manifest.path), "weights": loaded.path.name,
            "epoch": loaded.info.best_epoch, **result.to_dict(),
        }
        for result in results
    ]  # fmt: skip
    if ranks.is_first:
        save_records(folder, records)
        if per_image:
            result = results[0]
            write_per_image(folder / PER_IMAGE_NAME, result.images, result.class_names, split, result.protocol)
    return records
