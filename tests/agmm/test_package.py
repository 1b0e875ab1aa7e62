import subprocess
import sys

import pytest

import agmm


def test_all_public_names_are_there() -> None:
    assert agmm.__all__ == sorted(agmm.__all__)
    for name in agmm.__all__:
        assert name == "__version__" or getattr(agmm, name).__name__ == name
    assert set(agmm.__all__) <= set(dir(agmm))
    with pytest.raises(AttributeError, match="No agmm attribute nothing"):
        agmm.nothing  # noqa: B018


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, agmm, cli.agmm_cli; agmm.load_config(); print({'torch', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
