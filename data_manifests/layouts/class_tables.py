"""Read label spaces and class maps from files and from the built-in tables of known datasets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_manifests.colors import Color, to_code, to_color, voc_color
from data_manifests.errors import DataError, list_some
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path, is_remote
from data_manifests.files.text import read_bytes, read_json, read_toml
from data_manifests.label_space import LabelClass, LabelSpace, in_order, space_by_color

#: The group of a class map whose members become void.
VOID_GROUP = "void"

#: Colour of object borders in PASCAL VOC masks.
_VOC_BORDER = (224, 224, 192)

#: Other names of columns; Roboflow's tables have "pixel value" and "class".
_COLUMN_NAMES = {"index": "id", "pixel value": "id", "class": "name", "red": "r", "green": "g", "blue": "b"}

_VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore", "void_border", "border"}
_TABLES = Path(__file__).parent / "tables"


def read_label_space(path: str | Path) -> LabelSpace:
    """Read the classes of a dataset from a file.

    Args:
        path: A ``.csv`` as ``read_classes_csv`` describes it, a ``labelmap.txt`` of CVAT, another ``.txt`` with one
            name per line, or a ``.json`` or ``.toml`` as ``LabelSpace.from_dict`` describes it.

    Raises:
        DataError: If the file is missing, of another type, or invalid.
    """
    path = as_path(path)
    if path.suffix.lower() == ".csv":
        return read_classes_csv(path)
    if path.suffix.lower() == ".txt" and path.is_file():
        return read_labelmap(path) if path.name == "labelmap.txt" else read_class_names(path)
    table = _read_table(path)
    try:
        return LabelSpace.from_dict(table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_classes_csv(path: str | Path, name: str = "custom") -> LabelSpace:
    """Read a class table.

    The columns are ``name``, ``id`` (or ``index``), optionally ``r, g, b`` (or ``red, green, blue``), ``train_id`` and
    ``void``. A class is void if ``void`` is 1/true/yes, if its ``train_id`` is empty, -1, 65535 or (unless others are
    above it) 255, or if it has neither column and is named void, unlabelled, ignore or border. Rows with the
    same ``train_id`` form one class. A table with colours may lack ``id``: the colours alone say what the masks hold.

    Args:
        path: The CSV file.
        name: Name of the label space.

    Raises:
        DataError: If the file or a column is missing, an id occurs twice or a number cannot be read.
    """
    path = as_path(path)
    header, rows = _read_rows(path)
    columns = set(header)
    has_colors = {"r", "g", "b"} <= columns
    has_ids = "id" in columns
    if missing := [c for c, there in (("name", "name" in columns), ("id", has_ids or has_colors)) if not there]:
        raise DataError(
            f"{path}: no column {' and '.join(missing)} in {','.join(header)!r}. Expected a first line of column names "
            "separated by commas: id,name for masks of ids, name,r,g,b for masks of colours, or id,name,r,g,b."
        )
    if not rows:
        raise DataError(f"{path}: contains a header but no classes; expected one line per class.")
    no_train_id = {"", "-1", "255", "65535"}
    given_ids = [row.get("train_id", "") for row in rows]
    if any(text.isdecimal() and len(text) <= 5 and 255 < int(text) < 65535 for text in given_ids):
        no_train_id.remove("255")  # an ordinary class
    by_train_id: dict[int, LabelClass] = {}
    void_ids: list[int] = []
    colors: dict[int, list[Color]] = {}  # by train id; void is -1
    for line, row in enumerate(rows, start=2):
        try:
            is_void = _is_void(row, no_train_id)
            given = to_color((row["r"], row["g"], row["b"])) if has_colors and (row["r"] or not is_void) else None
            codes = [to_code(given)] if given else []
            class_ids = [int(row["id"])] if has_ids else codes
            if is_void:
                void_ids += class_ids
                colors.setdefault(-1, []).extend([given] if given else [])
                continue
            train_id = int(row["train_id"]) if "train_id" in columns else len(by_train_id)
            color = given or voc_color(train_id + 1)
            colors.setdefault(train_id, []).append(color)
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}.") from error
        known = by_train_id.get(train_id, LabelClass(row["name"], color, ()))
        by_train_id[train_id] = LabelClass(known.name, known.color, (*known.class_ids, *class_ids))
    classes = in_order(by_train_id, path)
    by_color = [(c.name, color) for train_id, c in enumerate(classes) for color in colors[train_id]] * has_colors
    try:
        if not has_ids:
            return LabelSpace(name, classes, tuple(void_ids), ids_are_colors=True)
        return LabelSpace(name, classes, tuple(void_ids), by_color=space_by_color(name, by_color, colors.get(-1, [])))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def own_classes(folder: Path) -> LabelSpace | None:
    """The classes from a class table in a dataset folder, from any known tool; None without one.

    Raises:
        DataError: If the table cannot be read.
    """
    for name, read in _OWN_TABLES.items():
        for path in (folder / name, *_devkits(folder, name)):
            if path.is_file():
                return read(path)
    return None


def _devkits(folder: Path, name: str) -> list[Path]:
    return (
        [] if is_remote(folder) else sorted([*folder.glob(f"VOC20*/{name}"), *folder.glob(f"VOCdevkit/VOC20*/{name}")])
    )


def read_labelmap(path: Path) -> LabelSpace:
    """Read the ``labelmap.txt`` of CVAT: lines ``name:r,g,b:parts:actions``; ids are line numbers.

    Raises:
        DataError: If a line has no name or no colour.
    """
    colors: list[tuple[str, Color]] = []
    for number, line in enumerate(_lines(path), start=1):
        name, _, rest = line.partition(":")
        try:
            colors.append((name.strip(), to_color(rest.split(":")[0].split(","))))
        except ValueError as error:
            raise DataError(f"{path}, line {number}: expected 'name:r,g,b::', got {line!r} ({error}).") from error
    try:
        classes = tuple(LabelClass(name, color, (i,)) for i, (name, color) in enumerate(colors))
        return LabelSpace("custom", classes, by_color=space_by_color("custom", colors, [_VOC_BORDER]))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_class_names(path: Path) -> LabelSpace:
    """Read the ``class_names.txt`` of labelme2voc: one name per line, ids counted from 0; ``__ignore__`` is void.

    Raises:
        DataError: If there is no name, one occurs twice, or the lines hold more than names.
    """
    if numbered := next((line for line in _lines(path) if re.match(r"\d+\s*[:;,\s]|.*[,;\t]", line)), None):
        raise DataError(
            f"{path}: expected one class name per line, the ids being the line numbers from 0, got {numbered!r}. Write "
            "a classes.csv with the columns id,name."
        )
    names = [line for line in _lines(path) if line != "__ignore__"]
    try:
        return LabelSpace("custom", tuple(LabelClass(name, voc_color(i), (i,)) for i, name in enumerate(names)))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]


def read_text(path: Path) -> str:
    """Read a hand-written text file: UTF-8, or UTF-16 with a byte order mark; invalid characters are replaced."""
    try:
        data = read_bytes(path)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


#: Class tables looked for in a dataset's folder, in order of preference.
_OWN_TABLES: dict[str, Callable[[Path], LabelSpace]] = {
    "classes.csv": read_classes_csv,
    "class_dict.csv": read_classes_csv,
    "train/_classes.csv": read_classes_csv,  # Roboflow's
    "labelmap.txt": read_labelmap,
    "class_names.txt": read_class_names,
}


def write_classes_csv(path: Path, label_space: LabelSpace) -> None:
    """Write a table for ``read_classes_csv``; for classes identified by colour, colours serve as ids."""
    rows: list[list[object]] = []
    for train_id, c in enumerate(label_space.classes):
        ids = [train_id] if label_space.ids_are_colors else list(c.class_ids)
        rows += [[i, c.name, *c.color, train_id] for i in ids]
    if not label_space.ids_are_colors:
        rows += [[i, "void", "", "", "", ""] for i in label_space.void_ids]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["id", "name", "r", "g", "b", "train_id"], *rows])
    write_atomically(path, text.getvalue().encode(), to_streams=True)


def _read_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The header of a table in lower case, and its rows."""
    if not path.is_file():
        raise DataError(f"{path}: {_missing(path)}; expected a table of the classes.")
    try:
        text = io.StringIO(read_bytes(path).decode("utf-8-sig"), newline="")
        records = [r for r in csv.reader(text, strict=True) if any(map(str.strip, r))]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8 ({error}). Save it as CSV in UTF-8.") from error
    names = [cell.strip().lower() for cell in records[0]] if records else []
    header = [new if (new := _COLUMN_NAMES.get(name, name)) not in names else name for name in names]
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise DataError(f"{path}: column '{twice[0]}' occurs twice; remove or rename one.")
    for line, cells in enumerate(records, start=1):
        if len(cells) != len(header):
            raise DataError(
                f"{path}, line {line}: expected {len(header)} cells as in the first line, got {len(cells)}."
            )
    return header, [dict(zip(header, map(str.strip, cells), strict=True)) for cells in records[1:]]


