"""Choices of the audits. Imports no NumPy, so that the command line lists them at once."""

from __future__ import annotations

#: Ways to spread labels; each is a function ``spread_<name>`` of ``score.py``.
METHOD_NAMES = ("nearest", "geodesic", "superpixels")

#: Longer side of the images on which labels spread. Larger images take longer and do not score better.
DEFAULT_MAX_SIZE = 1024
