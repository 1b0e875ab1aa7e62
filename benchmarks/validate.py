"""CPU and wall-clock time of ``sparsekit validate``, for manifests of growing size.

    sparsekit demo-data town --images 40 --size 128x64
    sparsekit points town --clicks 20 --out sparse
    python benchmarks/validate.py sparse/town-20clicks --rows 10000 100000 --workers 1 2

The rows of the given manifest are repeated under other names, with hard links to their files.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from data_manifests import Manifest, ManifestRow, Mark, read_manifest, read_marks, write_manifest, write_marks

_FILES = ("image", "full_mask", "annotation")


def repeat_rows(manifest: Manifest, num_rows: int, folder: Path) -> Path:
    """Write a manifest of the rows repeated, with a file of its own in each of its cells."""
    copies = -(-num_rows // len(manifest.rows))
    marks_of = dict(read_marks(manifest.marks_path))
    names = list(
        islice(((row, f"{row.image_id}-{copy:06}") for row in manifest.rows for copy in range(copies)), num_rows)
    )
    for kind in _FILES:
        (folder / kind).mkdir()

    def linked(row: ManifestRow, kind: str, name: str) -> str:
        if not (cell := getattr(row, kind)):
            return ""
        source = manifest.resolve(cell)
        target = folder / kind / f"{name.replace('/', '-')}{source.suffix}"
        target.hardlink_to(source)
        return target.relative_to(folder).as_posix()

    def marks() -> Iterator[tuple[str, list[Mark]]]:
        for row, name in names:
            yield name, marks_of.get(row.image_id, [])

    rows = tuple(
        replace(row, image_id=name, **{kind: linked(row, kind, name) for kind in _FILES}) for row, name in names
    )
    write_marks(folder / "marks.csv", marks())
    write_manifest(Manifest(folder / "manifest.csv", rows, manifest.info))
    return folder / "manifest.csv"


def measure(manifest: Path, num_rows: int, options: list[str]) -> None:
    """Run the command in a process of its own and print one row of the table."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "sparsekit", "validate", str(manifest), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"| {num_rows:,} | {' '.join(options)} | {cpu:.1f} | {wall:.1f} | {cpu / num_rows * 1e6:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1])
    parser.add_argument("--only", choices=("quick", "whole"), help="this check alone")
    arguments = parser.parse_args()
    print("| rows | options | CPU s | s | CPU us per row |\n| --- | --- | --- | --- | --- |")
    for num_rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.manifest) as folder:  # hard links stay on one disk
            manifest = repeat_rows(read_manifest(arguments.manifest), num_rows, Path(folder))
            for check in [arguments.only] if arguments.only else ["quick", "whole"]:
                for workers in arguments.workers:
                    measure(manifest, num_rows, [*["--quick"] * (check == "quick"), "--workers", str(workers)])


if __name__ == "__main__":
    main()
