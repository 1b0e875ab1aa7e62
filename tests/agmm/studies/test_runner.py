import csv
import datetime
import itertools
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import agmm.studies.runner
import agmm.training.stages
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.inference.protocols import Protocol
from agmm.studies.results import read_results, write_results
from agmm.studies.runner import Plan, plan_runs, run_study
from agmm.studies.study import LABELS_AS_PUBLISHED, Setting, Study
from data_manifests import DataError, Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.agmm.training.test_stages import fast_config

STUDY = Study("Two settings", (Setting("one"), Setting("half", {"lambda": 0.5}), Setting("one, MT", stages=2)))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return read_manifest(tiny_manifest(folder, num_images=3, splits=("train", "train", "val")))


def run(manifest: Manifest, out_dir: Path, **settings: Any) -> tuple[list[dict[str, str]], list[Plan]]:
    seen: list[Plan] = []
    arguments: dict[str, Any] = {"base": fast_config(), "seeds": (0, 1), **settings}
    rows = run_study(
        arguments.pop("study", STUDY), [manifest], arguments.pop("base"), out_dir, pseudo_protocol=Protocol(),
        quiet=True, on_run=lambda number, total, plan: seen.append(plan), **arguments,
    )  # fmt: skip
    return rows, seen


@pytest.fixture(scope="module")
def done(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    out_dir = tmp_path_factory.mktemp("study")
    return out_dir, run(manifest, out_dir)[0]


def test_one_row_for_each_run(done: tuple[Path, list[dict[str, str]]]) -> None:
    out_dir, rows = done
    with (out_dir / "results.csv").open() as file:
        assert list(csv.DictReader(file)) == rows
    keys = [(row["annotation"], row["setting"], row["seed"]) for row in rows]
    assert keys == [("tiny", s.name, seed) for s in STUDY.settings for seed in ("0", "1")]
    assert [row["run"] for row in rows[::2]] == [
        "runs/tiny/one/seed-0/stage-1",
        "runs/tiny/half/seed-0/stage-1",
        "runs/tiny/one/seed-0/stage-2",  # shares its first stage
    ]
    assert all((out_dir / row["run"] / "weights.safetensors").is_file() for row in rows)
    assert all(0 <= float(row["miou"]) <= 1 and row["protocol"] == "whole image, single scale" for row in rows)


def test_report_holds_mean_and_spread(done: tuple[Path, list[dict[str, str]]]) -> None:
    out_dir, rows = done
    report = (out_dir / "report.md").read_text()
    scores = [100 * float(row["miou"]) for row in rows[:2]]
    spread = abs(scores[0] - scores[1]) / 2**0.5
    assert f"| one | {sum(scores) / 2:.1f} ± {spread:.1f} (2) |" in report
    assert "published" not in report
    assert "lambda = 1.0" in report and "multi-stage" in report


def test_what_is_done_is_not_done_again(
    manifest: Manifest, done: tuple[Path, list[dict[str, str]]], tmp_path: Path
) -> None:
    out_dir, rows = shutil.copytree(done[0], tmp_path, dirs_exist_ok=True), done[1]
    assert run(manifest, out_dir) == (rows, [])
    rows_and_more, seen = run(manifest, out_dir, seeds=(0, 2), study=replace(STUDY, settings=STUDY.settings[:1]))
    assert [plan.config.seed for plan in seen] == [2]
    assert rows_and_more[0] == rows[0]
    assert set(read_results(out_dir / "results.csv")) >= {("tiny", "half", "1"), ("tiny", "one", "2")}


def test_another_protocol_scores_again_without_training(
    manifest: Manifest, done: tuple[Path, list[dict[str, str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_dir = shutil.copytree(done[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(agmm.training.stages, "train_network", lambda *_, **__: pytest.fail("trained again"))
    rows, seen = run(manifest, out_dir, protocol="sliding")
    assert len(seen) == 6 and rows[0]["protocol"].startswith("sliding window (tile 32")


def test_other_settings_in_the_same_folder_are_refused(
    manifest: Manifest, done: tuple[Path, list[dict[str, str]]]
) -> None:
    with pytest.raises(ValueError, match="learning_rate would change"):
        run(manifest, done[0], base=fast_config(learning_rate=0.5))


def test_a_failed_run_leaves_the_finished_ones(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stages, calls = agmm.studies.runner.run_stages, []

    def fail_third(*arguments: Any, **settings: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise TrainingError("out of luck")
        return run_stages(*arguments, **settings)

    monkeypatch.setattr(agmm.studies.runner, "run_stages", fail_third)
    with pytest.raises(TrainingError, match="out of luck"):
        run(manifest, tmp_path)
    assert sorted(path.name for path in (tmp_path / "runs/tiny").iterdir()) == ["one"]  # no empty folder of the third
    assert len(read_results(tmp_path / "results.csv")) == 2
    rows, seen = run(manifest, tmp_path)
    assert len(seen) == 4 and len(rows) == 6


def test_processes_share_the_work(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand for processes: the locks tell them apart just as well."""
    trained: list[Path] = []
    calls, meeting = itertools.count(), threading.Barrier(2)

    def train(manifest: Manifest, config: TrainConfig, run_dir: Path, **_: Any) -> list[SimpleNamespace]:
        if next(calls) < 2:
            meeting.wait(timeout=120)  # two processes train at once
        trained.append(run_dir / config.to_toml())
        return [SimpleNamespace(run_dir=run_dir / "stage-1")]

    score = {"protocol": "whole image, single scale", "miou": 0.5, "pixel_accuracy": 0.5, "epoch": 1}
    monkeypatch.setattr(agmm.studies.runner, "run_stages", train)
    monkeypatch.setattr(agmm.studies.runner, "evaluate_run", lambda *_, **__: [score])
    monkeypatch.setattr(agmm.studies.runner, "_POLL_SECONDS", 0.01)
    seeds = tuple(range(6))
    with ThreadPoolExecutor(3) as pool:
        shares = list(pool.map(lambda _: run(manifest, tmp_path, seeds=seeds), range(3)))
    keys = [plan.key for _, seen in shares for plan in seen]
    assert len(keys) == len(set(keys)) == len(trained) == 3 * len(seeds)
    assert sum(bool(seen) for _, seen in shares) > 1
    results = list(read_results(tmp_path / "results.csv").values())
    assert all(rows == results for rows, _ in shares)
    assert "50.0 ± 0.0 (6)" in (tmp_path / "report.md").read_text()


def test_rows_that_differ_after_the_first_stage_train_it_once(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_network, trained = agmm.training.stages.train_network, []

    def noting(manifest: Manifest, config: TrainConfig, run_dir: Path, **options: Any) -> Any:
        trained.append(run_dir.relative_to(tmp_path).as_posix())
        return train_network(manifest, config, run_dir, **options)

    monkeypatch.setattr(agmm.training.stages, "train_network", noting)
    one, half = Setting("one"), Setting("half", {"lambda": 0.5})
    hard, soft = Setting("one, hard", stages=2, pseudo_classes="all"), Setting("one, soft", stages=2, soft=True)
    rows, _ = run(manifest, tmp_path, study=Study("", (one, half, hard, soft)), seeds=(0,))
    folders = [Path(row["run"]).parent.as_posix() for row in rows]
    assert trained == [
        f"{folders[0]}/stage-1", f"{folders[1]}/stage-1", f"{folders[2]}/stage-2", f"{folders[3]}/stage-2",
    ]  # fmt: skip
    weights = [(tmp_path / folder / "stage-1/weights.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[2] == weights[3] != weights[1]
    labels = [read_manifest(tmp_path / folder / "pseudo-labels-1").info.settings for folder in folders[2:]]
    assert [(s.get("pseudo_classes"), s.get("soft")) for s in labels] == [("all", None), (None, True)]
    assert rows[2]["settings_sha256"] != rows[3]["settings_sha256"]


def test_a_device_of_its_own_does_not_make_it_another_study(manifest: Manifest, tmp_path: Path) -> None:
    one = Study("", STUDY.settings[:1])
    first = run(manifest, tmp_path, study=one, seeds=(0,), base=replace(fast_config(), device="cpu"))[0]
    assert run(manifest, tmp_path, study=one, seeds=(0,), base=replace(fast_config(), device="auto")) == (first, [])


def test_a_study_without_a_run_is_refused(manifest: Manifest, tmp_path: Path) -> None:
    study = Study("", (Setting("elsewhere", manifests=(tmp_path,)),))
    with pytest.raises(ValueError, match="No setting of the study uses these manifests"):
        plan_runs(study, [manifest], fast_config(), (0,), tmp_path)


def test_what_cannot_work_is_told_before_anything_is_trained(manifest: Manifest, tmp_path: Path) -> None:
    one = Study("", (Setting("one"),))
    with pytest.raises(DataError, match="split 'tets' has no rows"):
        run(manifest, tmp_path, study=one, split="tets")
    with pytest.raises(DataError, match="split 'trian' has no rows"):
        run(manifest, tmp_path, study=Study("", (Setting("one"), Setting("two", {"train_split": "trian"}))))
    with pytest.raises(TrainingError, match="setting 'two' names the manifest .*nowhere"):
        run(manifest, tmp_path, study=Study("", (Setting("one"), Setting("two", manifests=(tmp_path / "nowhere",)))))
    assert not list(tmp_path.iterdir())


def test_a_split_without_a_class_cannot_be_scored(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"protocol": "whole", "miou": None, "pixel_accuracy": None, "epoch": 1}
    monkeypatch.setattr(agmm.studies.runner, "evaluate_run", lambda *_, **__: [nothing])
    with pytest.raises(TrainingError, match="no pixel of split 'val' has a class"):
        run(manifest, tmp_path, study=Study("", (Setting("one"),)), seeds=(0,))
    assert not (tmp_path / "results.csv").exists()


def test_folders_of_like_names_stay_apart(tmp_path: Path) -> None:
    manifests = [
        read_manifest(tiny_manifest(tmp_path / name, num_images=2, splits=("train", "val"))) for name in ("x y", "x-y")
    ]
    plans = plan_runs(Study("", (Setting("one"),)), manifests, fast_config(), (0,), tmp_path)
    assert [plan.run_dir.parts[-3] for plan in plans] == ["x-y", "x-y-2"]
    long = Study("", tuple(Setting("a" * 300 + end, {"epochs": n}) for n, end in enumerate("xy", start=1)))
    folders = [plan.run_dir.parent.name for plan in plan_runs(long, manifests[:1], fast_config(), (0,), tmp_path)]
    assert len(set(folders)) == 2 and max(map(len, folders)) < 110  # disks take 255 letters


@pytest.mark.parametrize("name", ["miou", "pixel_accuracy"])
@pytest.mark.parametrize(("score", "message"), [("5.2", "is '5.2'"), ("nan", "is 'nan'"), ("abc", "is 'abc'")])
def test_an_impossible_score_is_not_believed(
    done: tuple[Path, list[dict[str, str]]], tmp_path: Path, name: str, score: str, message: str
) -> None:
    write_results(tmp_path / "results.csv", [done[1][0], {**done[1][1], name: score}])
    with pytest.raises(TrainingError, match=rf"the {name} of one on tiny, seed 1 {message}.*\[0, 1\]"):
        read_results(tmp_path / "results.csv")
    write_results(tmp_path / "results.csv", [done[1][0], done[1][0]])
    with pytest.raises(TrainingError, match="two lines for one on tiny, seed 0"):
        read_results(tmp_path / "results.csv")
    for damaged in (b"\xff", b"a,b\n"):
        (tmp_path / "results.csv").write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"results.csv: (not the results of a study|expected the columns)"):
            read_results(tmp_path / "results.csv")


def test_a_row_may_keep_to_some_manifests(manifest: Manifest, tmp_path: Path) -> None:
    other = read_manifest(tiny_manifest(tmp_path / "other", num_images=2, splits=("train", "val")))
    study = Study("", (Setting("both"), Setting("one", manifests=(manifest.path.parent,))))
    plans = plan_runs(study, [manifest, other], fast_config(), (0,), tmp_path)
    assert [(plan.annotation, plan.setting.name) for plan in plans] == [
        ("tiny", "both"), ("tiny", "one"), ("other", "both"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "made_as_published"),
    [
        ({}, True),
        ({"pseudo_protocol": Protocol("multi-scale", tile_size=65)}, True),
        ({"pseudo_protocol": Protocol("multi-scale", crf=True)}, False),
        ({"pseudo_protocol": Protocol()}, False),
        ({"threshold": 0.5}, False),
    ],
    ids=str,
)
def test_no_number_stands_beside_stages_whose_labels_are_made_in_another_way(
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    made_as_published: bool,
) -> None:
    score = {"protocol": "whole image, single scale", "miou": 0.5, "pixel_accuracy": 0.5, "epoch": 1}
    result = SimpleNamespace(run_dir=tmp_path / "stage-2")
    monkeypatch.setattr(agmm.studies.runner, "run_stages", lambda *_, **__: [result])
    monkeypatch.setattr(agmm.studies.runner, "evaluate_run", lambda *_, **__: [score])
    clicks = replace(manifest, info=replace(manifest.info, settings={"clicks_per_image": 20}))
    rows = (Setting("one", published={"20": 60.5}), Setting("MT", stages=2, published={"20": 66.5}))
    study = Study("", rows, published_in="tiny", published_images=manifest.splits["val"])
    run_study(study, [clicks], fast_config(), tmp_path, quiet=True, **options)
    report = (tmp_path / "report.md").read_text()
    assert "| one | 50.0 | 60.5 |" in report
    assert ("| MT | 50.0 | 66.5 |" in report) == made_as_published
    assert (LABELS_AS_PUBLISHED in report) != made_as_published


def test_plans_refuse_a_wrong_loss_option_before_anything_is_trained(manifest: Manifest, tmp_path: Path) -> None:
    study = Study("", (Setting("wrong", {"loss": {"use_cons": False}}),))
    with pytest.raises(ValueError, match="Did you mean 'use_con'"):
        plan_runs(study, [manifest], fast_config(), (0,), tmp_path)
    dated = Study("", (Setting("dated", {"loss": {"use_con": datetime.date(1979, 5, 27)}}),))  # as TOML has them
    with pytest.raises(ValueError, match="use_con must be true or false, got .*1979"):
        plan_runs(dated, [manifest], fast_config(), (0,), tmp_path)
    soft = Study("", (Setting("one"), Setting("soft", {"loss_kind": "presence"}, stages=2, soft=True)))
    with pytest.raises(ValueError, match="presence.*--loss-kind seg"):
        plan_runs(soft, [manifest], fast_config(), (0,), tmp_path)
    with pytest.raises(ValueError, match="at least one manifest and one seed"):
        plan_runs(STUDY, [manifest], fast_config(), (), tmp_path)
