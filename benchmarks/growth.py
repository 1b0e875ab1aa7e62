"""How the cost of clicks and scribbles grows with images, pixels, classes and clicks: a table and four small plots.

    python benchmarks/growth.py --out docs/_static/growth.png

Made-up street scenes, and squares for the classes, so that every machine measures the same. All points are measured in
turn, several times, and the least CPU time counts, since other work on the machine only adds to it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_manifests import Dataset, open_dataset
from data_manifests.figures.style import save_figure, styled
from data_manifests.files.masks import read_mask
from sparsekit import annotate
from sparsekit.demo_data.dataset import DemoSettings, write_demo_data
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.synthesize import synthesize

_ANNOTATORS: dict[str, Annotator] = {"20 clicks": ClickAnnotator((20,)), "scribbles": ScribbleAnnotator()}
_SIDE = 32
#: The call to measure, by how much there is of what grows.
_Line = dict[int, Callable[[], object]]


def over_images(dataset: Dataset, annotator: Annotator, num_images: int) -> None:
    copies = -(-num_images // len(dataset.items))
    items = [replace(item, image_id=f"{copy}-{item.image_id}") for copy in range(copies) for item in dataset.items]
    with tempfile.TemporaryDirectory() as out:
        synthesize(replace(dataset, items=tuple(items[:num_images])), annotator, out)


def squares(num_classes: int) -> NDArray[np.uint8]:
    """A mask of 1024x512 with squares of the classes in turn, and void between them: as many regions for any number."""
    rows, cols = 512 // _SIDE, 1024 // _SIDE
    classes = np.arange(rows * cols).reshape(rows, cols) % num_classes
    mask = np.repeat(np.repeat(classes, _SIDE, 0), _SIDE, 1).astype(np.uint8)
    mask[::_SIDE] = mask[:, ::_SIDE] = 255
    return mask


def measurements(dataset: Dataset) -> dict[str, dict[str, _Line]]:
    """The measurements: by what grows, by line of its plot, by how much there is of it."""
    mask = dataset.label_space.to_train_ids(read_mask(dataset.items[0].mask_path), dataset.encoding)
    scenes = {
        factor * factor * mask.size: np.repeat(np.repeat(mask, factor, 0), factor, 1) for factor in (1, 2, 3, 4, 6)
    }
    by_classes = {number: squares(number) for number in (2, 20, 50, 100, 200)}
    large = scenes[16 * mask.size]
    return {
        "images": {
            name: {number: partial(over_images, dataset, annotator, number) for number in (10, 25, 50, 100)}
            for name, annotator in _ANNOTATORS.items()
        },
        "pixels": {
            "20 clicks": {size: partial(annotate, scene, clicks=20) for size, scene in scenes.items()},
            "scribbles": {size: partial(annotate, scene, scribbles=1) for size, scene in scenes.items()},
        },
        "classes": {
            "20 clicks": {number: partial(annotate, mask, clicks=20) for number, mask in by_classes.items()},
            "scribbles": {number: partial(annotate, mask, scribbles=1) for number, mask in by_classes.items()},
        },
        "clicks": {
            "clicks": {number: partial(annotate, large, clicks=number) for number in (10, 1000, 2000, 5000, 10000)}
        },
    }


def least_seconds(wanted: dict[str, dict[str, _Line]], repeats: int) -> dict[tuple[str, str, int], float]:
    calls = {
        (what, name, number): call
        for what, lines in wanted.items()
        for name, line in lines.items()
        for number, call in line.items()
    }
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for key, call in calls.items():
            start = time.process_time()
            call()
            least[key] = min(least[key], time.process_time() - start)
    return least


def draw(wanted: dict[str, dict[str, _Line]], least: dict[tuple[str, str, int], float]) -> Figure:
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (what, lines) in zip(figure.subplots(1, len(wanted)), wanted.items(), strict=True):
        for name, line in lines.items():
            axes.plot([*line], [least[what, name, n] for n in line], marker="o", markersize=3, label=name)
        axes.set(xlabel=what, xlim=(0, None), ylim=(0, None))
        axes.legend()
    figure.axes[0].set_ylabel("CPU time in seconds")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the plots, as PNG, PDF or SVG")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_demo_data(Path(folder, "town"), DemoSettings(10, 512, 256))
        dataset = open_dataset(Path(folder, "town"))
        dataset = replace(dataset, items=tuple(replace(item, split="train") for item in dataset.items))
        wanted = measurements(dataset)
        least = least_seconds(wanted, arguments.repeats)
    print("| what grows | annotation | least: CPU ms | most: CPU ms | times as many | times as long |")
    print("| --- | --- | --- | --- | --- | --- |")
    for what, lines in wanted.items():
        for name, line in lines.items():
            few, many = min(line), max(line)
            short, long = least[what, name, few], least[what, name, many]
            cells = [what, name, f"{few:,}: {1000 * short:.1f}", f"{many:,}: {1000 * long:.1f}"]
            print(f"| {' | '.join(cells)} | {many / few:.0f} | {long / short:.1f} |")
    with styled():
        save_figure(draw(wanted, least), [arguments.out])


if __name__ == "__main__":
    main()
