"""The interface between annotation and training: label spaces, dataset layouts, and the manifest.

The names in ``__init__.pyi`` load on first use, so the commands answer ``--help`` without NumPy and OpenCV.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
