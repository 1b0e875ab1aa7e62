"""Write a table as Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agmm.config.outputs import TABLE_FORMATS, TableFormat
from data_manifests.files.csv import text_cell


@dataclass(frozen=True)
class Difference:
    """Difference of two numbers, shown with its sign and computed from the numbers as shown.

    Args:
        ours: A number of the same row.
        theirs: The number to subtract.
    """

    ours: float
    theirs: float

    @property
    def value(self) -> float:
        """Difference of the unrounded numbers."""
        return self.ours - self.theirs

    @property
    def shown(self) -> float:
        """Difference of the numbers as shown."""
        return shown(self.ours) - shown(self.theirs)


@dataclass(frozen=True)
class Scores:
    """Scores of several runs of one setting, shown as mean and, if there are several, standard deviation."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of all values."""
        return statistics.mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the runs; None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


#: Text, a whole number, a number with one decimal, or an empty cell.
Cell = str | int | float | Difference | Scores | None


#: Note below a table with scores of several runs.
SPREAD = "± standard deviation over runs (their number)."


def has_spread(rows: Sequence[tuple[Cell, ...]]) -> bool:
    """Whether any cell holds scores of several runs."""
    return any(isinstance(cell, Scores) and len(cell.values) > 1 for row in rows for cell in row)


@dataclass(frozen=True)
class Table:
    """A table to be written.

    Args:
        title: A sentence above it.
        header: Names of the columns.
        rows: Rows with one cell per column.
        notes: Sentences below it.
        summary_rows: Number of rows at the end that a line separates.
        parts: Parts that names of rows are made of, such as the terms of a loss; LaTeX ticks them in columns.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    summary_rows: tuple[tuple[Cell, ...], ...] = field(default=())
    parts: tuple[str, ...] = ()


def shown(value: float) -> float:
    """Round a number to one decimal, as tables and pages show it.

    Example:
        >>> shown(25.66), shown(-0.01)
        (25.7, 0.0)
    """
    return float(f"{value:.1f}") + 0.0  # not -0.0


def format_table(table: Table, format_: TableFormat) -> str:
    """Write a table.

    Args:
        table: The table.
        format_: ``markdown``, ``latex`` (needs the packages booktabs and amssymb), ``csv`` or ``json``, which have
            unrounded numbers and differences, and columns for standard deviations.

    Raises:
        ValueError: If the format is unknown.
    """
    writers: dict[str, Callable[[Table], str]] = {"markdown": _markdown, "latex": _latex, "csv": _csv, "json": _json}
    if format_ not in writers:
        raise ValueError(f"Unknown format '{format_}'. Choose from: {', '.join(TABLE_FORMATS)}.")
    return writers[format_](table)


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

    rows = [[escape(_text(cell)) for cell in row] for row in (*table.rows, *table.summary_rows)]
    aligned = [":---", *["---:"] * (len(table.header) - 1)]
    lines = [escape(table.title), "", line([escape(name) for name in table.header]), line(aligned), *map(line, rows)]
    lines += [part for note in table.notes for part in ("", escape(note))]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": r"$-$", "λ": r"$\lambda$",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _latex(table: Table) -> str:
    def escape(text: str) -> str:
        escaped = "".join(_LATEX.get(letter, letter) for letter in text)
        return re.sub("`([^`]*)`", r"\\texttt{\1}", escaped)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(map(escape, cells)) + r" \\"

    def block(rows: Sequence[Sequence[Cell]]) -> list[str]:
        return [line([_text(cell) for cell in row]) for row in rows]

    head, body, aligned = line(table.header), block(table.rows), "l"
    if table.parts:
        parts, others = _parts_of(table)
        titles = [_math(part) for part in parts] + ([escape(table.header[0])] if any(others) else [])
        aligned = "c" * len(parts) + "l" * any(others)
        head = " & ".join([*titles, line(table.header[1:])])
        body = []
        for row, other in zip(table.rows, others, strict=True):
            ticks = [r"\checkmark" if part in _split_name(row[0]) else "" for part in parts]
            words = [escape(", ".join(other))] if any(others) else []
            body.append(" & ".join([*ticks, *words, line([_text(cell) for cell in row[1:]])]))
    lines = [
        f"% needs \\usepackage{{booktabs{',amssymb' if table.parts else ''}}}",
        r"\begin{table}", r"\centering", f"\\caption{{{escape(table.title)}}}",
        f"\\begin{{tabular}}{{{aligned}{'r' * (len(table.header) - 1)}}}", r"\toprule", head, r"\midrule",
        *body, *([r"\midrule", *block(table.summary_rows)] if table.summary_rows else []),
        r"\bottomrule", r"\end{tabular}",
        *(f"\\par\\smallskip{{\\footnotesize {escape(note)}}}" for note in table.notes),
        r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _split_name(name: Cell) -> list[str]:
    return re.split(r" \+ |, ", str(name))


def _parts_of(table: Table) -> tuple[list[str], list[list[str]]]:
    """The parts that any row has, and what else the name of each row says."""
    names = [_split_name(row[0]) for row in table.rows]
    used = [part for part in table.parts if any(part in name for name in names)]
    return used, [[word for word in name if word not in used] for name in names]


def _math(part: str) -> str:
    """A term of the loss in the paper's notation."""
    letter, _, index = part.partition("_")
    return f"$\\mathcal{{{letter}}}_{{{index}}}$" if index else part


def _csv(table: Table) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(map(text_cell, row) for row in _values(table))
    return buffer.getvalue()


def _json(table: Table) -> str:
    header, *rows = _values(table)
    objects = [
        {str(name): None if value == "" else value for name, value in zip(header, row, strict=True)} for row in rows
    ]
    return json.dumps(objects, indent=2, ensure_ascii=False) + "\n"


def _values(table: Table) -> list[list[object]]:
    """The header and the numbers of each row; columns of several runs are followed by their standard deviations."""
    rows = [*table.rows, *table.summary_rows]
    spread = [any(isinstance(row[i], Scores) and _deviation(row[i]) is not None for row in rows)
              for i in range(len(table.header))]  # fmt: skip

    def expand(values: Sequence[object], extra: Sequence[object]) -> list[object]:
        return [
            v for value, more, s in zip(values, extra, spread, strict=True) for v in ([value, more] if s else [value])
        ]

    header = expand(table.header, [f"{name}, standard deviation" for name in table.header])
    return [header, *(expand([_number(cell) for cell in row], [_deviation(cell) for cell in row]) for row in rows)]


def _text(cell: Cell) -> str:
    if isinstance(cell, Scores):
        spread = "" if cell.deviation is None else f" ± {cell.deviation:.1f} ({len(cell.values)})"
        return f"{cell.mean:.1f}{spread}"
    if isinstance(cell, Difference):
        return signed(cell.shown)
    if isinstance(cell, float):
        return f"{cell:.1f}"
    return "–" if cell is None else f"{cell:,}" if isinstance(cell, int) else cell


def signed(value: float) -> str:
    """Format a difference with its sign and one decimal; 0.0 has no sign."""
    return "0.0" if shown(value) == 0 else f"{value:+.1f}".replace("-", "−")


def _number(cell: Cell) -> object:
    value = cell.mean if isinstance(cell, Scores) else cell.value if isinstance(cell, Difference) else cell
    return "" if value is None else round(value, 4) if isinstance(value, float) else value


def _deviation(cell: Cell) -> object:
    if isinstance(cell, Scores) and cell.deviation is not None:
        return round(cell.deviation, 4)
    return None
