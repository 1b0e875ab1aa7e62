from __future__ import annotations

import csv
import io
import random
import re
from decimal import Decimal

import pytest

from agmm.report.table_format import Difference, Scores, Table, format_table

TABLE = Table(
    "50 % & more",
    ("class", "a|b", "published", "difference"),
    (
        ("sky_1 <b>", Scores((61.0, 62.0, 63.0)), 60.04, Difference(61.98, 63.24)),
        ("none", None, 5, Difference(5.5, 5.0)),
    ),
    ("A note with $ and `a_b`.",),
    (("mIoU", Scores((1.25,)), 1.0, Difference(1.24, 1.16)),),
)


def test_markdown() -> None:
    lines = format_table(TABLE, "markdown").splitlines()
    assert lines == [
        "50 % & more", "",
        "| class | a\\|b | published | difference |",
        "| :--- | ---: | ---: | ---: |",
        "| sky_1 &lt;b> | 62.0 ± 1.0 (3) | 60.0 | −1.2 |",
        "| none | – | 5 | +0.5 |",
        "| mIoU | 1.2 | 1.0 | 0.0 |",
        "", "A note with $ and `a_b`.",
    ]  # fmt: skip


def test_latex_is_escaped_and_balanced() -> None:
    text = format_table(TABLE, "latex")
    assert r"\caption{50 \% \& more}" in text and r"\begin{tabular}{lrrr}" in text
    assert r"sky\_1 \textless{}b\textgreater{} & 62.0 $\pm$ 1.0 (3) & 60.0 & $-$1.2 \\" in text
    assert r"A note with \$ and \texttt{a\_b}." in text
    assert re.findall(r"\\(top|mid|bottom)rule", text) == ["top", "mid", "mid", "bottom"]
    body = text.split("midrule", 1)[1].split("\\bottomrule")[0]
    assert all(len(re.findall(r"(?<!\\)&", line)) == 3 for line in body.splitlines() if line.endswith(r"\\"))
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))


def test_latex_ticks_the_terms_of_a_loss_as_the_supplement_does() -> None:
    rows = (("L_seg", 60.3), ("L_seg + L_self, MT, seed_b 0.5", None), ("pseudo-labels, MT", 1.0))
    parts = ("L_seg", "L_self", "L_spar", "MT")
    lines = format_table(Table("t", ("loss", "50 clicks"), rows, parts=parts), "latex").splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs,amssymb}" and r"\begin{tabular}{ccclr}" in lines
    assert lines[lines.index(r"\toprule") + 1 : lines.index(r"\bottomrule")] == [
        r"$\mathcal{L}_{seg}$ & $\mathcal{L}_{self}$ & MT & loss & 50 clicks \\",
        r"\midrule",
        r"\checkmark &  &  &  & 60.3 \\",
        r"\checkmark & \checkmark & \checkmark & seed\_b 0.5 & – \\",
        r" &  & \checkmark & pseudo-labels & 1.0 \\",
    ]
    plain = format_table(Table("t", ("loss", "50 clicks"), rows[:1], parts=parts), "latex")
    assert r"\begin{tabular}{cr}" in plain


def test_csv_holds_numbers_and_deviations() -> None:
    rows = list(csv.reader(io.StringIO(format_table(TABLE, "csv"))))
    assert rows == [
        ["class", "a|b", "a|b, standard deviation", "published", "difference"],
        ["sky_1 <b>", "62.0", "1.0", "60.04", "-1.26"],
        ["none", "", "", "5", "0.5"],
        ["mIoU", "1.25", "", "1.0", "0.08"],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_differences_are_those_of_the_numbers_that_stand_beside_them(seed: int) -> None:
    ours, theirs = random.Random(seed).choices([i / 100 for i in range(10001)], k=2)
    table = Table("t", ("a", "ours", "theirs", "difference"), (("a", ours, theirs, Difference(ours, theirs)),))
    _, first, second, gap = (
        cell.strip() for cell in format_table(table, "markdown").splitlines()[4].strip("|").split("|")
    )
    assert Decimal(gap.replace("−", "-")) == Decimal(first) - Decimal(second)


def test_unknown_format() -> None:
    with pytest.raises(ValueError, match="Choose from: markdown, latex, csv"):
        format_table(TABLE, "html")  # type: ignore[arg-type]
