"""Clear errors if PyTorch, torchvision, timm, safetensors or the CRF package is missing or incompatible."""

from __future__ import annotations

from importlib import import_module

from agmm.errors import TrainingError

_INSTALL = "pip install 'sparsekit-agmm[train]'"


def require_package(name: str, needed: str, install: str) -> None:
    """Import a package.

    Args:
        name: Its name in Python.
        needed: What needs it, as the start of a sentence.
        install: The command that installs it.

    Raises:
        TrainingError: If it cannot be imported.
    """
    try:
        import_module(name)
    except ImportError as error:
        raise TrainingError(f"{needed}, which cannot be imported ({error}). Install it: {install}") from error


def require_training_packages(*, crf: bool = False) -> None:
    """Import torch, torchvision and timm.

    Args:
        crf: Also import the package of the dense CRF, and import it first, because the others take seconds.

    Raises:
        TrainingError: If one of them is not installed, or the installed torchvision was built for another torch.
    """
    if crf:
        require_crf()
    require_package("torch", "agmm needs PyTorch", _INSTALL)
    try:
        # timm imports it; a build for another torch fails here with RuntimeError.
        require_package("torchvision", "agmm needs torchvision", _INSTALL)
    except RuntimeError as error:
        import torch

        raise TrainingError(
            f"The installed torchvision was not built for the installed torch {torch.__version__} ({error}). "
            f"Install two versions that belong together: {_INSTALL} with the constraints file of the project."
        ) from error
    require_package("timm", "agmm needs timm", _INSTALL)


def require_safetensors() -> None:
    """Import the package that reads the header of a run's weights.

    Raises:
        TrainingError: If safetensors is not installed.
    """
    install = f"pip install safetensors, or all that agmm needs: {_INSTALL}"
    require_package("safetensors", "Runs are read with safetensors", install)


def require_crf() -> None:
    """Import the package of the dense CRF.

    Raises:
        TrainingError: If pydensecrf2 is not installed.
    """
    install = "pip install 'sparsekit-agmm[crf]', or pip install pydensecrf2 (this needs a C++ compiler)"
    require_package("pydensecrf.densecrf", "The dense CRF needs pydensecrf2", install)
