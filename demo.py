"""The whole workflow on built-in data, as `make demo` runs it: scenes, clicks, figure, network, scores, report.

Everything is written below demo/, and a second run replaces it. The script fails if the network has not learned.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

DEMO = Path("demo")
TOWN, SPARSE, FIGURES, RUN, REPORT = (DEMO / name for name in ("town", "sparse", "figures", "run", "report"))
BUDGETS = (20, 50, 100)
SHOWN = ("--image", "cedar_000000_000019", "--image", "alder_000004_000019")
TRAINED_ON = SPARSE / "town-50clicks" / "manifest.csv"

# Predicting the most frequent class everywhere gives less than 2 % mIoU here; this run reaches about 27 %.
LEAST_MIOU = 0.15


def main() -> None:
    """Run every command, check the scores, and name the files to open."""
    start = time.monotonic()
    workers = str(min(4, os.cpu_count() or 1))
    manifests = [SPARSE / f"town-{budget}clicks" / "manifest.csv" for budget in BUDGETS]
    budgets = [word for budget in BUDGETS for word in ("--clicks", str(budget))]

    say("1. Street scenes with full masks, in the layout of Cityscapes")
    run("sparsekit", "demo-data", TOWN, "--images", "80", "--workers", workers, "--overwrite")
    say("2. Random clicks at three budgets; the rest of the masks is discarded")
    run("sparsekit", "points", *budgets, "--out", SPARSE, "--workers", workers, "--overwrite", TOWN)
    say("3. The clicks over their images, beside the full mask")
    looks = ("--full-mask", "--dot-size", "10", *SHOWN)
    run("sparsekit", "render", *manifests, "--out", FIGURES, *looks, "--overwrite")
    say("4. A network trained on 50 clicks per image with all terms of AGMM")
    run("agmm", "train", TRAINED_ON, "--out", RUN, "--val-every", "2", "--gmm-images", "4", "--overwrite")
    say("5. Its scores on images it has not seen, against the full masks")
    run("agmm", "evaluate", RUN, TRAINED_ON)
    check_learned()

    say("6. A report with figures: segmentations beside image and truth, curves, confusions")
    run("agmm", "report", RUN, "--manifest", TRAINED_ON, "--out", REPORT, "--limit", "12", "--overwrite")
    say(f"Done in {(time.monotonic() - start) / 60:.0f} minutes. Open these files to see the results:")
    print(f"  {FIGURES / (SHOWN[1] + '.png')}: the clicks on an image, 20, 50 and 100 of them, and its full mask")
    print(f"  {REPORT / 'figures' / 'qualitative.png'}: image, truth, and the prediction of the network")
    print(f"  {REPORT / 'index.html'}: the report on the run, for a browser")
    print(f"The network is in {RUN}, the scenes are in {TOWN}, and their clicks in {SPARSE}.")


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}", flush=True)


def run(command: str, *arguments: str | Path) -> None:
    """Print a command line and run it as a user would."""
    words = [str(word) for word in arguments]
    print(f"$ {command} {shlex.join(words)}", flush=True)
    # The commands are beside the interpreter, in a folder that may not be on the PATH.
    code = subprocess.run([Path(sys.executable).with_name(command), *words]).returncode
    if code:
        sys.exit(f"demo.py: `{command} {words[0]}` failed with exit code {code}.")


def check_learned() -> None:
    """Stop with an error unless the scores are far above chance, rose during training, and the loss fell."""
    scores = json.loads((RUN / "evaluation.json").read_text())["results"][-1]
    with (RUN / "log.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    losses = [float(epoch["loss"]) for epoch in epochs]
    first_miou = next(float(epoch["val_miou"]) for epoch in epochs if epoch["val_miou"])
    occurring = [sum(counts) for counts in scores["confusion"]]
    chance = max(occurring) / sum(occurring) / sum(count > 0 for count in occurring)
    print(
        f"\nmIoU on the validation images: {percent(first_miou)} when first measured, {percent(scores['miou'])} now; "
        f"the most frequent class everywhere would give {percent(chance)}.\n"
        f"Loss: {losses[0]:.2f} in the first epoch, {losses[-1]:.2f} in the last."
    )
    if scores["miou"] < LEAST_MIOU:
        sys.exit(f"demo.py: the network has not learned: expected an mIoU of at least {percent(LEAST_MIOU)}.")
    if scores["miou"] <= first_miou or losses[-1] >= losses[0]:
        sys.exit("demo.py: the network has not learned: the mIoU did not rise, or the loss did not fall.")


def percent(share: float) -> str:
    """A share for people to read."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
