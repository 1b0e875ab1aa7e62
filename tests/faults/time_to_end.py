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
from signal import SIGINT, SIGTERM

from tests.agmm.conftest import tiny_manifest
from tests.helpers.trainings import CONFIG

ROOT = Path(__file__).parents[2]
#: Seconds on a core before which Python itself starts.
_START = 0.15


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
            _, whole, _ = run(f"{command} --out {there}/{name}", 0.0, None)
            ended = [
                run(f"{command} --out {there}/{name}-{i}", whole * (i + 0.5) / moments, (SIGINT, SIGTERM)[i % 2])
                for i in range(moments)
            ]
            seconds, on_a_core, codes = zip(*ended, strict=True)
            # A negative code: by the signal itself, after the command was done.
            assert {*codes} <= {130, 143, 0, -SIGINT, -SIGTERM}, codes
            print(
                f"{name}: {moments - codes.count(0)} of {moments} interrupted, longest {max(seconds):.1f} s, on a core "
                f"{max(on_a_core):.1f} s of {whole:.1f} s, load {os.getloadavg()[0]:.0f}",
                flush=True,
            )


def run(command: str, after: float, number: signal.Signals | None) -> tuple[float, float, int]:
    """Run a command, and send it a signal when it has had so much time on a core.

    Returns:
        Seconds, and seconds on a core, from then (or else its start) to its end, and its exit code.
    """
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "agmm", *command.split()]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=said)
        start, before = time.monotonic(), 0.0
        while number and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if (before := cpu_seconds_of(process.pid)) >= max(after, _START):
                start = time.monotonic()
                process.send_signal(number)
                break
            time.sleep(0.01)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        said.seek(0)
        text = said.read()
    if "Traceback" in text or (number is None and code):
        sys.exit(f"agmm {command}: {text}")
    return seconds, usage.ru_utime + usage.ru_stime - before, code


def cpu_seconds_of(pid: int) -> float:
    """Time that a process had on a core so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
