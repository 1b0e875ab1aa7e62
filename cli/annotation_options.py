"""Options of the commands that read annotations of other tools."""

from __future__ import annotations

from pathlib import Path

import click

#: ``--map``, ``--ignore-class``, ``--skip-unsupported`` and ``--image-key``, for an ``option_group``.
ANNOTATION_OPTIONS = (
    click.option(
        "--map", "maps", multiple=True, metavar="NAME=CLASS|FILE",
        help="Class of the dataset for a name in the annotations, or a file that merges classes, as for `points`; "
        "repeat for several.",
    ),
    click.option("--ignore-class", "ignored", multiple=True, metavar="NAME", help="Skip a class; repeat for several."),
    click.option("--skip-unsupported", is_flag=True, help="Skip and count shapes that cannot be read."),
    click.option(
        "--image-key", metavar="KEY", help="Label Studio: key of the image in the task data.  [default: detected]"
    ),
)  # fmt: skip


def read_maps(maps: tuple[str, ...], ignored: tuple[str, ...]) -> tuple[Path | None, dict[str, str]]:
    """The file that merges classes, and the class for each name in the annotations ("" to skip it).

    Classes that the file merges or ignores have their old names in the annotations.
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
