"""Clear errors if PyTorch, torchvision, timm, safetensors or the CRF package is missing or incompatible."""

from __future__ import annotations

from agmm.errors import TrainingError

_INSTALL = "pip install 'sparsekit-agmm[train]'"


def require_training_packages(*, crf: bool = False) -> None:
    """Import torch, torchvision and timm.

    Args:
        crf: Also import the package of the dense CRF, and import it first, because the others take seconds.

    Raises:
        TrainingError: If one of them is not installed, or the installed torchvision was built for another torch.
    """
    if crf:
        require_crf()
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


def require_safetensors() -> None:
    """Import the package that reads the header of a run's weights.

    Raises:
        TrainingError: If safetensors is not installed.
    """
    try:
        import safetensors
    except ImportError as error:
        raise TrainingError(
            f"Runs are read with safetensors, which cannot be imported ({error}). Install it: pip install safetensors, "
            f"or all that agmm needs: {_INSTALL}"
        ) from error
    del safetensors


def require_crf() -> None:
    """Import the package of the dense CRF.

    Raises:
        TrainingError: If pydensecrf2 is not installed.
    """
    try:
        import pydensecrf.densecrf
    except ImportError as error:
        raise TrainingError(
            f"The dense CRF needs a package that cannot be imported ({error}). Install it (this needs a C++ compiler): "
            "pip install 'sparsekit-agmm[crf]', or pip install pydensecrf2"
        ) from error
    del pydensecrf
