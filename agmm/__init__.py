"""Train and evaluate segmentation networks on sparse annotations.

The names in ``__init__.pyi`` load on first use, so importing the package does not import torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
