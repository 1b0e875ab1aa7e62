"""Choices of splitting a manifest. Imports no NumPy, so that the command line lists them at once."""

from __future__ import annotations

from typing import Literal

#: Unit that is distributed: single images, groups of images, or images so that classes are even.
By = Literal["image", "group", "class"]

#: Default group: the name up to the first ``_`` or ``/``, such as the city in Cityscapes.
DEFAULT_GROUP = r"[^_/]+"
