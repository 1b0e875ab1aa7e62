"""`agmm reproduce` as it is typed."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agmm.studies.paper_tables import FIGURES, TABLES
from cli.agmm_cli import main
from data_manifests import Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.agmm.training.test_stages import fast_config


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return read_manifest(tiny_manifest(folder, num_images=3, splits=("train", "train", "val")))


@pytest.mark.parametrize(("figure", "num_runs"), [("figure-2", 2), ("figure-3", 3)])
def test_one_command_trains_and_draws_and_repeats_nothing(
    figure: str, num_runs: int, manifest: Manifest, tmp_path: Path
) -> None:
    config = tmp_path / "fast.toml"
    config.write_text(fast_config().to_toml())

    def reproduce(*more: str) -> Result:
        words = ["reproduce", figure, str(manifest.path), "--config", str(config), "--epochs", "1", *more]
        return CliRunner().invoke(main, [*words, "--seed", "3", "--out", str(tmp_path / "out")])

    first = reproduce()
    assert first.exit_code == 0, first.output
    assert first.stderr.count("seed 3\n") == num_runs
    assert "500 images of cityscapes val; yours are of other images" in first.stderr
    assert (tmp_path / f"out/{figure}.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / f"out/{figure}.png").stat().st_size > 10_000
    assert first.stdout.splitlines()[-1].startswith(f"Written: {tmp_path}/out/{figure}.pdf, ")
    again = reproduce("--json")
    assert again.exit_code == 0 and "run 1/" not in again.stderr
    assert [row["seed"] for row in json.loads(again.stdout)["runs"]] == ["3"] * num_runs


def test_rows_of_figures_keep_the_published_numbers_of_table_2() -> None:
    published = {setting.name: dict(setting.published) for setting in TABLES[2].settings if setting.stages == 1}
    for study in FIGURES.values():
        named = [setting for setting in study.settings if setting.name in published]
        assert len(named) == 2 and all(setting.published == published[setting.name] for setting in named)
        assert (study.published_in, study.published_images) == ("cityscapes", 500)


def test_figures_start_from_agmm(manifest: Manifest, tmp_path: Path) -> None:
    words = ["reproduce", "figure-2", str(manifest.path), "--loss-kind", "auto", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "add --loss-kind agmm" in result.stderr
    assert not (tmp_path / "out").exists()
