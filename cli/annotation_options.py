"""The options of commands that read what people have drawn with other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click


def annotation_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--map``, ``--ignore-class``, ``--skip-unsupported`` and ``--image-key``."""
    for option in reversed(
        [
            click.option(
                "--map", "maps", multiple=True, metavar="NAME=CLASS|FILE",
                help="Class of the dataset for a name in the annotations; or a file of classes to put together, as in "
                "`points`. May be repeated.",
            ),
            click.option(
                "--ignore-class", "ignored", multiple=True, metavar="NAME", help="Leave out a class. May be repeated."
            ),
            click.option("--skip-unsupported", is_flag=True, help="Leave out, and count, shapes that cannot be read."),
            click.option(
                "--image-key", help="Label Studio: key of the image in the tasks' data.  [default: found by looking]"
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


def read_maps(maps: tuple[str, ...], ignored: tuple[str, ...]) -> tuple[Path | None, dict[str, str]]:
    """The file of classes to put together, and the class of each name in the annotations ("" to leave it out).

    What the file puts together or leaves out goes by its old names in the annotations.
    """
    from data_manifests import read_class_map

    files = [Path(value) for value in maps if "=" not in value or Path(value).is_file()]
    if len(files) > 1:
        raise click.UsageError(f"--map takes one file, got {', '.join(map(str, files))}.")
    class_names: dict[str, str] = {}
    for new, olds in read_class_map(files[0]).items() if files else ():
        class_names |= dict.fromkeys(olds, "" if new == "void" else new)
    for value in maps:
        if Path(value) not in files:
            name, _, class_name = value.rpartition("=")
            class_names[name] = class_name
    return files[0] if files else None, class_names | dict.fromkeys(ignored, "")
