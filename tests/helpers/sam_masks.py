"""Masks for the prompts of an export to Segment Anything, as the model would return them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def write_masks(folder: Path, seed: int = 0, num_masks: int = 3) -> dict[str, dict[str, np.ndarray]]:
    """Write ``masks/`` of random blocks with random scores beside ``prompts/``; returns the arrays by name of image."""
    rng = np.random.default_rng(seed)
    written = {}
    for path in sorted((folder / "prompts").rglob("*.json")):
        data = json.loads(path.read_text())
        arrays = {}
        for kind, names in data["classes"].items():
            masks = np.zeros((len(names), num_masks, data["height"], data["width"]), bool)
            for mask in masks.reshape(-1, *masks.shape[2:]):
                top, left = rng.integers(0, mask.shape[0]), rng.integers(0, mask.shape[1])
                mask[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = True
            arrays[f"{kind}_masks"] = masks
            arrays[f"{kind}_scores"] = rng.choice([0.2, 0.5, 0.9], masks.shape[:2]).astype(np.float32)
        name = path.relative_to(folder / "prompts").with_suffix("").as_posix()
        target = folder / f"masks/{name}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(target, **arrays)
        written[name] = arrays
    return written
