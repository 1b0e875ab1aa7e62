"""Assign the images of a manifest to new splits: by image, by group, or stratified by class."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_manifests.errors import ManifestError
from data_manifests.manifest.derive import Derived, derive_manifest, hash_order
from data_manifests.manifest.rows import read_row_full_mask
from data_manifests.manifest.schema import Manifest, ManifestRow
from data_manifests.manifest.split_settings import DEFAULT_GROUP, By

#: Number of group orders to try, because large groups may not add up to the requested shares.
_ATTEMPTS = 32


def split_manifest(
    source: Manifest,
    out_dir: str | Path,
    shares: Mapping[str, float],
    *,
    by: By = "image",
    group_pattern: str = DEFAULT_GROUP,
    split: str | None = None,
    seed: int = 0,
    workers: int = 1,
) -> Derived:
    """Derive a manifest whose images are in new splits.

    Args:
        source: The manifest.
        out_dir: Folder of the new manifest.
        shares: Share of the images for each new split, such as ``{"val": 0.2}``; the rest is ``train``.
        by: ``image``: each image on its own. ``group``: images of a group stay together. ``class``: each class of the
            full masks (or of the annotation, if a row has no full mask) is distributed as evenly as possible.
        group_pattern: Regular expression; its match at the start of an image id is the group's name.
        split: Distribute only the images of this split; the others keep theirs.
        seed: Seed of the random assignment.
        workers: Threads that read full masks; the result is the same.

    Raises:
        DataError: If the split has no rows, an image id has no group, or a full mask cannot be read.
        ValueError: If shares are not between 0 and 1 or, with ``train``, do not add up to 1, or the pattern is not a
            regular expression.
    """
    targets = _targets(shares)
    rows = source.rows_of(split)
    if by == "class":
        chosen = _by_class(source, rows, targets, seed, workers)
    elif by == "group":
        chosen = _by_group(_groups(rows, group_pattern), targets, seed, _ATTEMPTS)
    else:
        chosen = _by_group({row.image_id: [row] for row in rows}, targets, seed, 1)
    settings = {"by": by, "shares": dict(sorted(shares.items())), "split": split, "seed": seed}
    if by == "group":
        settings["group_pattern"] = group_pattern
    new_rows = [replace(row, split=chosen.get(row.image_id, row.split)) for row in source.rows]
    return derive_manifest(source, new_rows, out_dir, {"command": "split", **settings})


def _targets(shares: Mapping[str, float]) -> dict[str, float]:
    rest = 1.0 - sum(shares.values())
    given = ", ".join(f"{split} {share:g}" for split, share in shares.items()) or "none"
    if not shares or not rest >= -1e-9 or not all(share > 0 for share in shares.values()):
        raise ValueError(f"shares must be above 0 and add up to at most 1, got {given}.")
    if "train" in shares and rest > 1e-9:
        raise ValueError(f"shares of all splits, train among them, must add up to 1, got {given}.")
    return {"train": rest, **shares}


def _groups(rows: Sequence[ManifestRow], pattern: str) -> dict[str, list[ManifestRow]]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group pattern {pattern!r} is not a regular expression ({error}).") from error
    groups: dict[str, list[ManifestRow]] = defaultdict(list)
    for row in rows:
        if not (match := compiled.match(row.image_id)):
            raise ManifestError(f"Image id '{row.image_id}' does not start with the group pattern {pattern!r}.")
        groups[match.group()].append(row)
    return groups


def _by_group(
    groups: Mapping[str, Sequence[ManifestRow]], targets: Mapping[str, float], seed: int, attempts: int
) -> dict[str, str]:
    """Assign groups in random order, each to the split that lacks the most images; keep the best of several orders."""
    total = sum(map(len, groups.values()))
    best: tuple[float, dict[str, str]] = (math.inf, {})
    for attempt in range(attempts):
        lacking = {split: share * total for split, share in targets.items()}
        chosen = {}
        for name in sorted(groups, key=lambda name: hash_order(seed, f"{attempt} {name}")):
            chosen[name] = max(lacking, key=lambda split: lacking[split])
            lacking[chosen[name]] -= len(groups[name])
        best = min(best, (sum(map(abs, lacking.values())), chosen), key=lambda found: found[0])
    return {row.image_id: best[1][name] for name, rows in groups.items() for row in rows}


def _by_class(
    source: Manifest, rows: Sequence[ManifestRow], targets: Mapping[str, float], seed: int, workers: int
) -> dict[str, str]:
    """Iterative stratification: the rarest class first, each of its images to the split that lacks the class most.

    References:
        Sechidis et al., "On the stratification of multi-label data", ECML PKDD 2011.
    """
    with ThreadPoolExecutor(workers) as pool:
        classes = dict(zip([r.image_id for r in rows], pool.map(lambda r: _classes(source, r), rows), strict=True))
    waiting = sorted(classes, key=lambda image_id: hash_order(seed, image_id))
    totals = Counter(c for image_id in waiting for c in classes[image_id])
    lacking = {(split, c): share * count for split, share in targets.items() for c, count in totals.items()}
    lacking_images = {split: share * len(waiting) for split, share in targets.items()}
    left = totals.copy()
    chosen: dict[str, str] = {}
    while len(chosen) < len(waiting):
        rarest = min((c for c in left if left[c]), key=lambda c: (left[c], c), default=None)
        for image_id in [i for i in waiting if i not in chosen and (rarest is None or rarest in classes[i])]:
            lacking_class = {s: 0.0 if rarest is None else lacking[s, rarest] for s in targets}
            split = max(targets, key=lambda s: (lacking_class[s], lacking_images[s]))
            chosen[image_id] = split
            lacking_images[split] -= 1
            for c in classes[image_id]:
                lacking[split, c] -= 1
                left[c] -= 1
    return chosen


def _classes(source: Manifest, row: ManifestRow) -> tuple[int, ...]:
    if not row.full_mask:
        return row.classes_labelled
    counts = np.bincount(read_row_full_mask(source, row).ravel(), minlength=source.label_space.num_classes)
    return tuple(np.flatnonzero(counts[: source.label_space.num_classes]).tolist())
