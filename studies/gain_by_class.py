"""Which classes does a way of training help: thin or thick ones, rare or frequent ones?

    python studies/gain_by_class.py MANIFEST runs/few-clicks --split val

MANIFEST names the full masks of the split, the folder holds a study by `agmm ablate`. The classes are parted into three
groups of about equal number, by thickness and by the share of images that hold them. Prints the mean IoU in % of the
baseline in each group, and what each setting adds to it with the same seed, both as means over the seeds.

The thickness of a class is the median, over images, of the diameter of the largest disc in its largest region.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_manifests import Manifest, read_manifest
from data_manifests.manifest.rows import read_row_full_mask

_GROUPS = 3


def thickness(mask: NDArray[np.bool_]) -> float:
    """Diameter in pixels of the largest disc in the largest region of a mask of shape (height, width)."""
    inside = np.pad(mask, 1)
    regions, count = ndimage.label(inside)
    largest = 1 + np.argmax(ndimage.sum(inside, regions, range(1, count + 1)))
    return 2 * float(ndimage.distance_transform_edt(inside)[regions == largest].max()) - 1  # a line of one pixel: 1


def measure(manifest: Manifest, split: str) -> tuple[dict[int, float], dict[int, float]]:
    """Thickness of each class in pixels, and the share of images in per cent that hold it."""
    rows = [row for row in manifest.rows_of(split) if row.full_mask]
    found = defaultdict(list)
    for row in rows:
        mask = read_row_full_mask(manifest, row)
        for number in np.unique(mask[mask < manifest.label_space.num_classes]):
            found[int(number)].append(thickness(mask == number))
    return (
        {number: statistics.median(values) for number, values in found.items()},
        {number: 100 * len(values) / len(rows) for number, values in found.items()},
    )


def read_ious(study: Path, split: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """IoU of each class in per cent by setting and seed, of settings with one stage."""
    ious: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(dict)
    with (study / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["stages"] == "1"]
    for row in rows:
        results = json.loads((study / row["run"] / "evaluation.json").read_text(encoding="utf-8"))["results"]
        classes = next(r["classes"] for r in results if (r["split"], r["protocol"]) == (split, row["protocol"]))
        ious[row["setting"]][row["seed"]] = np.array([np.nan if c["iou"] is None else 100 * c["iou"] for c in classes])
    return ious


def parted(of: dict[int, float], name: str) -> dict[str, NDArray[np.int64]]:
    """The classes in groups of about equal number, by name, in rising order of a measure."""
    groups = np.array_split(sorted(of, key=of.__getitem__), _GROUPS)
    return {
        f"{len(group)} classes, {name.format(f'{of[group[0]]:.0f}', f'{of[group[-1]]:.0f}')}": group for group in groups
    }


def table(ious: dict[str, dict[str, NDArray[np.float64]]], baseline: str, groups: dict[str, NDArray[np.int64]]) -> str:
    """A row for each setting, a column for each group of classes."""
    base = ious[baseline]

    def line(name: str, *cells: str) -> str:
        return f"| {' | '.join([name, *cells])} |"

    means = [np.mean([values[group].mean() for values in base.values()]) for group in groups.values()]
    lines = [line("setting", "seeds", *groups), f"|{' --- |' * (2 + len(groups))}"]
    lines.append(line(baseline, str(len(base)), *(f"{mean:.1f}" for mean in means)))
    for name in [name for name in ious if name != baseline]:
        seeds = ious[name].keys() & base.keys()
        gains = [np.mean([(ious[name][s] - base[s])[group].mean() for s in seeds]) for group in groups.values()]
        lines.append(line(name, str(len(seeds)), *(f"{gain:+.1f}" for gain in gains)))
    return "\n".join(lines)


def main() -> None:
    """Read the command line, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--baseline", default="L_seg", help="row to compare with (L_seg)")
    args = parser.parse_args()
    thick, shares = measure(read_manifest(args.manifest), args.split)
    groups = {**parted(thick, "{} to {} px thick"), **parted(shares, "in {} to {} % of images")}
    print(table(read_ious(args.study, args.split), args.baseline, groups))


if __name__ == "__main__":
    main()
