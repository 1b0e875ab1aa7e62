"""Settings of the documentation site; `make docs` builds it."""

from docutils import nodes
from latex2mathml.converter import convert

from data_manifests.version import __version__

project = "sparsekit"
author = "The sparsekit developers"
copyright = "The sparsekit developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Browsers draw MathML by themselves; MathJax would have to be fetched from a network.
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_rtype = False
# The dataclasses describe their fields under Args already; listing them again as attributes would repeat each.
autodoc_default_options = {"members": True, "exclude-members": "__init__,__new__"}

html_theme = "furo"
html_title = f"sparsekit {release}"
html_static_path = ["_static"]


def _write_inline(writer, node):
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _write_block(writer, node):
    # The number of an equation stands beside it: browsers know no \tag.
    text, _, number = node.astext().partition("\\tag{")
    formula = convert(text.strip(), display="block")
    label = f'<span class="eqno">({number.partition("}")[0]})</span>' if number else ""
    writer.body.append(
        writer.starttag(node, "div", CLASS="math", STYLE="overflow-y: hidden; padding: 0.4em 0")
        + label
        + formula
        + "</div>\n"
    )
    raise nodes.SkipNode


def setup(app):
    """Write formulas as MathML."""
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
