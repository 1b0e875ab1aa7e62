"""``python -m sparsekit`` is the ``sparsekit`` command, where the folder of commands is not on the path."""

from __future__ import annotations

if __name__ == "__main__":
    # The one import against the direction of the packages: this file is a command line, not a part of the library.
    from cli.sparsekit_cli import main

    main(prog_name="sparsekit")
