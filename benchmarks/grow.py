"""CPU time to grow the labels of each image of a manifest; run with OMP_NUM_THREADS=1."""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

from data_manifests import read_manifest
from data_manifests.files.masks import encode_label_map
from sparsekit.annotated_images import annotated_images
from sparsekit.grow.methods import METHODS, GrowSettings, grow_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, help="Use only the first N rows.")
    args = parser.parse_args()
    manifest = read_manifest(args.manifest)
    manifest = replace(manifest, rows=manifest.rows[: args.limit])
    print("| method | CPU s per image, median | spread |\n| --- | --- | --- |")
    for method in METHODS:
        seconds = []
        for image in annotated_images(manifest, with_marks=False):
            for _ in range(args.repeats):
                start = time.process_time()
                sparse, pixels = image.read_annotation(), image.read_image()
                grown = grow_labels(sparse, pixels, image.label_space.unlabelled_value, GrowSettings(method))
                encode_label_map(grown, image.label_space)
                seconds.append(time.process_time() - start)
        print(f"| {method} | {statistics.median(seconds):.2f} | {min(seconds):.2f} to {max(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
