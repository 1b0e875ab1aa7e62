"""Pseudo-labels: predictions of a network for its training images, as an annotation for the next network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agmm.config.training import PseudoClasses
from agmm.data.bands import with_bands
from agmm.data.masked_images import image_tensor, to_network
from agmm.data.soft_labels import SOFT, soft_labels_path, soften, write_soft_labels
from agmm.distributed import join_ranks
from agmm.inference.crf import refine
from agmm.inference.protocols import Protocol, evaluating
from agmm.runs.checkpoint import LoadedRun, load_run
from agmm.training.label_folder import annotation_name, begin, find_finished, finish
from data_manifests import LabelMap, Manifest, ManifestRow, __version__, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.masks import encode_label_map
from data_manifests.files.paths import inside, name_from
from data_manifests.manifest.rows import read_row_annotation, read_row_image
from data_manifests.manifest.schema import PSEUDO_LABELS

_ADVICE = "Delete them and the later stages to recreate them, or choose another --out."


def candidate_classes(
    sparse: LabelMap, unlabelled_value: int, num_classes: int, pseudo_classes: PseudoClasses = "labelled"
) -> NDArray[np.int64]:
    """Return the classes that the pseudo-labels of an image may contain, ascending.

    Args:
        sparse: The true labels, shape (H, W).
        unlabelled_value: Value of unlabelled pixels.
        num_classes: Number of classes.
        pseudo_classes: ``labelled``: the classes in ``sparse``, correct if every class of the image is annotated.
            ``all``: every class, for annotations that miss some, such as a few random clicks.
    """
    if pseudo_classes == "all":
        return np.arange(num_classes)
    return np.unique(sparse[sparse != unlabelled_value]).astype(np.int64)


def label_by_network(
    probs: Tensor,
    sparse: LabelMap,
    unlabelled_value: int,
    threshold: float = 0.0,
    candidates: NDArray[np.int64] | None = None,
) -> LabelMap:
    """Label every pixel with its most likely candidate class.

    Args:
        probs: Probabilities of all classes, shape (C, H, W).
        sparse: The true labels, shape (H, W); they are kept.
        unlabelled_value: Value of unlabelled pixels.
        threshold: Leave a pixel unlabelled if its best class has less than this share of the candidates' probability.
        candidates: Classes to choose from; by default those of the true labels.

    Returns:
        Train ids, shape (H, W); without candidates, all pixels stay unlabelled.
    """
    if candidates is None:
        candidates = candidate_classes(sparse, unlabelled_value, len(probs))
    if not len(candidates):
        return sparse.copy()
    classes = torch.from_numpy(candidates).to(probs.device)
    known = probs[classes]
    best, index = known.max(0)
    guess = classes[index].masked_fill(best < threshold * known.sum(0), unlabelled_value)
    return np.where(sparse != unlabelled_value, sparse, guess.cpu().numpy().astype(sparse.dtype))


def refine_among(image: Tensor, probs: Tensor, candidates: NDArray[np.int64]) -> Tensor:
    """Refine the probabilities of the candidate classes with a dense CRF over these classes alone.

    Args:
        image: RGB in 0..1, float32, shape (3, H, W).
        probs: Probabilities of all classes, shape (C, H, W).
        candidates: The candidate classes.

    Returns:
        Probabilities of all classes, shape (C, H, W); 0 for classes that are not candidates.
    """
    classes = torch.from_numpy(candidates).to(probs.device)
    known = probs[classes]
    known = known / known.sum(0).clamp(min=torch.finfo(known.dtype).tiny)
    refined = torch.zeros_like(probs)
    if len(classes):
        refined[classes] = refine(image[None], known[None])[0]
    return refined


def write_pseudo_labels(
    run: Path,
    manifest: Manifest,
    out_dir: Path,
    *,
    protocol: Protocol,
    threshold: float = 0.0,
    soft: bool = False,
    pseudo_classes: PseudoClasses = "labelled",
    device: str = "auto",
    amp: bool = False,
    overwrite: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> Manifest:
    """Label the training images of a run with its own network, and write them as an ordinary annotation.

    The folder appears only when it is complete; interrupted calls resume. Under torchrun, each process takes a share of
    the images.

    Args:
        run: Run folder.
        manifest: The manifest it was trained on, whose labels are kept.
        out_dir: Folder for ``manifest.csv``, ``manifest.json`` and ``annotations/``. ``manifest.json`` records the
            checkpoint.
        protocol: How to segment images. A dense CRF uses only the candidate classes.
        threshold: See :func:`label_by_network`.
        soft: Also write the network's probabilities (see ``agmm.data.soft_labels``), as the target of runs on this
            manifest.
        pseudo_classes: See :func:`candidate_classes`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        amp: Compute in bfloat16.
        overwrite: Replace existing pseudo-labels of another network or other settings.
        on_image: Called after each image of this process.

    Raises:
        DataError: If the run cannot be loaded, its classes differ, a file cannot be read, the folder holds something
            else, or another process is writing these pseudo-labels.
        ValueError: If the threshold is out of range, or ``pseudo_classes`` unknown.
    """
    if pseudo_classes not in get_args(PseudoClasses):
        raise ValueError(f"Unknown pseudo_classes '{pseudo_classes}'. Choose from: labelled, all.")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}.")
    ranks = join_ranks(device)
    loaded = load_run(run, ranks.device)
    loaded.info.require_classes(manifest.label_space, manifest.path)
    split = loaded.info.config.train_split
    settings = _provenance(loaded, manifest, out_dir, protocol, threshold)
    # Omitted, so that the settings equal those of folders that older versions wrote.
    if soft:
        settings[SOFT] = True
    if pseudo_classes != "labelled":
        settings["pseudo_classes"] = pseudo_classes
    info = replace(manifest.info, command=PSEUDO_LABELS, settings=settings, tool_version=__version__)
    if (found := find_finished(out_dir, settings, overwrite, "pseudo-labels", _ADVICE)) is not None:
        return found
    ranks.wait()
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    lock = FolderLock(partial)
    try:
        if ranks.is_first:
            lock.acquire(out_dir)
            begin(partial, settings)
        ranks.wait()
        rows = [row for row in manifest.rows_of(split) if row.annotation]
        label = _Labeller(
            loaded.model,
            with_bands(manifest, loaded.info.config),
            ranks.device,
            protocol,
            threshold,
            soft,
            pseudo_classes,
        )
        with evaluating(loaded.model, ranks.device, amp):
            for row in rows[ranks.rank :: ranks.num_ranks]:
                path = inside(partial, annotation_name(row))
                if not path.exists():
                    label.write(row, path)
                on_image()
        ranks.wait()
        if ranks.is_first:
            finish(manifest, info, {row.image_id for row in rows}, partial, out_dir)
    finally:
        lock.release()
    ranks.wait()
    return read_manifest(out_dir)


@dataclass(frozen=True)
class _Labeller:
    """Writes the pseudo-labels of one image; see :func:`write_pseudo_labels` for the settings."""

    model: nn.Module
    manifest: Manifest
    device: torch.device
    protocol: Protocol
    threshold: float
    soft: bool
    pseudo_classes: PseudoClasses

    def write(self, row: ManifestRow, path: Path) -> None:
        unlabelled_value = self.manifest.label_space.unlabelled_value
        sparse, image = read_row_annotation(self.manifest, row), read_row_image(self.manifest, row)
        sample = to_network(image_tensor(image), self.device)
        probs = replace(self.protocol, crf=False).predict(self.model, sample)[0]
        candidates = candidate_classes(sparse, unlabelled_value, len(probs), self.pseudo_classes)
        if self.protocol.crf:
            probs = refine_among(sample[0], probs, candidates)
        if self.soft:
            write_soft_labels(soft_labels_path(path), soften(probs, sparse, unlabelled_value, candidates))
        labels = label_by_network(probs, sparse, unlabelled_value, self.threshold, candidates)
        write_atomically(path, encode_label_map(labels, self.manifest.label_space))


def _provenance(
    loaded: LoadedRun, manifest: Manifest, out_dir: Path, protocol: Protocol, threshold: float
) -> dict[str, Any]:
    """Describe the labelling network and the annotation it was trained on, for ``manifest.json``."""
    return {
        "checkpoint": name_from(out_dir, loaded.path),
        "checkpoint_sha256": hashlib.sha256(loaded.path.read_bytes()).hexdigest(),
        "epoch": loaded.info.best_epoch,
        "split": loaded.info.config.train_split,
        "protocol": str(protocol),
        "threshold": threshold,
        "source": name_from(out_dir, manifest.path),
        "source_sha256": manifest.sha256(),
        "source_command": manifest.info.command,
        "source_settings": dict(manifest.info.settings),
    }
