from pathlib import Path

import numpy as np
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests.files.images import encode_image, write_atomically


def test_a_long_cell_of_a_stranger_makes_a_short_error(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        write_atomically(tmp_path / name / "a.png", encode_image(np.zeros((4, 4), np.uint8)))
    (tmp_path / "classes.csv").write_text(f"name,id\n{'x' * 70_000},0\n{'x' * 70_000},1\n")
    result = CliRunner().invoke(main, ["points", str(tmp_path), "--clicks", "1", "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "classes.csv" in result.stderr and " ... " in result.stderr and len(result.stderr) < 2100
