from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from data_manifests import Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest

if TYPE_CHECKING:
    from agmm.report.run import Run


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, list[Run]]:
    """Eight images, six of them annotated, and two runs on them with scores: a baseline and AGMM."""
    from agmm.evaluation.evaluate_run import evaluate_run  # needs torch, without which this file must be importable
    from agmm.report.runs import read_runs
    from tests.agmm.report.written_runs import SEG, write_run

    folder = tmp_path_factory.mktemp("town")
    manifest = read_manifest(tiny_manifest(folder, num_images=8))
    for name, settings in (("seg", {"loss": SEG}), ("agmm", {})):
        write_run(folder / name, manifest, scores=None, **settings)
        evaluate_run(folder / name, manifest, device="cpu")
    return manifest, read_runs([folder / "seg", folder / "agmm"])
