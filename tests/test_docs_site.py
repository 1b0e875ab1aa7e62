"""The pages that `make docs` builds; the build itself takes a minute and is run by ``make docs``."""

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.agmm_cli import main as agmm
from cli.sparsekit_cli import main as sparsekit
from tests.test_packages import public_names

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
#: Between double dollar signs, or on one line between single ones that stand before or after a space.
COMMAND = re.compile(r"^ *(?:\$ )?(?:torchrun [^\n]* -m )?((?:agmm|sparsekit) [^\n]+)$", re.MULTILINE)
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


def commands(text):
    """The command lines in blocks of code, as a reader copies them."""
    blocks = re.findall(
        r"```(?:bash)?\n(.*?)^```|((?:^    .*\n)+)", text.replace("\\\n", " "), re.DOTALL | re.MULTILINE
    )
    lines = [line for fenced, indented in blocks for line in COMMAND.findall(fenced + indented)]
    return [shlex.split(line.replace("$SLURM_ARRAY_TASK_ID", "3"), comments=True) for line in lines]


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_command_of_a_page_can_be_typed(page):
    """Each name, option and number of arguments is one that the command takes; nothing is run."""
    text = PAGES[page] if page in PAGES else (DOCS.parent / page).read_text(encoding="utf-8")
    for name, *words in commands(text):
        group = {"agmm": agmm, "sparsekit": sparsekit}[name]
        with click.Context(group, info_name=name) as context:
            called, command, rest = group.resolve_command(context, words)
            try:
                command.make_context(called, list(rest), parent=context)
            except click.UsageError as error:
                pytest.fail(f"{shlex.join([name, *words])}: {error.format_message()}")


def test_commands_are_found():
    assert ["agmm", "train", "MANIFEST", "--resume", "runs/first"] in commands(PAGES["training.md"])
    assert sum(len(commands(text)) for text in PAGES.values()) > 60


@pytest.mark.parametrize("package", ["data_manifests", "sparsekit", "agmm"])
def test_the_reference_has_every_public_name(package):
    page = PAGES[f"api-{package}.md"]
    listed = re.findall(rf"^\.\. (?:auto|py:)\w+:: {package}\.(\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(public_names(package).keys() - {"__version__"})
