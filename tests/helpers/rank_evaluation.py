"""What each rank does in the test of evaluation over several processes; apart, so that a process imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from agmm.evaluation.evaluate import evaluate_rows
from data_manifests import read_manifest


class Output(NamedTuple):
    logits: Tensor


class ColorClassifier(nn.Module):
    """Scores each pixel by its own colour."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, num_classes, 1)

    def forward(self, images: Tensor) -> Output:
        return Output(self.conv(images))


def evaluate_all(manifest_path: Path, *, ranks: bool) -> dict[str, Any]:
    """Scores of all rows of a manifest of four classes, and counts of each image."""
    manifest = read_manifest(manifest_path)
    options = {"distributed": ranks, "boundary": True, "per_image": True}
    result = evaluate_rows(ColorClassifier(4), manifest, manifest.rows, **options)
    images = {image.image_id: [image.true.tolist(), image.right.tolist()] for image in result.images}
    return result.to_dict() | {"images": images}


def evaluate_as_rank(rank: int, num_ranks: int, port: int, folder: Path, manifest_path: Path) -> None:
    """Join the others and save what this rank found."""
    torch.set_num_threads(1)
    # As with torchrun; with torch 2.4, a rank that joined by a file sometimes never ended.
    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=num_ranks)
    try:
        torch.save(evaluate_all(manifest_path, ranks=True), folder / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()
