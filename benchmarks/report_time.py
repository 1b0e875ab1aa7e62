"""Where the processor time of `agmm report` goes.

    OMP_NUM_THREADS=1 python benchmarks/report_time.py RUN... --manifest MANIFEST

Writes the report on one thread, several times, and prints the seconds of each part.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from parts import Parts

import agmm.report.folder as folder
import agmm.report.predictions as predictions
import agmm.report.tsne as tsne
from agmm.memory import keep_freed_memory
from agmm.models.network import SegmentationModel
from agmm.report.images import choose_rows
from agmm.report.page import PageImages
from agmm.report.runs import read_runs
from data_manifests import read_manifest


def main() -> None:
    """Write reports, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    keep_freed_memory()  # as the commands do
    torch.set_num_threads(1)
    owners: list[tuple[str, Any, str]] = [
        ("networks", SegmentationModel, "forward"),
        ("mixture", predictions, "_fit"),
        ("reading files", predictions, "read_images"),
        ("images of the page", PageImages, "add"),
        ("t-SNE", tsne, "lay_out"),
        ("drawing figures", folder._FolderFigures, "draw"),
    ]
    parts = Parts()
    for part, owner, name in owners:
        parts.time(part, owner, name)
    manifest = read_manifest(args.manifest)
    runs = read_runs(args.runs)
    rows = choose_rows(manifest, ["val", "train"], args.limit)
    parts.end_round()
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as out:
            folder.write_report(runs, manifest, rows, Path(out))
        parts.end_round()
    rounds = parts.rounds[1:]
    seconds = {name: [one[name] for one in rounds] for name in rounds[-1]}
    seconds["all"] = [sum(one.values()) for one in rounds]
    print("| part | seconds | times the networks |\n| --- | --- | --- |")
    for name in sorted(seconds, key=lambda name: -statistics.median(seconds[name])):
        own = seconds[name]
        beside = statistics.median(part / networks for part, networks in zip(own, seconds["networks"], strict=True))
        print(f"| {name} | {statistics.median(own):.1f} ({min(own):.1f}–{max(own):.1f}) | {beside:.2f} |")


if __name__ == "__main__":
    main()
