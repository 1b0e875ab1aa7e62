"""Where the real datasets are that some tests run on, and the skip where they are not."""

import os
from pathlib import Path

import pytest

_ROOT = Path(os.environ.get("SPARSEKIT_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real_data(name: str) -> Path:
    """Folder of a real dataset; the calling test is skipped where it is absent."""
    folder = _ROOT / name
    if not folder.is_dir():
        pytest.skip(f"needs {folder}: set SPARSEKIT_DATA to the folder that holds '{name}'")
    return folder
