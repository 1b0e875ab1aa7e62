from __future__ import annotations

import importlib.abc
import sys

import pytest
from click.testing import CliRunner

from agmm.errors import TrainingError
from agmm.requirements import require_training_packages
from cli.agmm_cli import main


@pytest.mark.parametrize("name", ["torch", "torchvision", "timm"])
def test_says_what_is_missing_and_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_training_packages()
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(TrainingError, match=rf"{name}.*pip install 'sparsekit-agmm\[train\]'|PyTorch.*pip install"):
        require_training_packages()


@pytest.mark.parametrize("args", [("table", "budget"), ("report",)], ids="-".join)
def test_tables_and_reports_say_how_to_install_what_reads_runs(args, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    result = CliRunner().invoke(main, [*args, str(tmp_path)])
    assert result.exit_code == 1
    assert "pip install safetensors" in result.output and "Traceback" not in result.output


def test_says_that_torchvision_does_not_match_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mismatch(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "torchvision":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, "torchvision")
    monkeypatch.setattr(sys, "meta_path", [Mismatch(), *sys.meta_path])
    with pytest.raises(TrainingError, match=r"not built for the installed torch .*nms does not exist"):
        require_training_packages()
