"""Where the time of `agmm evaluate` goes, and what reading threads and processes save.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py RUN MANIFEST

Prints CPU time by part, with boundary IoU and scores of single images, all on one thread. Then evaluates with the
command itself: with one and two reading threads in one process, and under torchrun in two, which share the images. All
must write the same bytes. Their times by the clock need a machine without other work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from parts import Parts

from agmm.data import masked_images
from agmm.data.masked_images import MaskedImage
from agmm.evaluation import evaluate
from agmm.evaluation.metrics import BoundaryIoU, ConfusionMatrix
from agmm.inference import protocols
from agmm.memory import keep_freed_memory
from agmm.models.network import SegmentationModel
from agmm.runs.checkpoint import load_run
from data_manifests import Manifest, ManifestRow, read_manifest

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
WAYS = {"--workers 1": ((), "1"), "--workers 2": ((), "2"), "torchrun, two processes": (TORCHRUN, "1")}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--limit", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("parts", "ways"))
    args = parser.parse_args()
    if args.only != "ways":
        time_parts(args)
    if args.only != "parts":
        time_ways(args)


def time_parts(args: argparse.Namespace) -> None:
    """CPU time of each part per image."""
    keep_freed_memory()  # as the commands do
    torch.set_num_threads(1)
    manifest = read_manifest(args.manifest)
    rows = manifest.rows_of(args.split)[: args.limit]
    model = load_run(args.run, torch.device("cpu")).model
    parts = Parts()
    parts.time("network", SegmentationModel, "forward")
    parts.time("probabilities", protocols, "probs_of")
    parts.time("reading the image and its mask", masked_images, "_read")
    parts.time("most likely classes", evaluate._Counts, "add")
    parts.time("pixels by class", ConfusionMatrix, "update")
    parts.time("pixels near borders", BoundaryIoU, "update")

    def read_here(manifest: Manifest, rows: Sequence[ManifestRow], workers: int) -> Iterator[MaskedImage]:
        return (masked_images._read(manifest, row) for row in rows)

    setattr(evaluate, "read_masked_images", read_here)  # noqa: B010 # without threads, whose time would count elsewhere
    for _ in range(args.repeats + 1):
        parts.end_round()
        evaluate.evaluate_rows(model, manifest, rows, boundary=True, per_image=True)
    parts.end_round()
    rounds = parts.rounds[2:]
    print("| part | CPU ms per image | share |\n| --- | --- | --- |")
    for name in sorted(rounds[0], key=lambda name: -rounds[0][name]):
        values = [1000 * one[name] / len(rows) for one in rounds]
        share = 100 * statistics.median(one[name] / sum(one.values()) for one in rounds)
        print(f"| {name} | {statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f}) | {share:.1f} % |")
    print()


def time_ways(args: argparse.Namespace) -> None:
    """Time by the clock and of the processor of whole commands, in turn."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    words = [str(args.run.resolve()), str(args.manifest.resolve()), "--split", args.split, "--limit", str(args.limit)]
    with tempfile.TemporaryDirectory() as folder:
        written = set()
        for repeat in range(args.repeats):
            for number, (name, (launcher, workers)) in enumerate(WAYS.items()):
                out = Path(folder, f"{number}-{repeat}")
                options = ["--boundary", "--per-image", "--device", "cpu", "--workers", workers, "--out", str(out)]
                begin, used = time.perf_counter(), sum(os.times()[2:4])
                command = [sys.executable, *launcher, "-m", "agmm", "evaluate", *words, *options]
                subprocess.run(command, check=True, capture_output=True)
                times[name].append((time.perf_counter() - begin, sum(os.times()[2:4]) - used))
                written.add(tuple(path.read_bytes() for path in sorted(out.iterdir())))
    print(f"The files are {'the same' if len(written) == 1 else 'DIFFERENT'}.\n")
    print("| evaluation | s | spread | CPU s |\n| --- | --- | --- | --- |")
    for name, of_way in times.items():
        clock, processor = zip(*of_way, strict=True)
        middle, used = statistics.median(clock), statistics.median(processor)
        print(f"| {name} | {middle:.1f} | {min(clock):.1f} to {max(clock):.1f} | {used:.1f} |")


if __name__ == "__main__":
    main()
