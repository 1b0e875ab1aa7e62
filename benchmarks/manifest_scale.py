"""CPU time and memory of writing and reading manifests of growing size, with made-up rows.

python benchmarks/manifest_scale.py --rows 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from data_manifests import (
    Manifest,
    ManifestInfo,
    ManifestRow,
    Mark,
    known_label_space,
    read_manifest,
    read_marks,
    write_manifest,
    write_marks,
)

CLICKS = 20


def made_up_rows(num_rows: int) -> Iterator[ManifestRow]:
    for i in range(num_rows):
        key = f"city{i % 50:02}_{i:08}_000019"
        digest = sha256(key.encode()).hexdigest()
        classes = tuple(sorted({(i * 7 + k * k) % 19 for k in range(6)}))
        yield ManifestRow(
            key, "train", f"../../data/leftImg8bit/train/{key}.png", f"../../data/gtFine/train/{key}.png",
            f"annotations/{key}.png", 1024, 2048, CLICKS, classes, digest, digest[::-1],
        )  # fmt: skip


def made_up_marks(num_rows: int) -> Iterator[tuple[str, list[Mark]]]:
    for i in range(num_rows):
        yield f"{i:08}", [Mark("click", k % 19, (i * k) % 1024, (i + k * 97) % 2048) for k in range(CLICKS)]


def measure(step: str, num_rows: int, folder: Path) -> None:
    """Run one step in this process and print its CPU seconds and the process's peak memory."""
    start = time.process_time()
    if step == "write manifest":
        rows = tuple(made_up_rows(num_rows))
        start = time.process_time()
        write_manifest(Manifest(folder / "manifest.csv", rows, ManifestInfo(known_label_space("cityscapes"))))
    elif step == "read manifest":
        assert len(read_manifest(folder / "manifest.csv").rows) == num_rows
    elif step.startswith("write marks"):
        write_marks(folder / step.removeprefix("write "), made_up_marks(num_rows))
    else:
        assert sum(len(marks) for _, marks in read_marks(folder / step.removeprefix("read "))) == num_rows * CLICKS
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    name = "manifest.csv" if step.endswith("manifest") else step.split()[1]
    size = (folder / name).stat().st_size / 1e6
    rate = seconds / num_rows * 1e6
    print(f"{step:20} {num_rows:>9} rows {seconds:8.2f} s {rate:7.2f} us/row {peak:6.0f} MB peak {size:7.1f} MB file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        measure(arguments.step[0], arguments.rows[0], Path(arguments.step[1]))
        return
    steps = ["write manifest", "read manifest"]
    steps += [f"{verb} marks.{kind}" for kind in ("csv", "parquet") for verb in ("write", "read")]
    for num_rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            for step in steps:  # each in its own process: memory is a process's peak
                subprocess.run([sys.executable, __file__, "--rows", str(num_rows), "--step", step, folder], check=True)


if __name__ == "__main__":
    main()
