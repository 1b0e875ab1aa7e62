"""Break twenty load-bearing lines, one at a time in a copy, and see whether a test notices.

Usage: python tests/faults/mutants.py [NUMBER ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """A wrong line.

    Args:
        file: Where it stands.
        right: What stands there.
        wrong: What the mutant puts in its place.
        tests: Those that ought to notice.
    """

    file: str
    right: str
    wrong: str
    tests: str


MUTANTS = (
    Mutant(
        "agmm/training/state.py", "min(decay, (1 + num) / (10 + num))", "0.999", "tests/agmm/training/test_state.py"
    ),
    Mutant(
        "agmm/training/state.py", "min(decay, (1 + num) / (10 + num))", "decay", "tests/agmm/training/test_state.py"
    ),
    Mutant("agmm/runs/checkpoint.py", "    require_fit(path, info.model)\n", "", "tests/agmm/runs/test_checkpoint.py"),
    Mutant("agmm/data/soft_labels.py", "dtype not in dtypes", "False", "tests/agmm/data/test_soft_labels.py"),
    Mutant("agmm/data/soft_labels.py", "file.read(size + 1)", "file.read()", "tests/agmm/data/test_soft_labels.py"),
    Mutant("agmm/training/schedule.py", "** 0.9", "** 1.0", "tests/agmm/training/test_train.py"),
    Mutant(
        "agmm/evaluation/metrics.py",
        "true * self.num_classes + preds",
        "preds * self.num_classes + true",
        "tests/agmm/evaluation/test_metrics.py",
    ),
    Mutant("agmm/training/train.py", "(total / config.accumulate)", "total", "tests/agmm/training/test_train.py"),
    Mutant("agmm/runs/checkpoint.py", "not tensor.isfinite().all()", "False", "tests/agmm/runs/test_checkpoint.py"),
    Mutant("cli/interrupts.py", "return 128 + ", "return ", "tests/faults/test_interrupts.py"),
    Mutant("cli/interrupts.py", "            child.kill()", "            pass", "tests/faults/test_interrupts.py"),
    Mutant("cli/interrupts.py", "if not _State.at_work:", "if False:", "tests/faults/test_interrupts.py"),
    Mutant("data_manifests/files/text.py", "> MAX_DOTS", "> 10**9", "tests/data_manifests/files/test_text.py"),
    Mutant(
        "data_manifests/files/text.py", "file.read(limit + 1)", "file.read()", "tests/data_manifests/files/test_text.py"
    ),
    Mutant("data_manifests/files/text.py", "parse_float=_finite, ", "", "tests/data_manifests/files/test_text.py"),
    Mutant(
        "data_manifests/files/atomic.py",
        "partial.replace(path)",
        "path.write_bytes(partial.read_bytes())",
        "tests/data_manifests/files",
    ),
    Mutant(
        "data_manifests/files/lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "tests/agmm/runs/test_claim.py",
    ),
    Mutant(
        "data_manifests/label_space.py",
        "isinstance(value, bool | float)",
        "False",
        "tests/data_manifests/test_label_space.py",
    ),
    Mutant(
        "data_manifests/parallel.py",
        "yield running.popleft().result()",
        "yield running.pop().result()",
        "tests/data_manifests/test_parallel.py",
    ),
    Mutant(
        "agmm/training/train.py",
        'config.learning_rate * group["factor"] * factor',
        "config.learning_rate * factor",
        "tests/agmm/training/test_train.py",
    ),
)


def main(numbers: list[int]) -> None:
    """Try each mutant, and print which live."""
    alive = []
    for number in numbers or range(1, len(MUTANTS) + 1):
        mutant = MUTANTS[number - 1]
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy"
            shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "studies", "__pycache__"))
            path = copy / mutant.file
            text = path.read_text()
            if mutant.right not in text:
                sys.exit(f"mutant {number}: {mutant.file} holds no {mutant.right!r} any more. Mend the list.")
            path.write_text(text.replace(mutant.right, mutant.wrong))
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests.split()]
            env = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
            died = subprocess.run(command, cwd=copy, env=env, capture_output=True).returncode == 1
        change = f"{mutant.right.strip()} -> {mutant.wrong.strip()}"
        print(f"{number:2} {'dies' if died else 'LIVES'}  {mutant.file}: {change}", flush=True)
        alive += [] if died else [number]
    print(f"{len(alive)} live{': ' + ', '.join(map(str, alive)) if alive else ''}")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
