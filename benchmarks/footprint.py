"""Cost of annotating a dataset: CPU time and peak memory of the whole run, and bytes of all its files.

    python benchmarks/footprint.py cityscapes/ --copies 1 20

Each row is a run of the library in a process of its own with one worker, from the listing of the folder to the finished
result. With --copies each image is annotated several times under other names, to see how cost grows with the number.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from data_manifests import open_dataset, read_marks, write_marks
from sparsekit.synthesis.annotators import Annotator, ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.synthesize import synthesize

_ANNOTATORS: dict[str, Annotator] = {
    "20 clicks": ClickAnnotator((20,)),
    "100 clicks": ClickAnnotator((100,)),
    "scribbles": ScribbleAnnotator(),
}


def measure(name: str, root: Path, copies: int) -> None:
    """Annotate all images in this process and print one row."""
    dataset = open_dataset(root)
    start = time.process_time()
    items = tuple(
        replace(item, image_id=f"{item.image_id}-{copy:05}") for item in dataset.items for copy in range(copies)
    )
    with tempfile.TemporaryDirectory() as out:
        (summary,) = synthesize(replace(dataset, items=items), _ANNOTATORS[name], Path(out), splits=dataset.splits)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        write_marks(summary.folder / "marks.parquet", read_marks(summary.folder / "marks.csv"))
        png = sum(path.stat().st_size for path in (summary.folder / "annotations").rglob("*.png"))
        sizes = [
            png,
            *((summary.folder / file).stat().st_size for file in ("manifest.csv", "marks.csv", "marks.parquet")),
        ]
    per_image = " | ".join(f"{size / len(items):,.0f}" for size in sizes)
    rate = len(items) / seconds
    print(f"| {name} | {len(items):,} | {1000 / rate:.1f} | {rate:.0f} | {peak:.0f} | {per_image} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--copies", type=int, nargs="+", default=[1], help="times each image is annotated (1)")
    parser.add_argument("--only", choices=_ANNOTATORS, help="this annotation alone")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(arguments.only, arguments.dataset, arguments.copies[0])
        return
    columns = ["annotation", "images", "CPU ms an image", "images/s", "peak MB", "bytes an image: PNG"]
    columns += ["manifest.csv", "marks.csv", "marks.parquet"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    for name in [arguments.only] if arguments.only else _ANNOTATORS:
        for copies in arguments.copies:  # each in its own process: memory is a process's peak
            command = [sys.executable, __file__, str(arguments.dataset), "--copies", str(copies), "--only", name]
            subprocess.run([*command, "--child"], check=True)


if __name__ == "__main__":
    main()
