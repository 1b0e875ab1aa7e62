"""Settings of the documentation site; `make docs` builds it."""

from data_manifests.version import __version__

project = "sparsekit"
author = "The sparsekit developers"
copyright = "The sparsekit developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_rtype = False
# The dataclasses describe their fields under Args already; listing them again as attributes would repeat each.
autodoc_default_options = {"members": True, "exclude-members": "__init__,__new__"}

html_theme = "furo"
html_title = f"sparsekit {release}"
html_static_path = ["_static"]
