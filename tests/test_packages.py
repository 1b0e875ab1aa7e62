"""The four packages import in one direction, stay light, and are what the wheel ships."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "data_manifests": {"data_manifests"},
    "sparsekit": {"data_manifests", "sparsekit"},
    "agmm": {"data_manifests", "agmm"},
    "cli": {"data_manifests", "sparsekit", "agmm", "cli"},
}
HEAVY = {"torch", "torchvision", "timm", "matplotlib", "sklearn", "skimage", "jinja2", "distributed"}
SLOW = {"numpy", "cv2", "PIL", "scipy", "pandas", "fsspec"}


def imports(path, top_level_only=False):
    """Top-level names of the packages that a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        if path.name == "__main__.py":  # `python -m` of a package is its command
            continue
        crossing = imports(path) & (set(ALLOWED) - ALLOWED[package])
        assert not crossing, f"{path.relative_to(ROOT)} imports {crossing}"


def test_torch_is_imported_under_agmm_only():
    for package in ("data_manifests", "sparsekit"):
        for path in (ROOT / package).rglob("*.py"):
            assert not imports(path) & {"torch", "torchvision", "timm"}, path.relative_to(ROOT)
    for path in (ROOT / "cli").rglob("*.py"):  # inside functions only
        assert not imports(path, top_level_only=True) & HEAVY, path.relative_to(ROOT)


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import data_manifests", HEAVY | SLOW),
        ("from data_manifests import *", HEAVY),
        ("import sparsekit", HEAVY | SLOW),
        ("from sparsekit import *", HEAVY),
        ("import agmm", HEAVY | SLOW),
        ("import agmm; agmm.load_config()", HEAVY | {"cv2"}),
        ("import cli.sparsekit_cli", HEAVY | SLOW),  # before --help and --version answer
        ("import cli.agmm_cli", HEAVY | SLOW),
    ],
)
def test_importing_a_package_loads_nothing_heavy(statement, without):
    code = f"import sys; {statement}; print(*sorted({without!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == ""


def public_names(package):
    """By public name of a package, the module that its stub says it comes from."""
    stub = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    return {alias.name: f"{package}.{node.module}" for node in stub.body for alias in node.names}


@pytest.mark.parametrize("package", ["data_manifests", "sparsekit", "agmm"])
def test_public_names_are_loaded_from_their_modules_when_they_are_used(package):
    module = importlib.import_module(package)
    homes = public_names(package)
    assert set(module.__all__) == set(homes)
    for name, home in homes.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"No {package} attribute nothing"):
        module.nothing  # noqa: B018


def test_a_process_for_uniform_clicks_loads_nothing_that_they_do_without():
    code = (
        "import sys, sparsekit.synthesis.synthesize; print(*{'scipy', 'pandas', 'fsspec', 'http'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("command", ["sparsekit", "agmm"])
def test_help_works_without_torch(command, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    code = f"import sys; sys.argv = ['{command}', '--help']; from cli.{command}_cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert "Commands:" in result.stdout and result.stderr == ""


@pytest.mark.parametrize("package", ["sparsekit", "agmm"])
def test_a_package_run_as_a_module_is_its_command(package):
    command = [sys.executable, "-m", package]
    help_text = subprocess.run([*command, "--help"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert help_text.startswith(f"Usage: {package} [OPTIONS] COMMAND")
    wrong = subprocess.run([*command, "nothing"], capture_output=True, text=True, cwd=ROOT)
    assert wrong.returncode == 2 and "No such command 'nothing'" in wrong.stderr


#: Files of a user's own whose names are those of packages of ours.
NAMESAKES = ("cli.py", "cli/__init__.py", "data_manifests.py", "data_manifests/__init__.py")


def run_beside_namesakes(folder, *words):
    for name in NAMESAKES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise ImportError('the module of the working folder')")
    path = os.pathsep.join(
        [str(ROOT), str(folder)]
    )  # as with `export PYTHONPATH=.`, which torchrun's processes get, too
    result = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": path})
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_modules_of_the_working_folder_hide_none_of_ours(tmp_path):
    run_beside_namesakes(
        tmp_path, sys.executable, "-m", "sparsekit", "demo-data", "town", "--images", "4", "--workers", "2"
    )
    run_beside_namesakes(
        tmp_path, sys.executable, "-m", "sparsekit", "points", "town", "--clicks", "5", "--workers", "2"
    )
    assert (tmp_path / "sparse" / "town-5clicks" / "manifest.csv").is_file()
    assert "small-cpu" in run_beside_namesakes(tmp_path, sys.executable, "-m", "agmm", "recipes")


def test_modules_of_the_working_folder_hide_none_of_ours_from_torchrun(tmp_path):
    pytest.importorskip("torch")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "1"]
    assert "small-cpu" in run_beside_namesakes(tmp_path, *torchrun, "-m", "agmm", "recipes")


@pytest.mark.parametrize("package", ["sparsekit", "agmm"])
def test_the_console_scripts_are_the_modules_run(package):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[package] == f"{package}.__main__:main"
    code = f"import sys; sys.argv = ['{package}', '--version']; from {package}.__main__ import main; main()"
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True).stdout.startswith(package)


def test_every_file_that_is_not_code_is_in_the_wheel():
    # hatchling takes all that git tracks below these folders; a folder missing here would be missing there.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == sorted(ALLOWED)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(p.name for p in (ROOT / "docs").glob("*.md"))])
def test_links_between_pages_lead_somewhere(page):
    path = ROOT / page if page.isupper() or (ROOT / page).is_file() else ROOT / "docs" / page
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"
