"""Time of making annotations beside decoding masks and encoding results alone.

    python benchmarks/annotations.py cityscapes/

DATASET is any folder that `sparsekit points` reads; real masks are best, `sparsekit demo-data` makes some. All rows of
a table are measured in turn in one process, several times, and compared by their medians; single processes by the CPU
time that they take, since that bears other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from parts import Parts

from data_manifests import Dataset, DatasetItem, LabelMap, LabelSpace, open_dataset
from data_manifests.files.masks import encode_label_map, read_mask
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.clicks import draw, strategies
from sparsekit.clicks.settings import ClickSettings
from sparsekit.geometry.rasterize import rasterize
from sparsekit.geometry.regions import find_regions
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.trace import trace_scribbles
from sparsekit.synthesis import annotation_files
from sparsekit.synthesis import synthesize as synthesis
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, RegionMarkAnnotator, ScribbleAnnotator, Subject
from sparsekit.synthesis.output_folder import OutputFolder
from sparsekit.synthesis.synthesize import synthesize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=7, help="images to work on (7)")
    parser.add_argument("--repeats", type=int, default=7, help="times that everything is measured (7)")
    parser.add_argument("--only", choices=("whole", "parts"), help="whole commands alone, or their parts alone")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.dataset)
    dataset = replace(dataset, items=tuple(replace(i, split="train") for i in dataset.items[: arguments.images]))
    height, width = read_mask(dataset.items[0].mask_path).shape
    print(f"{len(dataset.items)} images of {width}x{height}, {os.cpu_count()} cores, {arguments.repeats} repeats\n")
    if arguments.only != "parts":
        compare_with_decoding(dataset, arguments.repeats)
    if arguments.only != "whole":
        time_parts(dataset, arguments.repeats)
    if arguments.only is None:
        time_scribbles(dataset, arguments.repeats)


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def repeated(dataset: Dataset, copies: int) -> Dataset:
    """The images of a dataset many times over, under different ids."""
    items = (replace(i, image_id=f"{c}_{i.image_id}") for c in range(copies) for i in dataset.items)
    return replace(dataset, items=tuple(sorted(items, key=lambda item: item.image_id)))


def compare_with_decoding(dataset: Dataset, repeats: int) -> None:
    """Whole commands, files and manifests included, beside reading each mask and writing a sparse one."""
    annotators: dict[str, Annotator] = {
        "points, uniform, 50": ClickAnnotator((50,)),
        "points, class-balanced, 50": ClickAnnotator((50,), ClickSettings("class-balanced")),
        "points, per-class, 4": ClickAnnotator((4,), ClickSettings("per-class")),
        "points, center, 50": ClickAnnotator((50,), ClickSettings("center")),
        "points, uniform, 50, margin 3": ClickAnnotator((50,), ClickSettings(margin=3)),
        "scribbles": ScribbleAnnotator(),
        "marks, block": RegionMarkAnnotator(RegionMarkSettings("block"), (0.2,)),
        "marks, coarse": RegionMarkAnnotator(RegionMarkSettings("coarse")),
        "points, per-instance, 1": ClickAnnotator((1,), ClickSettings("per-instance")),
        "marks, box": RegionMarkAnnotator(RegionMarkSettings("box", "instance")),
    }
    plain, with_instances = "decode and encode", "decode, also instances, and encode"
    times: dict[str, list[float]] = {name: [] for name in (plain, with_instances, *annotators)}
    images = repeated(dataset, copies=3)
    with scratch() as folder:
        sparse = {item.image_id: _sparse(images, item) for item in images.items}
        for repeat in range(repeats):
            for name, both in ((plain, False), (with_instances, True)):
                times[name].append(cpu_seconds(lambda b=both: _decode_and_encode(images, sparse, folder, b)))  # type: ignore[misc]
            for name, annotator in annotators.items():
                out = folder / f"{name} {repeat}"
                times[name].append(cpu_seconds(lambda a=annotator, o=out: synthesize(images, a, o)))  # type: ignore[misc]
    print("| one worker, files included | CPU ms per image | spread | times the decoding |\n| --- | --- | --- | --- |")
    for name, values in times.items():
        uses_instances = name == with_instances or (name in annotators and annotators[name].uses_instances)
        ratio = statistics.median(values) / statistics.median(times[with_instances if uses_instances else plain])
        print(f"| {name} | {_per_image(values, len(images.items))} | {ratio:.2f} |")
    print()


def time_parts(dataset: Dataset, repeats: int) -> None:
    """The parts of whole commands, in turn; the first four are the floor of any annotation with hashes and counts."""
    parts, names = Parts(), dict[str, None]()
    for part, owner, name in (
        ("decode the mask", annotation_files, "read_mask"),
        ("encode and write the annotation", annotation_files, "encode_label_map"),
        ("encode and write the annotation", annotation_files, "write_atomically"),
        ("hash the pixels of both", annotation_files, "pixel_sha256"),
        ("hash the pixels of both", synthesis, "pixel_sha256"),
        ("check and count the ids", LabelSpace, "to_train_ids_and_counts"),
        ("check the image's size and end", annotation_files, "read_image_size"),
        ("check the image's size and end", annotation_files, "check_is_whole"),
        ("choose the clicks", ClickAnnotator, "annotate"),
        ("distances from borders", strategies, "_steps_to_others"),
        ("margin", draw, "_far_from_others"),
        ("draw and count them", synthesis, "rasterize"),
        ("draw and count them", synthesis, "write_annotation"),
        ("draw and count them", synthesis, "num_reached"),
        ("journal, manifest, marks", OutputFolder, "prepare"),
        ("journal, manifest, marks", OutputFolder, "record"),
        ("journal, manifest, marks", OutputFolder, "finish"),
    ):
        parts.time(part, owner, name)
        names[part] = None
    kinds = {"uniform": ClickSettings(), "center": ClickSettings("center"), "margin 3": ClickSettings(margin=3)}
    images = repeated(dataset, copies=3)
    with scratch() as folder:
        synthesize(images, ClickAnnotator((50,)), folder / "first")
        parts.end_round()
        for repeat in range(repeats):
            for kind, settings in kinds.items():
                synthesize(images, ClickAnnotator((50,), settings), folder / f"{kind} {repeat}")
                parts.end_round()
    rounds = [parts.rounds[1 + number :: len(kinds)] for number in range(len(kinds))]
    print(f"| CPU ms per image | {' | '.join(kinds)} |\n| --- |{' --- |' * len(kinds)}")
    for name in [*names, "other", "all"]:
        of_kinds = [[sum(r.values()) if name == "all" else r.get(name, 0) for r in of_kind] for of_kind in rounds]
        cells = (f"{1000 * statistics.median(values) / len(images.items):.2f}" for values in of_kinds)
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def _sparse(dataset: Dataset, item: DatasetItem) -> LabelMap:
    label_map = _label_map(dataset, item)
    (clicks,) = ClickAnnotator((50,)).annotate(Subject(item.image_id, label_map, _stream(item), dataset.label_space))
    return rasterize(clicks, (label_map.shape[0], label_map.shape[1]), dataset.label_space)


def _decode_and_encode(dataset: Dataset, sparse: dict[str, LabelMap], folder: Path, instances: bool) -> None:
    for number, item in enumerate(dataset.items):
        read_mask(item.mask_path)
        if instances and item.instance_path:
            read_mask(item.instance_path)
        (folder / f"{number}.png").write_bytes(encode_label_map(sparse[item.image_id], dataset.label_space))


def _label_map(dataset: Dataset, item: DatasetItem) -> LabelMap:
    return dataset.label_space.to_train_ids(read_mask(item.mask_path), dataset.encoding)


def _stream(item: DatasetItem) -> ImageStream:
    return ImageStream(0, item.image_id, "scribbles")


def _per_image(values: list[float], images: int) -> str:
    low, middle, high = (1000 * v / images for v in (min(values), statistics.median(values), max(values)))
    return f"{middle:.1f} | {low:.1f} to {high:.1f}"


def time_scribbles(dataset: Dataset, repeats: int) -> None:
    """The strokes alone, for each image."""
    print(
        "| scribbles of | regions | strokes | CPU ms | spread | CPU ms to draw |\n| --- | --- | --- | --- | --- | --- |"
    )
    for item in dataset.items:
        label_map = _label_map(dataset, item)
        void = dataset.label_space.unlabelled_value
        tracing, drawing = [], []
        for _ in range(repeats):
            start = time.process_time()
            (marks,) = trace_scribbles(label_map, rng=_stream(item), unlabelled_value=void)
            traced = time.process_time()
            rasterize(marks, (label_map.shape[0], label_map.shape[1]), dataset.label_space)
            tracing.append(traced - start)
            drawing.append(time.process_time() - traced)
        regions = len(find_regions(label_map, void))
        drawn = 1000 * statistics.median(drawing)
        print(f"| {item.image_id} | {regions} | {len(marks)} | {_per_image(tracing, 1)} | {drawn:.0f} |")
    print()


if __name__ == "__main__":
    main()
