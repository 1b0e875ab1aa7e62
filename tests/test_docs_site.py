"""The pages that `make docs` builds; the build itself takes a minute and is run by ``make docs``."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
#: Between double dollar signs, or on one line between single ones that stand before or after a space.
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\w$(`])\$(?=[^\s$])([^$\n]+?)\$(?![\w$])", re.DOTALL)


def formulas(page):
    text = re.sub(r"```.*?```|`[^`\n]*`|^    .*$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    return [block or inline for block, inline in FORMULA.findall(text)]


@pytest.mark.parametrize("page", [page for page in PAGES if formulas(page)])
def test_formulas_can_be_drawn_without_a_network(page):
    """As MathML that names no command of TeX, which is what an unknown one would be turned into."""
    converter = pytest.importorskip("latex2mathml.converter", reason="needs the extra 'docs'")
    for formula in formulas(page):
        markup = converter.convert(re.sub(r"\\tag\{\d+\w?\}", "", formula))
        assert markup.startswith("<math ") and "\\" not in markup, formula


def test_pages_load_no_script_for_their_formulas():
    assert 'html_math_renderer = "mathml"' in (DOCS / "conf.py").read_text()
    assert len(formulas("method.md")) > 20
