"""Settings of the documentation site; `make docs` builds it."""

from docutils import nodes
from latex2mathml.converter import convert

from data_manifests.version import __version__

project = "sparsekit"
author = "The sparsekit developers"
copyright = "The sparsekit developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "sphinx_copybutton"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Browsers draw MathML themselves; MathJax would need a network.
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Show these names instead of the unions and arrays that they stand for.
autodoc_type_aliases = {name: name for name in ("LabelMap", "Encoding", "Image")}
napoleon_use_rtype = False
# Dataclasses describe their fields under Args; as attributes, they would appear twice.
autodoc_default_options = {"members": True, "exclude-members": "__init__,__new__"}

html_theme = "furo"
html_title = f"sparsekit {release}"
html_static_path = ["_static"]
copybutton_exclude = ".linenos, .gp, .go"


def _write_inline(writer, node):
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _write_block(writer, node):
    # MathML has no \tag, so the number goes into an element of its own.
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


def _skip_tuple_fields(app, what, name, obj, skip, options):
    # The class describes the fields of a named tuple; each would appear as "Alias for field number 0".
    return skip or type(obj).__name__ == "_tuplegetter"


_whole_docstrings = {}


def _keep_docstring(app, what, name, obj, options, lines):
    if what in {"attribute", "data", "property"}:
        _whole_docstrings[name] = list(lines)


def _restore_docstring(app, what, name, obj, options, lines):
    if name in _whole_docstrings:
        lines[:] = _whole_docstrings.pop(name)


def setup(app):
    """Write formulas as MathML, and keep the docstrings of constants and properties whole."""
    app.add_html_math_renderer("mathml", (_write_inline, None), (_write_block, None))
    app.connect("autodoc-skip-member", _skip_tuple_fields)
    # Napoleon (priority 500) takes what precedes their first colon for a type.
    app.connect("autodoc-process-docstring", _keep_docstring, priority=400)
    app.connect("autodoc-process-docstring", _restore_docstring, priority=600)
