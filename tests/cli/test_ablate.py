"""`agmm ablate` as it is typed."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import agmm.studies.runner
import agmm.training.stages
from agmm.config.recipes import load_config
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.inference.protocols import Protocol
from agmm.studies.runner import plan_runs
from agmm.studies.study import Study
from cli.agmm_cli import main
from data_manifests import Manifest, read_manifest
from data_manifests.files.atomic import write_atomically
from tests.agmm.conftest import tiny_manifest
from tests.agmm.training.test_stages import fast_config


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return read_manifest(tiny_manifest(folder, num_images=3, splits=("train", "train", "val")))


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ablate", *map(str, arguments)])


def test_command(manifest: Manifest, tmp_path: Path) -> None:
    study, config = tmp_path / "study.toml", tmp_path / "fast.toml"
    study.write_text(
        f'title = "T"\nbase = "fast.toml"\nsplit = "train"\nmanifests = ["{manifest.path}"]\n'
        '[[setting]]\nname = "a"\nepochs = 1\n'
    )
    config.write_text(fast_config().to_toml())
    result = invoke(study, "--out", tmp_path / "out", "--seeds", "3")
    assert result.exit_code == 0, result.output
    assert "run 1/1: tiny, a, seed 3" in result.stderr
    assert "; train split, whole image" in result.stdout
    assert "| setting | tiny |" in result.stdout and result.stdout.splitlines()[-2].startswith("Written: ")
    run = tmp_path / "out/runs/tiny/a/seed-3/stage-1"
    assert result.stdout.splitlines()[-1] == f"Next: agmm report {run} --manifest {manifest.path} --split train"


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_the_first_process_alone_announces_a_run(
    rank: str, lines: int, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_study(study: Study, manifests: Sequence[Manifest], config: TrainConfig, out: Path, **more: Any) -> None:
        more["on_run"](1, 6, plan_runs(study, manifests, config, (0,), out)[0])
        raise TrainingError("enough")

    monkeypatch.setattr(agmm.studies.runner, "run_study", run_study)
    for name, value in {"RANK": rank, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    result = invoke(manifest.path, "--table", 2, "--out", tmp_path)
    assert "enough" in result.stderr and result.stderr.count("run 1/6: ") == lines


@pytest.mark.parametrize("table", [1, 2])
def test_the_papers_tables_start_from_agmm(manifest: Manifest, tmp_path: Path, table: int) -> None:
    for option in (("--recipe", "few-clicks"), ("--loss-kind", "seg")):
        result = invoke(manifest.path, "--table", table, "--out", tmp_path / "out", *option)
        assert result.exit_code == 2 and "add --loss-kind agmm" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_study_names_its_recipe(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[TrainConfig] = []

    def note(_: Study, __: Sequence[Manifest], config: TrainConfig, *___: object, **____: object) -> None:
        begun.append(config)
        raise TrainingError("enough")

    monkeypatch.setattr(agmm.studies.runner, "run_study", note)
    study = tmp_path / "study.toml"
    study.write_text(f'recipe = "small-data"\nmanifests = ["{manifest.path}"]\n[[setting]]\nname = "a"\n')
    for options in ([], ["--recipe", "voc-r101"]):
        assert invoke(study, "--out", tmp_path / "out", *options).stderr == "Error: enough\n"
    assert begun == [load_config("small-data"), load_config("voc-r101")]


def test_the_next_command_compares_the_best_setting_with_the_baseline(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"a": 0.3, "b": 0.5, "c": 0.4}

    def run_study(*_: Any, **__: Any) -> list[dict[str, str]]:
        write_atomically(tmp_path / "my out/report.md", b"text")
        return [
            {"annotation": "tiny", "setting": name, "seed": seed, "miou": str(miou), "run": f"runs/{name}/{seed}"}
            for name, miou in scores.items()
            for seed in ("0", "1")
        ]

    monkeypatch.setattr(agmm.studies.runner, "run_study", run_study)
    text = "".join(f'[[setting]]\nname = "{name}"\n' for name in scores)
    (tmp_path / "s.toml").write_text('title = "T"\n' + text)
    words = [manifest.path, tmp_path / "s.toml", "--device", "cpu", "--out", tmp_path / "my out"]
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    a, b, c = (shlex.quote(str(tmp_path / f"my out/runs/{name}/0")) for name in "abc")
    assert result.stdout.splitlines()[-1] == f"Next: agmm report {a} {b} --manifest {manifest.path}"
    scores["a"] = 0.6  # best itself
    assert invoke(*words).stdout.splitlines()[-1] == f"Next: agmm report {a} {b} --manifest {manifest.path}"
    (tmp_path / "s.toml").write_text('title = "T"\nbaseline = "b"\nceiling = "a"\n' + text)
    assert invoke(*words).stdout.splitlines()[-1] == f"Next: agmm report {b} {c} --manifest {manifest.path}"
    scores["c"] = 0.55
    assert invoke(*words).stdout.splitlines()[-1] == f"Next: agmm report {b} {c} --manifest {manifest.path}"


@pytest.mark.parametrize("names", ["a", "ab"], ids=["one row", "two names of one run"])
def test_a_study_of_one_run_leads_to_its_report(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    row = {"annotation": "tiny", "seed": "0", "miou": "0.5", "run": "runs/a/0"}
    rows = [{**row, "setting": name} for name in names]
    monkeypatch.setattr(agmm.studies.runner, "run_study", lambda *_, **__: rows)
    write_atomically(tmp_path / "out/report.md", b"text")
    (tmp_path / "s.toml").write_text('ceiling = "a"\n[[setting]]\nname = "a"\n')
    result = invoke(manifest.path, tmp_path / "s.toml", "--device", "cpu", "--out", tmp_path / "out")
    assert result.stdout.splitlines()[-1] == f"Next: agmm report {tmp_path}/out/runs/a/0 --manifest {manifest.path}"


def test_a_missing_crf_is_told_at_once(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    arguments = [manifest.path, "--table", "2", "--device", "cpu", "--out", tmp_path / "out"]
    result = invoke(*arguments, "--refine", "crf")
    assert result.exit_code == 1
    assert "pip install pydensecrf2" in result.stderr
    assert not (tmp_path / "out").exists()
    seen: list[str] = []

    def run_study(*_: Any, pseudo_protocol: Protocol, **__: Any) -> list[dict[str, str]]:
        seen.append(str(pseudo_protocol))
        raise KeyboardInterrupt

    monkeypatch.setattr(agmm.studies.runner, "run_study", run_study)
    monkeypatch.setattr("agmm.requirements.require_crf", lambda: None)
    for refine in ("crf", "none"):
        invoke(*arguments, "--refine", refine)
    assert [text.endswith(", dense CRF") for text in seen] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give one of --table 1, --table 2 or a STUDY.toml"),
        (["m", "--table", "2", "--seed", "1"], "takes --seeds, not --seed"),
        (["--table", "2"], "Give the manifests to train on"),
        (["m", "--table", "2", "--seeds", "0,x"], "'x' is not a valid whole number"),
        (["m", "--table", "2", "--seeds", "0,0"], "--seeds must differ"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
