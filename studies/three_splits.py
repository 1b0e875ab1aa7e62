"""Where does a row gain: on the images it was trained on, on validation frames of the same drives, on other drives?

    python studies/three_splits.py studies/results/camvid studies/results/camvid-variants --baseline L_seg

Reads NAME.csv, the scores of each study, and logs/NAME/, the log of every run. Prints two tables of mean, standard
deviation and number of seeds: mIoU of the segmentation on training images, of the highest Gaussian on the same, on
the validation split, and on the split that the study scores; then the same as differences from the baseline, run
against run of the same seed, in brackets as in the reports of `agmm ablate`.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from agmm.studies.results import format_gain, format_scores

_LOGGED = ("train_miou", "gmm_miou", "val_miou")
_COLUMNS = ("annotation", "setting", "training images", "highest Gaussian there", "validation", "test")
_Rows = dict[tuple[str, str], dict[str, tuple[float, ...]]]


def collect(studies: list[Path]) -> _Rows:
    """Scores in per cent by annotation and setting, then by seed."""
    rows: _Rows = defaultdict(dict)
    for study in studies:
        with study.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
            for run in csv.DictReader(file):
                log = study.parent / "logs" / study.name / f"{'--'.join(Path(run['run']).parts[1:])}.csv"
                with log.open(newline="", encoding="utf-8") as lines:
                    kept = {line["epoch"]: line for line in csv.DictReader(lines)}[run["best_epoch"]]
                scores = (*(float(kept[name]) for name in _LOGGED), float(run["miou"]))
                rows[run["annotation"], run["setting"]][run["seed"]] = tuple(100 * score for score in scores)
    return rows


def main() -> None:
    """Read the command line, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--baseline", default="L_seg", help="row to compare with (L_seg)")
    args = parser.parse_args()
    rows = collect(args.studies)
    head = f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"
    print(head)
    for names, runs in rows.items():
        print(f"| {' | '.join([*names, *map(format_scores, zip(*runs.values(), strict=True))])} |")
    print(f"\nPoints above {args.baseline}:\n\n{head}")
    for (annotation, setting), runs in rows.items():
        base = rows.get((annotation, args.baseline), {})
        if setting == args.baseline or not (seeds := runs.keys() & base.keys()):
            continue
        gains = zip(*([a - b for a, b in zip(runs[s], base[s], strict=True)] for s in seeds), strict=True)
        print(f"| {' | '.join([annotation, setting, *map(format_gain, gains)])} |")


if __name__ == "__main__":
    main()
