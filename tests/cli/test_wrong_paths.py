"""A path that is not there is told at once: before torch is imported, which takes seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agmm.conftest import tiny_manifest

# Runs a command in a process of its own, and says what it answered and whether torch was imported for that.
_PROGRAM = """
import json, sys
from click.testing import CliRunner
sys.modules["pydensecrf"] = None  # as if it were not installed
from cli.agmm_cli import main
result = CliRunner().invoke(main, sys.argv[1:])
print(json.dumps([result.exit_code, result.stderr, "torch" in sys.modules]))
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train absent", "absent: no such manifest."),
        ("train {manifest} --config absent.toml", "absent.toml: no such file; --config takes a TOML file"),
        ("train {manifest} --encoder-weights absent.pth", "absent.pth: no such file of encoder weights"),
        ("train {manifest} --resume absent", "absent/state.safetensors: no such checkpoint"),
        (
            "train {manifest} --out {run}",
            "already holds a run (state.safetensors). Resume it with --resume",
        ),
        (
            "train {manifest} --out r\udcff",
            r"'r\udcff': the path is not UTF-8, but TensorBoard requires it. Choose another",
        ),
        ("evaluate {weights} {manifest} --split train --crf", "The dense CRF needs pydensecrf2"),
        ("predict {weights} {folder} --out out --crf", "The dense CRF needs pydensecrf2"),
        ("stages {manifest} --refine crf", "The dense CRF needs pydensecrf2"),
        ("ablate {manifest} --table 2 --refine crf", "The dense CRF needs pydensecrf2"),
        ("report {weights} --manifest {manifest} --out {run}", "index.html: exists already."),
        ("stages absent", "absent: no such manifest."),
        ("stages {manifest} --config absent.toml", "absent.toml: no such file"),
        ("ablate absent --table 2", "absent: no such manifest."),
        ("ablate absent.toml", "absent.toml: no such study"),
        ("evaluate absent {manifest}", "absent: no such checkpoint"),
        ("evaluate {folder} {manifest}", "holds no weights.safetensors"),
        ("evaluate {weights} absent", "absent: no such manifest."),
        ("predict absent {folder} --out out", "absent: no such checkpoint"),
        ("predict {weights} absent --out out", "absent: no such image or folder."),
        ("predict {weights} {folder} --out out --gmm absent", "absent: no such manifest."),
        ("export absent --format onnx", "absent: no such checkpoint"),
        ("report absent --manifest {manifest}", "absent: no such checkpoint"),
        ("report {weights} --manifest absent", "absent: no such manifest."),
        ("figure tsne absent --manifest {manifest} --out a.png", "absent: no such checkpoint"),
        ("figure tsne {weights} --manifest absent --out a.png", "absent: no such manifest."),
        ("table per-class absent", "absent: no such checkpoint"),
        ("table budget {weights} --cost-model absent.toml", "absent.toml: no such file"),
    ],
)
def test_told_before_torch_is_imported(tmp_path: Path, arguments: str, message: str) -> None:
    if arguments.startswith(("report", "figure")):
        for package in ("jinja2", "matplotlib", "sklearn"):
            pytest.importorskip(package, reason="needs the extra 'figures'")
    manifest = tiny_manifest(tmp_path / "data", num_images=1)
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    run = tmp_path / "run"
    run.mkdir()
    for name in ("state.safetensors", "index.html"):
        (run / name).touch()
    places = {"manifest": manifest, "folder": tmp_path / "data", "weights": weights, "run": run}
    words = [word.format_map(places) for word in arguments.split()]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    code, error, imported_torch = json.loads(done.stdout)
    assert code == 1
    assert error.startswith("Error: ") and message in error
    assert not imported_torch