def _is_void(row: Mapping[str, str], no_train_id: set[str]) -> bool:
    if row.get("void", "").lower() in {"1", "true", "yes"}:
        return True
    if "train_id" in row:
        return row["train_id"] in no_train_id
    return "void" not in row and row["name"].lower() in _VOID_NAMES


def known_label_space(name: str) -> LabelSpace:
    """Label space of a well-known dataset.

    Args:
        name: A name of ``known_label_spaces()``.

    Raises:
        DataError: If there is no such table.
    """
    if name not in known_label_spaces():
        raise DataError(f"Unknown label space '{name}'. Choose from: {', '.join(known_label_spaces())}.")
    return read_classes_csv(_TABLES / f"{name}.csv", name)


def known_label_spaces() -> tuple[str, ...]:
    """Names of the built-in label spaces."""
    return tuple(sorted(path.stem for path in _TABLES.glob("*.csv")))


def read_class_map(path: str | Path) -> dict[str, list[str]]:
    """Read a class map: a JSON or TOML table such as ``vehicle = ["car", "truck"]``.

    Args:
        path: Maps each new name to a list of old names; ``void`` lists classes to exclude.

    Raises:
        DataError: If the file is missing or holds something else.
    """
    path = as_path(path)
    table = _read_table(path)
    for new, old in table.items():
        if not isinstance(old, list) or not all(isinstance(name, str) for name in old):
            raise DataError(f"{path}: expected a list of class names for '{new}', got {old!r}.")
    return table


