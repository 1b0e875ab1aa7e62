"""Commands that are interrupted or killed at a chosen moment, which is an event of Python's and not a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent / "fault"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fault:
    """A signal at the ``nth`` event whose first argument contains ``detail``.

    The events are those of https://docs.python.org/3/library/audit_events.html: ``import`` of a module, ``os.rename``
    and ``os.mkdir`` of a path, ``open``.
    """

    number: signal.Signals
    event: str
    detail: str = ""
    nth: int = 1
    group: bool = False

    def __str__(self) -> str:
        return f"{self.number.name} {'group' if self.group else 'main'} {self.event} {self.detail} {self.nth}"


def run(
    *args: object, fault: Fault | None = None, cwd: Path | None = None, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m sparsekit ...`` or ``agmm ...`` in a process group of its own, which must be empty in the end.

    Args:
        args: Words of the command.
        fault: A signal to send.
        cwd: Working folder.
        before: A program, with options, that starts the command, such as ``setpriv``.
    """
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(_HERE), str(_ROOT)])}
    if fault:
        target = "group" if fault.group else "main"
        env["FAULT"] = f"{fault.event}|{fault.detail}|{fault.nth}|{int(fault.number)}|{target}"
    command = [*before, sys.executable, "-m", *map(str, args)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd, start_new_session=True
    ) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, out, err + _left_over(process.pid))


def _left_over(group: int) -> str:
    """What to say of processes that outlive the one that started them."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return ""
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return "\nprocesses were left over\n"
