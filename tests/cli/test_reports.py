"""``agmm report``, ``agmm figure`` and ``agmm table``."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from agmm.evaluation.evaluate_run import evaluate_run
from agmm.report.page import PageImages, write_page
from agmm.report.predictions import predict_rows
from agmm.report.runs import read_runs
from cli import progress
from cli.agmm_cli import main
from cli.sparsekit_cli import main as sparsekit
from data_manifests import Mark, read_manifest, write_manifest
from data_manifests.manifest.marks import write_marks
from tests.agmm.conftest import tiny_label_space, tiny_manifest
from tests.agmm.report.written_runs import SEG, add_scores, empty_manifest, write_run, write_unloadable_run
from tests.helpers.real_data import real_data


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", float("inf"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/manifest.csv and the runs seg, agmm and full, evaluated."""
    folder = tmp_path_factory.mktemp("town")
    manifest = read_manifest(tiny_manifest(folder / "data"))
    manifest = replace(manifest, info=replace(manifest.info, command="points", settings={"clicks_per_image": 12}))
    write_manifest(manifest)
    clicks = [Mark("click", i % 3, 1, i) for i in range(12)]
    write_marks(manifest.marks_path, [(row.image_id, clicks) for row in manifest.rows_of("train")])
    for name, settings in (("seg", {"loss": SEG}), ("agmm", {}), ("full", {"supervision": "full"})):
        write_run(folder / name, manifest, scores=None, **settings)
        evaluate_run(folder / name, manifest, device="cpu")
    return folder


def test_report(town: Path, tmp_path: Path) -> None:
    command = ("report", town / "seg", town / "agmm", "--manifest", town / "data", "--out", tmp_path, "--device", "cpu")
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path}/index.html" and lines[1].startswith("  4 images, ")
    kinds = ("training-curves", "gmm-predictions", "qualitative", "tsne", "budget")
    names = [f"figures/{kind}.{suffix}" for kind in kinds for suffix in ("png", "pdf")]
    assert lines[2:] == [f"{tmp_path}/{name}" for name in names]
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"index.html", *names} and "figures/tsne.pdf" in (tmp_path / "index.html").read_text()
    code, _, err = run(*command)
    assert (
        code == 1
        and err == f"Error: {tmp_path}/index.html: exists already. Give --overwrite to replace it, or another --out.\n"
    )
    code, out, _ = run("report", town / "seg", *command[3:], "--overwrite", "--image", "a01")
    assert code == 0 and "  1 image," in out
    left = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert left == {Path(line).stem for line in out.splitlines()[2:]} and "budget" not in left


