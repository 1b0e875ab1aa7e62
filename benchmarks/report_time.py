"""Where the processor time of `agmm report` goes.

    OMP_NUM_THREADS=1 python benchmarks/report_time.py RUN... --manifest MANIFEST
    OMP_NUM_THREADS=1 python benchmarks/report_time.py RUN... --manifest MANIFEST --whole

Writes the report on one thread, several times, and prints the seconds of each part. With ``--whole``, it compares two
processes, imports and all: `agmm report`, and a script that loads the networks, reads the images and segments them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
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

#: All that a user of the networks pays for: imports, loading, reading the images, and the class of each pixel.
_NETWORKS_ALONE = """
import sys
from agmm.data.masked_images import image_tensor, to_network
from agmm.inference.protocols import evaluating
from agmm.memory import keep_freed_memory
from agmm.runs.checkpoint import load_run
from data_manifests import read_manifest, read_row_image

keep_freed_memory()
manifest = read_manifest(sys.argv[1])
models = [load_run(folder, "cpu").model for folder in sys.argv[2:]]
for row in manifest.rows:
    image = read_row_image(manifest, row)
    for model in models:
        with evaluating(model, "cpu"):
            model(to_network(image_tensor(image), "cpu")).logits[0].max(0).indices.numpy()
"""


def main() -> None:
    """Read the options, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="whole processes instead of parts")
    args = parser.parse_args()
    if args.whole:
        compare_processes(args.runs, args.manifest, args.repeats)
    else:
        time_parts(args)


def compare_processes(runs: list[Path], manifest: Path, repeats: int) -> None:
    """Time the command beside the networks alone, in turn; both take all images of the manifest."""
    alone, command = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as out:
            alone.append(_seconds_of(["-c", _NETWORKS_ALONE, str(manifest), *map(str, runs)]))
            options = ["--manifest", str(manifest), "--limit", "0", "--out", f"{out}/report"]
            command.append(_seconds_of(["-m", "agmm", "report", *map(str, runs), *options]))
    ratios = [whole / part for whole, part in zip(command, alone, strict=True)]
    print("| process | seconds |\n| --- | --- |")
    print(f"| the networks alone | {statistics.median(alone):.1f} ({min(alone):.1f}–{max(alone):.1f}) |")
    print(f"| `agmm report` | {statistics.median(command):.1f} ({min(command):.1f}–{max(command):.1f}) |")
    print(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}) |")


def _seconds_of(arguments: list[str]) -> float:
    """Seconds of the processor that a Python process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def time_parts(args: argparse.Namespace) -> None:
    """Write reports in this process, and print the seconds of each part."""
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
