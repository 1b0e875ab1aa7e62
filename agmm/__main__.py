"""``python -m agmm``, ``torchrun -m agmm`` and ``agmm``: the command line."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line, whatever modules the working folder holds."""
    # A cli.py or data_manifests.py there would shadow ours. Worker processes inherit this path.
    here = Path.cwd()
    if here != Path(__file__).resolve().parents[1]:
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]
    # The only import against the direction of the packages: this file is a command line, not part of the library.
    from cli.interrupts import listen

    listen()
    from agmm.memory import keep_freed_memory

    keep_freed_memory()
    from cli.agmm_cli import main

    main(prog_name="agmm")


if __name__ == "__main__":
    main()
