"""What the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from agmm.config.recipes import recipe_names
from cli.agmm_cli import main as agmm
from cli.sparsekit_cli import main as sparsekit


def completed(group: object, name: str, *words: str) -> list[str]:
    complete = ShellComplete(group, {}, name, f"_{name.upper()}_COMPLETE")  # type: ignore[arg-type]
    return [item.value for item in complete.get_completions([*words[:-1]], words[-1])]


def test_recipes() -> None:
    assert completed(agmm, "agmm", "train", "m.csv", "--recipe", "") == list(recipe_names())
    assert completed(agmm, "agmm", "recipes", "small-") == ["small-cpu", "small-data"]
    assert completed(agmm, "agmm", "ablate", "--recipe", "nothing") == []


def test_encoders_of_the_recipes_and_of_timm() -> None:
    assert "resnet50s.gluon_in1k" in completed(agmm, "agmm", "train", "m.csv", "--encoder", "")
    pytest.importorskip("timm", reason="needs the extra 'train'")
    found = completed(agmm, "agmm", "stages", "m.csv", "--encoder", "mobilenetv2_")
    assert found[0] == "mobilenetv2_100.ra_in1k" and "mobilenetv2_140.ra_in1k" in found
    assert len(completed(agmm, "agmm", "train", "m.csv", "--encoder", "re")) == 100


def test_choices_and_commands() -> None:
    assert completed(sparsekit, "sparsekit", "points", "--strategy", "per") == ["per-class", "per-instance"]
    assert completed(sparsekit, "sparsekit", "agr") == ["agreement"]


@pytest.mark.parametrize("name", ["agmm", "sparsekit"])
def test_commands_print_the_script_that_the_docs_name(name: str) -> None:
    environment = os.environ | {f"_{name.upper()}_COMPLETE": "zsh_source"}
    done = subprocess.run([sys.executable, "-m", name], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"#compdef {name}" in done.stdout
