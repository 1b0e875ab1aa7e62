"""Time of clicks and scribbles with one worker, with two, and with ``--workers auto``.

    python benchmarks/workers.py cityscapes/ --images 21 210 1000

Each image of DATASET occurs as often as needed. The runs take turns, each in a process of its own, and are compared by
the medians of the clock; the CPU time of all processes together says what more workers cost.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from data_manifests import open_dataset
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.synthesize import synthesize

_ANNOTATORS: dict[str, Annotator] = {"points": ClickAnnotator((50,)), "scribbles": ScribbleAnnotator()}
_WORKERS = {"1": 1, "2": 2, "auto": None}


def annotate(root: Path, command: str, num_images: int, workers: str) -> None:
    dataset = open_dataset(root)
    copies = -(-num_images // len(dataset.items))
    items = [
        replace(item, image_id=f"{copy:05}-{item.image_id}", split="train")
        for copy in range(copies)
        for item in dataset.items
    ]
    many = replace(dataset, items=tuple(items[:num_images]))
    with tempfile.TemporaryDirectory() as out:
        synthesize(many, _ANNOTATORS[command], Path(out), workers=_WORKERS[workers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[210])
    parser.add_argument("--command", choices=_ANNOTATORS, default="points")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=_WORKERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        annotate(arguments.dataset, arguments.command, arguments.images[0], arguments.child)
        return
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    print("| images | workers | s | spread | times as fast | CPU s |\n| --- | --- | --- | --- | --- | --- |")
    for num_images in arguments.images:
        clock: dict[str, list[float]] = {workers: [] for workers in _WORKERS}
        cpu: dict[str, list[float]] = {workers: [] for workers in _WORKERS}
        for _ in range(arguments.repeats):
            for workers in _WORKERS:
                command = [sys.executable, __file__, str(arguments.dataset), "--command", arguments.command]
                before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
                subprocess.run([*command, "--images", str(num_images), "--child", workers], check=True)
                clock[workers].append(time.perf_counter() - start)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu[workers].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        for workers, times in clock.items():
            middle = statistics.median(times)
            cells = [f"{num_images:,}", workers, f"{middle:.1f}", f"{min(times):.1f} to {max(times):.1f}"]
            cells += [f"{statistics.median(clock['1']) / middle:.2f}", f"{statistics.median(cpu[workers]):.1f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
