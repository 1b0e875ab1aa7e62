"""Small inputs that tests of faults share."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sparsekit.demo_data.dataset import DemoSettings, write_demo_data
from tests.agmm.conftest import tiny_manifest


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight street scenes with full masks."""
    folder = tmp_path_factory.mktemp("scenes") / "town"
    write_demo_data(folder, DemoSettings(num_images=8, width=48, height=32))
    return folder


@pytest.fixture(scope="session")
def clicked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest to train on."""
    return tiny_manifest(tmp_path_factory.mktemp("clicked"), 4, (32, 32))


@pytest.fixture(scope="session")
def config_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a training of seconds, which loads in a process of its own."""
    from dataclasses import replace

    from tests.helpers.trainings import CONFIG

    path = tmp_path_factory.mktemp("settings") / "config.toml"
    path.write_text(replace(CONFIG, crop_size=(32, 32), accumulate=1, epochs=2, workers=1).to_toml())
    return path


@pytest.fixture(scope="session")
def trained(clicked: Path, config_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    pytest.importorskip("timm", reason="needs the extra 'train'")
    from cli.agmm_cli import main

    out = tmp_path_factory.mktemp("trained") / "run"
    words = ["train", clicked, "--config", config_path, "--workers", 0, "--epochs", 1, "--out", out]
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return out