def test_report_counts_its_images_and_figures(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    code, _, err = run(
        "report", town / "seg", town / "agmm", "--manifest", town / "data", "--out", tmp_path, "--device", "cpu"
    )
    images = [f"{number} of 8 images" for number in range(1, 9)]
    figures = [f"{number} of 5 figures" for number in range(1, 6)]
    assert code == 0 and [line.partition(",")[0] for line in err.splitlines()] == images + figures


def test_report_warns_of_missing_scores(town: Path, tmp_path: Path) -> None:
    manifest = read_manifest(town / "data")
    write_run(tmp_path / "bare", manifest, scores=None)
    out_dir = tmp_path / "out"
    code, out, err = run("report", tmp_path / "bare", "--manifest", manifest.path, "--out", out_dir, "--device", "cpu")
    assert code == 0 and out and err.startswith("Warning: ") and f"agmm evaluate {tmp_path / 'bare'} " in err


def test_runs_that_cannot_be_shown_spoil_no_report(town: Path, tmp_path: Path) -> None:
    """One without weights yet, one with damaged scores, and one whose network cannot be built and has no curves."""
    manifest = read_manifest(town / "data")
    (tmp_path / "begun").mkdir()
    scoreless = write_run(tmp_path / "scoreless", manifest, seed=7)
    (scoreless / "evaluation.json").write_text("{")
    log = [{"epoch": 1, "loss": 2.0, "val_miou": 0.5, "seconds": 1.0}]
    future = write_unloadable_run(tmp_path / "future", manifest, log=log, scores=None)
    out_dir, more = tmp_path / "out", ("--manifest", town / "data", "--device", "cpu")
    runs = (town / "seg", tmp_path / "begun", scoreless, future)
    names = [word for name in "abcd" for word in ("--name", name)]
    code, out, err = run("report", *runs, *names, *more, "--out", out_dir)
    warnings = err.splitlines()
    assert code == 0 and all(line.startswith("Warning: ") for line in warnings)
    for reason in (
        "begun: holds no weights.safetensors", "scoreless/evaluation.json: damaged", "scoreless: has no scores",
        "Unknown encoder 'resnet_of_tomorrow'", "future: its log has no training-set mIoU",
    ):  # fmt: skip
        assert sum(reason in line for line in warnings) == 1
    page = (out_dir / "index.html").read_text()
    assert all(f">{name}</span>" in page for name in "acd") and ">b</span>" not in page
    assert len(out.splitlines()) == 2 + 8  # all figures
    code, out, err = run("figure", "qualitative", *runs, *more, "--out", tmp_path / "f.png")
    assert code == 0 and (tmp_path / "f.png").exists() and err.count("Warning: ") == 3


@pytest.mark.parametrize("kind", ["training-curves", "gmm-predictions", "qualitative", "tsne"])
def test_figure(kind: str, town: Path, tmp_path: Path) -> None:
    more = () if kind == "training-curves" else ("--manifest", town / "data", "--device", "cpu")
    code, out, err = run("figure", kind, town / "agmm", *more, "--out", tmp_path / "new/f.pdf")
    assert (code, out, err) == (0, f"{tmp_path}/new/f.pdf\n", "")
    assert (tmp_path / "new/f.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("below", ["runs/20-clicks/agmm/seed-0/stage-1", "stage-2", "round-1"])
def test_a_folder_of_runs_is_distinguished_from_a_run(below: str, town: Path, tmp_path: Path) -> None:
    (tmp_path / below).mkdir(parents=True)
    (tmp_path / below / "run.json").write_text("{}")
    manifest = town / "data"
    for words in (
        ("report", tmp_path, "--out", tmp_path / "page"),
        ("evaluate", tmp_path, manifest),
        ("predict", tmp_path, manifest, "--out", tmp_path / "predicted"),
        ("export", tmp_path, "--format", "onnx"),
        ("compare", tmp_path, tmp_path),
        ("table", "per-class", tmp_path),
        ("train", manifest, "--resume", tmp_path),
        ("train", manifest, "--init", tmp_path, "--out", tmp_path / "new"),
    ):
        code, _, err = run(*words)
        assert code == 1 and f"holds 1 run, but is none itself. Give a run, such as {tmp_path / below}." in err, words


def test_what_is_no_run_is_not_asked_for_its_manifest_or_scores(town: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for words in (
        ("report", tmp_path / "folder", "--out", tmp_path / "page"),
        ("figure", "tsne", tmp_path / "folder", "--out", tmp_path / "f.png"),
        ("compare", town / "agmm", tmp_path / "folder"),
        ("compare", tmp_path / "folder", town / "agmm"),
    ):
        code, _, err = run(*words)
        assert code == 1 and ("holds no weights.safetensors" in err or "agmm evaluate" in err), words
        assert f"agmm evaluate {tmp_path}" not in err, words
    code, _, err = run("compare", tmp_path / "none", town / "agmm")
    assert code == 1 and "none: no such run" in err
    code, _, err = run("train", town / "data", "--config", tmp_path / "folder", "--out", tmp_path / "new")
    assert code == 1 and "folder: is a folder; expected a TOML file" in err


def test_labels_of_annotations_are_not_segmented(town: Path, tmp_path: Path) -> None:
    shutil.copytree(town / "data", tmp_path / "all/sparse/clicks")
    code, _, err = run("predict", town / "agmm", tmp_path / "all", "--out", tmp_path / "out")
    assert code == 1 and f"holds annotations, whose labels are no images ({tmp_path}/all/sparse/clicks)" in err
    assert not (tmp_path / "out").exists()


def test_figure_used_wrongly(town: Path, tmp_path: Path) -> None:
    (town / "agmm/run.json").rename(tmp_path / "run.json")
    code, _, err = run("figure", "tsne", town / "agmm", "--out", tmp_path / "f.png")
    (tmp_path / "run.json").rename(town / "agmm/run.json")
    assert code == 1 and "has no run.json that names its manifest. Give the manifest" in err
    code, _, err = run("figure", "training-curves", town / "agmm", "--out", tmp_path / "f.svg")
    assert code == 2 and "must end in .png or .pdf" in err
    for command in (("figure", "tsne", town / "agmm", "--out", tmp_path / "f.png"), ("table", "lambda", town / "agmm")):
        code, _, err = run(*command, "--cost-model", tmp_path / "none.toml")
        assert code == 2 and "--cost-model are for budget" in err
    code, _, err = run("figure", "training-curves", town / "none", "--out", tmp_path / "f.png")
    assert code == 1 and "no such checkpoint" in err
    code, _, err = run(
        "figure", "gmm-predictions", town / "agmm", "--manifest", town / "data", "--split", "val", "--out",
        tmp_path / "f.png", "--device", "cpu",
    )  # fmt: skip
    assert code == 1 and "no annotation" in err


def test_tables(town: Path, tmp_path: Path) -> None:
    code, out, err = run("table", "per-class", town / "seg", town / "agmm")
    assert (code, err) == (0, "") and "| class | L_seg | AGMM |" in out
    code, out, _ = run("table", "ablation", town / "seg", town / "agmm", "--format", "latex")
    assert code == 0 and r"$\mathcal{L}_{con}$ & 12 clicks \\" in out and r"\bottomrule" in out
    code, out, _ = run("table", "lambda", town / "seg", town / "agmm", "--format", "csv", "--out", tmp_path / "t.csv")
    assert code == 0 and out == f"{tmp_path}/t.csv\n"
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "weight,12 clicks"


def test_names_are_shared_by_figure_table_and_page(town: Path, tmp_path: Path) -> None:
    runs = (town / "seg", town / "agmm")
    names = ("--name", "baseline (ours)", "--name", "AGMM (ours)")
    code, out, err = run("table", "per-class", *runs, *names)
    assert (code, err) == (0, "") and "| class | baseline (ours) | AGMM (ours) |" in out
    shown = ("--manifest", town / "data", "--device", "cpu", "--image", "a03")
    code, _, err = run("report", *runs, *names, *shown, "--out", tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert code == 0 and "baseline (ours)" in page and f'title="{town / "seg"}"' in page
    all_shown = []
    for given in (names, ("--name", "other", "--name", "names")):
        code, out, err = run("figure", "qualitative", *runs, *given, *shown, "--out", tmp_path / "f.png")
        assert (code, err) == (0, "")
        all_shown.append((tmp_path / "f.png").read_bytes())
    assert all_shown[0] == (tmp_path / "report/figures/qualitative.png").read_bytes() != all_shown[1]
    for command in (("table", "per-class"), ("figure", "training-curves", "--out", tmp_path / "f.png")):
        code, _, err = run(*command, *runs, "--name", "one")
        assert code == 2 and "a name for each of the 2 runs" in err


def test_a_report_of_training_images_where_there_are_no_others(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", splits=("train",)))
    write_run(tmp_path / "a", manifest, scores=None)
    out_dir = tmp_path / "report"
    command = ("report", tmp_path / "a", "--manifest", manifest.path, "--out", out_dir, "--limit", 2, "--device", "cpu")
    code, out, err = run(*command)
    assert code == 0 and out.splitlines()[1].startswith("  2 images, ") and "has no scores of split 'train'" in err
    code, _, err = run(*command, "--overwrite", "--split", "val")
    assert code == 1 and "split 'val' has no rows" in err


def test_a_report_without_full_masks_says_what_it_leaves_out(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", splits=("train",)))
    manifest = replace(manifest, rows=tuple(replace(r, full_mask="", full_mask_sha256="") for r in manifest.rows))
    write_manifest(manifest)
    write_run(tmp_path / "a", manifest, scores=None)
    out_dir = tmp_path / "report"
    code, out, err = run(
        *("report", tmp_path / "a", "--manifest", manifest.path, "--out", out_dir, "--limit", 2, "--device", "cpu")
    )
    assert code == 0 and out.splitlines()[1].startswith("  2 images, ")
    drawn = {path.stem for path in (out_dir / "figures").iterdir()}
    assert drawn == {"training-curves", "gmm-predictions", "qualitative"}
    none, tsne = err.splitlines()
    assert none.startswith(f"Warning: {tmp_path}/a: has no scores of split 'train'. No image of it has a full mask")
    assert tsne.startswith("Warning: figure tsne: ") and "full mask" in tsne
    assert "agmm evaluate" not in (out_dir / "index.html").read_text(encoding="utf-8").split("How to run")[0]


def test_figures_that_a_report_leaves_out_are_told(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data"))
    runs = [write_run(tmp_path / name, manifest) for name in "abcd"]
    command = ("report", *runs, "--manifest", manifest.path, "--out", tmp_path / "report", "--device", "cpu")
    code, out, err = run(*command, "--image", "a03")  # of split val, which nobody annotated
    assert code == 0
    assert {Path(line).stem for line in out.splitlines()[2:]} == {"training-curves", "qualitative"}
    gmm, tsne = err.splitlines()
    assert gmm.startswith("Warning: figure gmm-predictions: ") and "annotated" in gmm
    assert tsne.startswith("Warning: figure tsne: shows 3 runs at most")


def test_tables_show_the_split_that_was_scored(town: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, tiny_label_space()), scores=None)
    add_scores(tmp_path / "a", tiny_label_space(), 0.5, split="test")
    code, out, _ = run("table", "per-class", tmp_path / "a")
    assert code == 0 and "test split" in out
    code, _, err = run("table", "per-class", tmp_path / "a", "--split", "val")
    assert code == 1 and "has no scores of split 'val'" in err


def test_tables_need_no_torch(town: Path) -> None:
    code = (
        "import sys; from cli.agmm_cli import main; main(standalone_mode=False); "
        "print({'torch', 'timm', 'matplotlib'} & set(sys.modules))"
    )
    for kind in ("per-class", "ablation", "lambda", "budget"):
        words = ["table", kind, town / "seg", town / "agmm"]
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(("num_runs", "out"), [(4, "f.png"), (2, "f.gif")])
def test_figures_are_refused_without_torch(town: Path, tmp_path: Path, num_runs: int, out: str) -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cli.agmm_cli import main; "
        "result = CliRunner().invoke(main, sys.argv[1:]); "
        "print(result.exit_code, {'torch', 'timm', 'matplotlib'} & set(sys.modules))"
    )
    words = ["figure", "tsne", *([town / "seg", town / "agmm"] * 2)[:num_runs], "--out", tmp_path / out]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "2 set()"


def test_budget_counts_the_work_as_sparsekit_cost_does(town: Path, tmp_path: Path) -> None:
    model = tmp_path / "cost.toml"
    model.write_text("seconds_per_full_mask = 600.0\n")
    code, out, err = run(
        "table", "budget", town / "agmm", town / "full", "--cost-model", model, "--format", "csv",
    )  # fmt: skip
    assert (code, err) == (0, "")
    agmm, full = csv.DictReader(io.StringIO(out))
    assert agmm["marks/image"] == "12.0" and full["marks/image"] == "" and full["% of full supervision"] == "100.0"
    # 3 first clicks of 2.4 s, 9 further ones of 0.9 s, and 1 s to see that the fourth class is absent
    assert agmm["minutes/image"] == f"{(3 * 2.4 + 9 * 0.9 + 1) / 60:.2f}" and full["minutes/image"] == "10.00"
    assert full["hours"] == "0.50"  # of three images


def test_budget_without_the_manifest_warns(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path / "gone", tiny_label_space(), clicks_per_image=5))
    code, out, err = run("table", "budget", tmp_path / "a")
    assert code == 0 and "| AGMM, 5 clicks | 5 clicks |" in out
    assert (
        err.startswith(f"Warning: {tmp_path}/a: the cost of its annotation is unknown: ") and "no such manifest" in err
    )


def test_table_of_runs_that_do_not_belong_together(town: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, tiny_label_space(3)))
    code, _, err = run("table", "per-class", town / "agmm", tmp_path / "a")
    assert code == 1 and "label space 'tiny' with 4 classes does not fit" in err
    code, _, err = run("table", "per-class", town / "agmm", "--protocol", "multi-scale")
    assert (
        code == 1
        and f"agmm evaluate {town / 'agmm'} {town / 'data/manifest.csv'} --split val --protocol multi-scale" in err
    )


def test_pages_of_real_images_stay_small(tmp_path: Path) -> None:
    """Ten images and an untrained network, whose ragged label maps compress worse than those of a trained one."""
    data = real_data("camvid")
    made = CliRunner().invoke(
        sparsekit, ["points", str(data), "--clicks", "50", "--limit", "10", "--out", str(tmp_path)]
    )
    assert made.exit_code == 0, made.stderr
    manifest = read_manifest(tmp_path / "camvid-50clicks")
    write_run(tmp_path / "a", manifest)
    runs, all_shown = read_runs([tmp_path / "a"]), PageImages(read_runs([tmp_path / "a"]), manifest.label_space)
    for predicted in predict_rows(runs, manifest, manifest.rows_of("train"), "cpu"):
        all_shown.add(predicted)
    summary = write_page(runs, manifest, all_shown, tmp_path / "p.html")
    assert summary.num_images == 10 and summary.num_bytes < 2e6  # so that 50 take less than 10 MB
    assert summary.problems == ()
