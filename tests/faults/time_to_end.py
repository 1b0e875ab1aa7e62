"""Measure how long commands take to end after Ctrl-C and SIGTERM, at moments spread over their course.

Usage: python tests/faults/time_to_end.py [MOMENTS]

On a busy machine seconds pass while a process waits for a core: its own time on a core is printed beside them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.agmm.conftest import tiny_manifest
from tests.helpers.trainings import CONFIG

ROOT = Path(__file__).parents[2]


def main(moments: int) -> None:
    """Print the longest times of each command."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        manifest = tiny_manifest(there / "data", 6, (64, 64))
        settings = there / "config.toml"
        settings.write_text(replace(CONFIG, crop_size=(64, 64), accumulate=1, epochs=3, workers=1).to_toml())
        commands = {
            "train": f"train {manifest} --config {settings}",
            "evaluate": f"evaluate {there}/train {manifest}",
            "predict": f"predict {there}/train {manifest}",
            "report": f"report {there}/train",
            "stages": f"stages {manifest} --config {settings}",
        }
        for name, command in commands.items():
            whole, _, _ = run(f"{command} --out {there}/{name}", None, signal.SIGINT)
            ended = [
                run(f"{command} --out {there}/{name}-{i}", whole * i / moments, (signal.SIGINT, signal.SIGTERM)[i % 2])
                for i in range(moments)
            ]
            seconds, on_a_core, codes = zip(*ended, strict=True)
            assert {*codes} <= {130, 143, 0}, codes
            print(
                f"{name}: {moments - codes.count(0)} of {moments} interrupted, longest {max(seconds):.1f} s, on a core "
                f"{max(on_a_core):.1f} s; undisturbed {whole:.0f} s, load {os.getloadavg()[0]:.0f}",
                flush=True,
            )


def run(command: str, after: float | None, number: signal.Signals) -> tuple[float, float, int]:
    """Run a command and send it a signal; seconds and time on a core from then to its end, and its exit code."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "agmm", *command.split()]
    start = time.monotonic()
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        cpu_before = 0.0
        if after is not None:
            try:
                process.wait(max(0.3, after))  # before that, Python itself starts
            except subprocess.TimeoutExpired:
                start, cpu_before = time.monotonic(), cpu_seconds_of(process.pid)
                process.send_signal(number)
        _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, 0, None)
        seconds = time.monotonic() - start
        process.returncode = code = process.returncode or os.waitstatus_to_exitcode(status)
        said = process.stderr.read() if process.stderr else ""
    if after is None and code:
        sys.exit(f"agmm {command}: {said}")
    assert "Traceback" not in said, said
    return (seconds, usage.ru_utime + usage.ru_stime - cpu_before, code) if usage else (0.0, 0.0, code)


def cpu_seconds_of(pid: int) -> float:
    """Time that a process had on a core so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
