"""A dask cluster: what it costs here per image, and what 8 and 64 machines would take for a million images.

    pip install 'sparsekit-agmm[dask]'
    python benchmarks/cluster.py cityscapes/

The first table is measured on local clusters of one and two workers: clicks on the images of DATASET, each many times.
"hub" is the process that holds scheduler and client, hands out images and records results; what it takes for tasks that
do nothing is the overhead per task. The second table is a simulation of `sparsekit points --dask` that assumes:

- a hub that handles one image after the other, each for the overhead per task at least, and for the CPU time measured
  per image at most, which includes waiting for slow workers; it lets tasks wait as ``data_manifests.parallel`` does,
  32 per worker, until the oldest is done;
- machines with 16 workers each, as fast as a processor here, and each image for the CPU time of one of the measured;
- storage and network that never wait, no machine that fails, and workers that have started.
"""

from __future__ import annotations

import argparse
import heapq
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from data_manifests import Dataset, open_dataset
from data_manifests.parallel import map_in_order
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.synthesize import synthesize

_ANNOTATORS: dict[str, Annotator] = {"20 clicks": ClickAnnotator((20,)), "scribbles": ScribbleAnnotator()}
_WINDOW = 32
_WORKERS_OF_A_MACHINE = 16
_MILLION = 1_000_000


def nothing(number: int) -> int:
    return number


def seconds_by_image(dataset: Dataset, annotator: Annotator) -> list[float]:
    """CPU time of each image in one process; one image before them imports what all need."""
    seconds = []
    for item in (dataset.items[0], *dataset.items):
        with tempfile.TemporaryDirectory() as out:
            start = time.process_time()
            synthesize(replace(dataset, items=(item,)), annotator, out)
            seconds.append(time.process_time() - start)
    return seconds[1:]


def hub_seconds(function: Callable[[], object]) -> tuple[float, float]:
    """CPU time of this process and time by the clock that a call takes."""
    start, clock = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - start, time.perf_counter() - clock


def measure(dataset: Dataset, workers: int, num_images: int) -> tuple[float, float]:
    """Print one row of the table, and return the hub's seconds per empty task and per image."""
    copies = -(-num_images // len(dataset.items))
    items = [replace(item, image_id=f"{copy}-{item.image_id}") for copy in range(copies) for item in dataset.items]
    many = replace(dataset, items=tuple(items[:num_images]))
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        tempfile.TemporaryDirectory() as out,
    ):
        list(map_in_order(nothing, range(100), dask=cluster.scheduler_address))  # workers import what they need
        dask = cluster.scheduler_address
        empty, _ = hub_seconds(lambda: list(map_in_order(nothing, range(num_images), dask=dask)))
        busy, clock = hub_seconds(lambda: synthesize(many, _ANNOTATORS["20 clicks"], out, dask=dask))
    least, most = empty / num_images, busy / num_images
    print(f"| {workers} | {num_images:,} | {clock:.1f} | {1000 * least:.1f} | {1000 * most:.1f} |", flush=True)
    return least, most


def simulate(seconds: Sequence[float], workers: int, per_image: float) -> float:
    """Seconds that a cluster takes for a million images; see the assumptions above."""
    costs = np.random.default_rng(0).choice(seconds, _MILLION).tolist()
    free = [0.0] * workers
    waiting: deque[float] = deque()
    hub = 0.0
    for cost in costs:
        if len(waiting) == _WINDOW * (workers + 1):
            hub = max(hub, waiting.popleft())
        hub += per_image
        end = max(heapq.heappop(free), hub) + cost
        heapq.heappush(free, end)
        waiting.append(end)
    return max(free)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="tasks to measure (1000)")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    dataset = replace(dataset, items=tuple(replace(item, split="train") for item in dataset.items))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    print("| workers | images | s | CPU ms of the hub per empty task | CPU ms of the hub per image |")
    print("| --- | --- | --- | --- | --- |")
    (least, most), _ = [measure(dataset, workers, arguments.images) for workers in (1, 2)]
    print("\n| annotation | CPU ms per image | machines | workers | minutes | minutes by shards |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, annotator in _ANNOTATORS.items():
        seconds = seconds_by_image(dataset, annotator)
        mean = sum(seconds) / len(seconds)
        for machines in (1, 8, 64):
            workers = machines * _WORKERS_OF_A_MACHINE
            low, high = (simulate(seconds, workers, hub) / 60 for hub in (least, most))
            cells = [name, f"{1000 * mean:.1f}", machines, f"{workers:,}", f"{low:.0f} to {high:.0f}"]
            print(f"| {' | '.join(map(str, cells))} | {_MILLION * mean / workers / 60:.1f} |", flush=True)


if __name__ == "__main__":
    main()