def merge_classes(label_space: LabelSpace, groups: Mapping[str, Sequence[str]]) -> LabelSpace:
    """Merge, rename or exclude classes.

    Args:
        label_space: The old classes.
        groups: New name -> old names. The new classes come first, in this order and in the colour of their first
            member; unnamed classes follow unchanged. The group ``void`` lists classes to exclude.

    Returns:
        The new classes; they keep the old ids, so masks are read as before.

    Raises:
        DataError: If an old name is unknown or in two groups, or a new name is taken.
    """
    old = {c.name: c for c in label_space.classes}
    used = [name for names in groups.values() for name in names]
    if unknown := [name for name in used if name not in old]:
        raise DataError(f"Unknown classes in the map: {list_some(unknown)}. Classes: {list_some([*old], limit=40)}.")
    if twice := sorted({name for name in used if used.count(name) > 1}):
        raise DataError(f"Classes named twice in the map: {list_some(twice)}.")
    untouched = [c for c in label_space.classes if c.name not in used]
    if taken := [c.name for c in untouched if c.name in groups]:
        raise DataError(f"New names {list_some(taken)} already belong to classes that the map does not list.")
    merged = [
        LabelClass(new, old[names[0]].color, tuple(i for name in names for i in old[name].class_ids))
        for new, names in groups.items()
        if new != VOID_GROUP and names
    ]
    left_out = [i for name in groups.get(VOID_GROUP, ()) for i in old[name].class_ids]
    void_ids = {*label_space.void_ids, *left_out}
    void_ids |= set() if label_space.ids_are_colors else {label_space.unlabelled_value}
    void_ids -= {i for c in label_space.classes for i in c.class_ids} - set(left_out)
    name = f"{label_space.name}-merged"
    return LabelSpace(name, (*merged, *untouched), tuple(sorted(void_ids)), label_space.ids_are_colors)


def _missing(path: Path) -> str:
    return "is a folder" if path.is_dir() else "no such file"


def _read_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: {_missing(path)}; expected a file.")
    readers = {".json": read_json, ".toml": read_toml}
    if not (reader := readers.get(path.suffix.lower())):
        raise DataError(
            f"{path}: expected a file that ends in .json or .toml; tables of classes may also be .csv or .txt."
        )
    try:
        table = reader(path)
    except ValueError as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(table, dict):
        raise DataError(f"{path}: expected a table of names and values, got a {type(table).__name__}.")
    return table
