"""Where does a row gain: on the pictures it was trained on, on validation frames of the same drives, on other drives?

    python studies/three_splits.py studies/results/camvid

Reads NAME.csv, the scores of a study, and logs/NAME/, the log of every run. Prints a table of means over seeds: mIoU
of the segmentation on training pictures, of the highest Gaussian on the same, on the validation split and on the split
that the study scores.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections import defaultdict
from pathlib import Path

_LOGGED = ("train_miou", "gmm_miou", "val_miou")


def collect(study: Path) -> dict[tuple[str, str], list[tuple[float, ...]]]:
    """Scores in per cent of each run, by annotation and setting."""
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    with study.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        for run in csv.DictReader(file):
            log = study.parent / "logs" / study.name / f"{'--'.join(Path(run['run']).parts[1:])}.csv"
            with log.open(newline="", encoding="utf-8") as lines:
                epochs = {line["epoch"]: line for line in csv.DictReader(lines)}
            kept = epochs[run["best_epoch"]]
            scores = (*(float(kept[name]) for name in _LOGGED), float(run["miou"]))
            rows[run["annotation"], run["setting"]].append(tuple(100 * score for score in scores))
    return rows


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    head = ["annotation", "setting", "seeds", "training pictures", "highest Gaussian there", "validation", "test"]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for (annotation, setting), runs in collect(parser.parse_args().study).items():
        means = [f"{statistics.mean(values):.1f}" for values in zip(*runs, strict=True)]
        print(f"| {' | '.join([annotation, setting, str(len(runs)), *means])} |")


if __name__ == "__main__":
    main()
