"""Try the wheel in an empty environment: ``python tests/wheel.py PYTHON...``, one environment for each interpreter.

Installs the wheel without extras and runs what works without torch, in a folder that has its own ``cli.py``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

COMMANDS = (
    "sparsekit --version",
    "agmm --help",
    "sparsekit demo-data town --images 4",
    "sparsekit points --clicks 20 town",
    "sparsekit scribbles town",
    "sparsekit render sparse/town-20clicks/manifest.csv",
    "sparsekit export sparse/town-20clicks/manifest.csv --to mmseg --out exported",
    "sparsekit validate sparse/town-20clicks/manifest.csv",
    "sparsekit verify sparse/town-20clicks/manifest.csv",
)


def main(interpreters: list[str]) -> None:
    """Build the wheel once, then install and run it with each interpreter; those that are missing are named."""
    folder = Path(tempfile.mkdtemp(prefix="wheel-"))
    try:
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], cwd=folder)
        (wheel,) = folder.glob("*.whl")
        check_metadata(wheel)
        for interpreter in interpreters:
            if shutil.which(interpreter) is None:
                print(f"{interpreter}: not installed here, skipped")
                continue
            try_wheel(wheel, interpreter, folder / f"with-{interpreter}")
    finally:
        shutil.rmtree(folder)


def check_metadata(wheel: Path) -> None:
    """The wheel holds its licence, and a README without links that an index page cannot follow."""
    name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"]
    assert wheel.name.startswith(name.replace("-", "_") + "-"), wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(n).decode() for n in names if n.endswith(".dist-info/METADATA"))
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert "](docs/" not in metadata and "](CONTRIBUTING" not in metadata


def try_wheel(wheel: Path, interpreter: str, folder: Path) -> None:
    """Install into an empty environment and run the commands that need no torch."""
    run([interpreter, "-m", "venv", folder / "env"])
    python = folder / "env" / "bin" / "python"
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel])
    (folder / "cli.py").write_text("raise SystemExit('a file of the user')\n")
    (folder / "data_manifests").mkdir()
    for command in COMMANDS:
        name, *words = command.split()
        run([folder / "env" / "bin" / name, *words], cwd=folder)
        run(
            [python, "-m", name, *words[:1], "--help"] if words[0][0] != "-" else [python, "-m", name, *words],
            cwd=folder,
        )
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}: {len(COMMANDS)} commands ran")


def run(command: list[str | Path], cwd: Path | None = None) -> None:
    """Run a command; its output is shown only where it fails."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["python3.11", "python3.12", "python3.13"])
