"""Sends a signal at a chosen event of Python's, which the environment names; see ``tests.helpers.faults``."""

import os
import sys


def _arm(fault: str) -> None:
    event, detail, nth, number, target = fault.split("|")
    left = [int(nth)]

    def hook(name: str, args: tuple[object, ...]) -> None:
        if name == event and left[0] and detail in str(args[0]):
            left[0] -= 1
            if not left[0]:
                (os.killpg if target == "group" else os.kill)(
                    os.getpgid(0) if target == "group" else os.getpid(), int(number)
                )

    sys.addaudithook(hook)


if os.environ.get("FAULT") and "--multiprocessing-fork" not in sys.orig_argv:
    _arm(os.environ["FAULT"])
