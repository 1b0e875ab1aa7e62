"""Say clearly what is wrong where PyTorch, torchvision or timm is missing or does not fit."""

from __future__ import annotations

from agmm.errors import TrainingError

_INSTALL = "pip install 'sparsekit[train]'"


def require_training_packages() -> None:
    """Import torch, torchvision and timm.

    Raises:
        TrainingError: If one of them is not installed, or if the installed torchvision was built for another torch.
    """
    try:
        import torch
    except ImportError as error:
        raise TrainingError(
            f"agmm needs PyTorch, which cannot be imported ({error}). Install it: {_INSTALL}"
        ) from error
    try:
        # timm imports it; a build for another torch fails here with RuntimeError.
        import torchvision
    except ImportError as error:
        raise TrainingError(f"agmm needs torchvision, which cannot be imported ({error}). {_INSTALL}") from error
    except RuntimeError as error:
        raise TrainingError(
            f"The installed torchvision was not built for the installed torch {torch.__version__} ({error}). "
            f"Install two versions that belong together: {_INSTALL} with the constraints file of the project."
        ) from error
    try:
        import timm
    except ImportError as error:
        raise TrainingError(f"agmm needs timm, which cannot be imported ({error}). Install it: {_INSTALL}") from error
    del torchvision, timm
