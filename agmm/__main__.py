"""``python -m agmm`` is the ``agmm`` command, for torchrun, which starts modules."""

from __future__ import annotations

if __name__ == "__main__":
    # The one import against the direction of the packages: this file is a command line, not a part of the library.
    from cli.agmm_cli import main

    main(prog_name="agmm")
