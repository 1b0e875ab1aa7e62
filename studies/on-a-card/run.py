"""Answer on a GPU, in small pieces, what cannot be answered without one; see docs/on-a-card.md.

    python studies/on-a-card/run.py card --out results --minutes 9

Smoke tests first, then benches, then the study. The command stops by itself after `--minutes`. Repeat it to go on: what
`results/done.json` lists is not run again, and runs interrupted in the middle resume if `--work` still holds them.
Everything in `results` is small: logs, tables and scores, no weights.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Modules that must import: those of the project's own dependencies and of its extra `train`.
NEEDED = (
    "click", "fsspec", "lazy_loader", "numpy", "pandas", "cv2", "PIL", "skimage", "scipy", "tifffile", "tqdm", "upath",
    "safetensors", "timm", "torch", "torchvision",
)  # fmt: skip
GRACE_S = 20.0


@dataclass(frozen=True)
class Job:
    """One command; its output goes to ``NAME.log``.

    Args:
        name: Name, unique.
        command: Arguments after the interpreter.
        results: Files that the job leaves in the work folder, to be kept.
    """

    name: str
    command: tuple[str, ...]
    results: tuple[str, ...] = ()


def jobs(card: Path, tiny: bool, device: str) -> Iterator[Job]:
    """Yield all jobs in order: the cheapest answers first."""
    size = ("--crop", "65", "--batch", "2", "--repeats", "2") if tiny else ()
    on = ("--device", device)
    yield Job("smoke", (str(HERE / "smoke.py"), *on))
    released = ("--released", str(card / "released")) if (card / "released").is_dir() else ()
    yield Job("loss", (str(ROOT / "benchmarks/losses.py"), *on, *size, *released))
    yield Job("steps", (str(HERE / "steps.py"), *on, *size, *(("--no-compile",) if tiny else ())))
    marks = {
        "1clicks-per-class": ("points", "--strategy", "per-class", "--clicks", "1"),
        "20clicks": ("points", "--clicks", "20"),
        "scribbles80": ("scribbles",),
    }
    for data in ("clothing_small", "camvid"):
        for name, command in marks.items():
            where = str(card / "data" / data)
            yield Job(f"{data}-{name}", ("-m", "sparsekit", command[0], where, *command[1:]))
    crops = {"clothing": ("112x160", "[0.7, 1.1]"), "camvid": ("320x320", "[0.5, 1.5]")}
    for seed in range(1 if tiny else 3):
        for data, (crop, scale) in crops.items():
            for encoder in ("mobilenetv2", "resnet50"):
                name = f"{data}-{encoder}"
                out = f"runs/{name}"
                study = f"studies/on-a-card/{data}.toml"
                settings = ("--config", f"studies/on-a-card/{encoder}.toml", "--set", f"scale={scale}")
                short = ("--epochs", "1", "--set", "gmm_images=0") if tiny else ()
                size = ("--crop-size", "32x32" if tiny else crop)
                command = ("-m", "agmm", "ablate", study, *settings, *size, *short, *on, "--seeds", str(seed))
                command = (*command, "--out", out)
                yield Job(f"study-{name}-seed-{seed}", command, (f"{out}/results.csv", f"{out}/report.md"))


def install_missing(card: Path, work: Path) -> None:
    """Unpack the wheels of packages that do not import into a folder of their own."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing and (card / "wheels").is_dir():
        wheels = sorted(str(path) for path in (card / "wheels").glob("*.whl"))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
        subprocess.run([*pip, str(work / "packages"), *wheels], check=True)
    elif missing:
        sys.exit(f"{card}: this machine lacks {', '.join(missing)}; pack their wheels with pack.py --wheels.")


def prepare(card: Path, work: Path) -> dict[str, str]:
    """Lay out the work folder; returns the environment of the jobs."""
    work.mkdir(parents=True, exist_ok=True)
    install_missing(card, work)
    shutil.copytree(ROOT / "studies", work / "studies", dirs_exist_ok=True)
    if not (work / "scratch").exists():
        (work / "scratch").symlink_to(card / "weights")
    paths = [str(ROOT), str(work / "packages")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def run(job: Job, work: Path, out: Path, environment: dict[str, str], deadline: float) -> int | None:
    """Run a job until it ends or the time is over; returns its exit status, or None if it was stopped."""
    with (out / f"{job.name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, *job.command], cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            return process.wait(timeout=max(0.0, deadline - GRACE_S - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)  # runs save their state and resume
            try:
                process.wait(timeout=GRACE_S / 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return None
        finally:
            keep(job, work, out)


def keep(job: Job, work: Path, out: Path) -> None:
    """Copy the results of a job, even of one that was stopped."""
    for name in job.results:
        if (work / name).is_file():
            shutil.copyfile(work / name, out / f"{job.name}-{Path(name).name}")


def main() -> None:
    """Read the command line and run what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", type=Path, help="folder that pack.py wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--work", type=Path, default=Path("/tmp/on-a-card"), help="folder of data and runs")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop after so long")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="try everything on a CPU with tiny settings")
    arguments = parser.parse_args()
    card, out, work = (path.resolve() for path in (arguments.card, arguments.out, arguments.work))
    deadline = time.monotonic() + 60 * arguments.minutes
    out.mkdir(parents=True, exist_ok=True)
    environment = prepare(card, work)
    done: dict[str, int] = json.loads((out / "done.json").read_text()) if (out / "done.json").is_file() else {}
    for job in jobs(card, arguments.tiny, arguments.device):
        if job.name in done:
            continue
        if time.monotonic() > deadline - 2 * GRACE_S:
            sys.exit(f"Time is over before {job.name}. Repeat the command to go on.")
        start = time.monotonic()
        status = run(job, work, out, environment, deadline)
        if status is None:
            sys.exit(f"Time is over in {job.name}. Repeat the command to go on.")
        done[job.name] = status
        (out / "done.json").write_text(json.dumps(done, indent=1) + "\n")
        print(f"{job.name}: {'done' if status == 0 else f'FAILED ({status}), see its log'}, "
              f"{time.monotonic() - start:.0f} s", flush=True)  # fmt: skip
    failed = [name for name, status in done.items() if status]
    sys.exit(f"Finished; failed: {', '.join(failed)}." if failed else None)


if __name__ == "__main__":
    main()
