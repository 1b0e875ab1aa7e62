"""Time of a training sample against the time of decoding its image alone, in one process on one thread.

    python benchmarks/loader.py sparse/cityscapes-50clicks/manifest.csv --crop-size 512 1024

Both are measured on the same images in turn, so that other work on the machine slows both. The aim for images of
1024x2048 is a whole sample (decode, scale 0.5 to 2, crop, mirror, labels) within 4 ms of the decoding.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import cv2

from agmm.config.data import Augmentation
from agmm.data.dataset import ManifestDataset
from data_manifests import read_manifest
from data_manifests.manifest.rows import read_row_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--crop-size", type=int, nargs=2, default=(512, 1024), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--samples", type=int, default=60, help="samples of each kind")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    manifest = read_manifest(arguments.manifest)
    rows = manifest.rows_of("train")
    crop_size = (arguments.crop_size[0], arguments.crop_size[1])
    kinds = {
        "clicks": ManifestDataset(manifest, rows, Augmentation(crop_size)),
        "clicks, label-aware crops": ManifestDataset(manifest, rows, Augmentation(crop_size, label_aware=True)),
        "clicks, photometric": ManifestDataset(manifest, rows, Augmentation(crop_size, photometric=True)),
    }
    if all(row.full_mask for row in rows):
        kinds["full masks"] = ManifestDataset(manifest, rows, Augmentation(crop_size), "full")
    decode: list[float] = []
    added: dict[str, list[float]] = {kind: [] for kind in kinds}
    for dataset in kinds.values():
        for index in range(len(rows)):
            dataset.labels(index)  # training reads them once, in the first epoch
    for number in range(arguments.samples):
        index = number % len(rows)
        start = perf_counter()
        read_row_image(manifest, rows[index])
        decode.append(perf_counter() - start)
        for kind, dataset in kinds.items():
            start = perf_counter()
            dataset[number, index]
            added[kind].append(perf_counter() - start - decode[-1])
    size = f"{rows[0].height}x{rows[0].width} to {crop_size[0]}x{crop_size[1]}"
    print(f"{size}, {arguments.samples} samples, ms: median (quarter to three quarters)")
    print(f"{'decode alone':46} {_summary(decode)}")
    for kind, seconds in added.items():
        print(f"{'added by a sample: ' + kind:46} {_summary(seconds)}")


def _summary(seconds: list[float]) -> str:
    low, _, high = quantiles(seconds, n=4)
    return f"{1000 * median(seconds):7.1f}  ({1000 * low:.1f} to {1000 * high:.1f})"


if __name__ == "__main__":
    main()
