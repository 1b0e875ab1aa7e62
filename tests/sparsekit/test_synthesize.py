import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparsekit.synthesize
from data_manifests import DataError, open_dataset, read_manifest, read_marks
from data_manifests.image_io import encode_image, pixel_sha256, read_mask, write_atomically
from sparsekit import output_folder
from sparsekit.annotators import ClickAnnotator
from sparsekit.errors import AnnotationError
from sparsekit.output_folder import OutputFolder
from sparsekit.synthesize import synthesize
from tests.real_data import real_data

CLASSES = "id,name\n0,road\n1,car\n2,sky\n"


def save_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


@pytest.fixture
def dataset_dir(tmp_path):
    """Five images: three to train on (one void everywhere, one with two annotated pixels), two to evaluate."""
    root = tmp_path / "town"
    masks = np.random.default_rng(0).integers(0, 3, (5, 12, 16)).astype(np.uint8)
    masks[1] = 255
    masks[2] = 255
    masks[2, 3, 4:6] = 1
    for number, mask in enumerate(masks):
        split = root / ("train" if number < 3 else "val")
        save_mask(split / "masks" / f"{number}.png", mask)
        write_atomically(split / "images" / f"{number}.png", encode_image(np.zeros((12, 16, 3), np.uint8)))
    (root / "classes.csv").write_text(CLASSES)
    return root


def tree(folder):
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(dataset_dir, out, budgets=(3,), **options):
    return synthesize(open_dataset(dataset_dir), ClickAnnotator(tuple(budgets)), out, **options)


def test_manifest_marks_and_annotations_agree(dataset_dir, tmp_path):
    summaries = run(dataset_dir, tmp_path / "out", (3, 8))
    assert [s.folder.name for s in summaries] == ["town-3clicks", "town-8clicks"]
    for summary, budget in zip(summaries, (3, 8), strict=True):
        manifest = read_manifest(summary.folder)
        marks = dict(read_marks(manifest.marks_path))
        assert [row.image_id for row in manifest.rows] == ["train/0", "train/1", "train/2", "val/3", "val/4"]
        for row in manifest.rows:
            full = read_mask(manifest.resolve(row.full_mask))
            assert row.full_mask_sha256 == pixel_sha256(full)
            assert (row.height, row.width) == full.shape == (12, 16)
            if row.split == "val":
                assert row.annotation == row.annotation_sha256 == "" and row.num_labelled == 0
                continue
            sparse = read_mask(manifest.resolve(row.annotation))
            labelled = np.argwhere(sparse != 255)
            assert row.annotation_sha256 == pixel_sha256(sparse)
            assert row.num_labelled == len(labelled) == min(budget, np.count_nonzero(full != 255))
            assert row.classes_labelled == tuple(np.unique(sparse[sparse != 255]))
            assert (sparse == full)[sparse != 255].all()
            assert sorted((m.row, m.col) for m in marks.get(row.image_id, [])) == [
                tuple(at) for at in labelled.tolist()
            ]
    assert summaries[1].num_images == 3 and summaries[1].num_evaluation_images == 2
    assert summaries[1].num_marks == 8 + 0 + 2
    assert summaries[1].num_void_images == 1 and summaries[1].num_short_images == 1


def test_classes_are_counted(dataset_dir, tmp_path):
    (summary,) = run(dataset_dir, tmp_path / "out", (200,))
    assert summary.classes_present == summary.classes_reached == 3 + 0 + 1


def test_smaller_budget_is_part_of_the_larger(dataset_dir, tmp_path):
    few, many = run(dataset_dir, tmp_path / "out", (3, 8))
    many_marks = dict(read_marks(many.folder / "marks.csv"))
    for image_id, marks in read_marks(few.folder / "marks.csv"):
        assert many_marks[image_id][:3][: len(marks)] == marks


@pytest.mark.parametrize("workers", [1, 2])
def test_bytes_do_not_depend_on_workers_order_or_company(dataset_dir, tmp_path, workers, monkeypatch):
    run(dataset_dir, tmp_path / "one", (3, 8))
    run(dataset_dir, tmp_path / "two", (8, 3), workers=workers)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    (dataset_dir / "train/images/0.png").unlink()
    (dataset_dir / "train/masks/0.png").unlink()
    run(dataset_dir, tmp_path / "fewer", (3,), workers=workers)
    name = "town-3clicks/annotations/train/2.png"
    assert (tmp_path / "fewer" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_another_seed_gives_other_clicks(dataset_dir, tmp_path):
    (a,) = run(dataset_dir, tmp_path / "a", seed=0)
    (b,) = run(dataset_dir, tmp_path / "b", seed=1)
    assert (a.folder / "marks.csv").read_bytes() != (b.folder / "marks.csv").read_bytes()


def test_manifest_json_has_what_it_takes_to_make_it_again(dataset_dir, tmp_path):
    (summary,) = run(dataset_dir, tmp_path / "out", seed=7)
    info = json.loads((summary.folder / "manifest.json").read_text())
    assert info["command"] == "points" and info["dataset"] == "town" and info["layout"] == "generic"
    assert info["settings"] == {
        "seed": 7, "splits": ["train"], "clicks_per_image": 3, "strategy": "uniform",
        "margin": 0, "jitter": 0, "wrong": 0.0, "min_distance": 0,
    }  # fmt: skip
    assert [c["name"] for c in info["label_space"]["classes"]] == ["road", "car", "sky"]


def test_interrupted_run_goes_on_and_ends_with_the_same_bytes(dataset_dir, tmp_path, monkeypatch):
    run(dataset_dir, tmp_path / "whole", (3, 8))
    annotate, seen = sparsekit.synthesize._annotate_image, []

    def failing(task):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(task.item.image_id)
        return annotate(task)

    monkeypatch.setattr(sparsekit.synthesize, "_annotate_image", failing)
    with pytest.raises(KeyboardInterrupt):
        run(dataset_dir, tmp_path / "out", (3, 8))
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []
    monkeypatch.setattr(
        sparsekit.synthesize, "_annotate_image", lambda task: seen.append(task.item.image_id) or annotate(task)
    )
    run(dataset_dir, tmp_path / "out", (3, 8))
    assert seen == ["train/0", "train/1", "train/2", "val/3", "val/4"]  # none was done twice
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def test_journal_line_that_was_cut_off_is_done_again(dataset_dir, tmp_path, monkeypatch):
    run(dataset_dir, tmp_path / "whole")
    bad = dataset_dir / "val/masks/4.png"
    mask = bad.read_bytes()
    bad.write_bytes(mask[:40])
    with pytest.raises(DataError, match=r"4\.png: the picture is damaged"):
        run(dataset_dir, tmp_path / "out")
    bad.write_bytes(mask)
    journal = tmp_path / "out/.town-3clicks.partial/journal-1-of-1.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    (journal.parent / "annotations/train/.1.png.0123456789abcdef.99.partial").touch()  # of a killed writer
    run(dataset_dir, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_journal_of_other_settings_is_not_gone_on_with(dataset_dir, tmp_path):
    bad = dataset_dir / "val/masks/4.png"
    mask = bad.read_bytes()
    bad.write_bytes(mask[:40])
    with pytest.raises(DataError):
        run(dataset_dir, tmp_path / "out", seed=1)
    bad.write_bytes(mask)
    run(dataset_dir, tmp_path / "out", seed=0)
    run(dataset_dir, tmp_path / "whole", seed=0)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_nothing_stays_of_a_run_that_finished_no_image(dataset_dir, tmp_path):
    (dataset_dir / "train/masks/0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png"):
        run(dataset_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_same_run_again_leaves_the_result_alone(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    (summary,) = run(dataset_dir, tmp_path / "out")
    assert summary.already_there and summary.num_images == 3 and summary.num_evaluation_images == 2
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_budget_added_later_leaves_the_first_alone(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "out", (3,))
    first, second = run(dataset_dir, tmp_path / "out", (3, 8))
    assert first.already_there and not second.already_there
    run(dataset_dir, tmp_path / "whole", (3, 8))
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_other_result_is_replaced_only_on_request(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "out", seed=0)
    before = tree(tmp_path / "out")
    with pytest.raises(AnnotationError, match="other settings.*. Give --overwrite"):
        run(dataset_dir, tmp_path / "out", seed=1)
    with pytest.raises(AnnotationError, match="holds 5 images, this run has 2"):
        run(dataset_dir, tmp_path / "out", limit=1)
    assert tree(tmp_path / "out") == before
    run(dataset_dir, tmp_path / "out", seed=1, overwrite=True)
    run(dataset_dir, tmp_path / "fresh", seed=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_folder_of_something_else_is_never_replaced(dataset_dir, tmp_path):
    mine = tmp_path / "out" / "town-3clicks" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(AnnotationError, match=r"holds no manifest\.csv"):
            run(dataset_dir, tmp_path / "out", overwrite=overwrite)
    assert mine.read_text() == "keep"


def test_split_and_limit(dataset_dir, tmp_path):
    (summary,) = run(dataset_dir, tmp_path / "out", splits=["val"], limit=1)
    rows = read_manifest(summary.folder).rows
    assert [(row.image_id, bool(row.annotation)) for row in rows] == [("train/0", False), ("val/3", True)]
    with pytest.raises(ValueError, match="Unknown split 'test'. Splits of .*: train, val"):
        run(dataset_dir, tmp_path / "out", splits=["test"])


def test_size_mismatch_names_both_files(dataset_dir, tmp_path):
    write_atomically(dataset_dir / "train/images/0.png", encode_image(np.zeros((6, 8, 3), np.uint8)))
    with pytest.raises(AnnotationError, match=r"masks/0\.png: .* 12x16 .*images/0\.png is 6x8"):
        run(dataset_dir, tmp_path / "out")


def test_paths_work_after_everything_moves_and_absolute_ones_on_request(dataset_dir, tmp_path):
    (summary,) = run(dataset_dir, tmp_path / "out")
    shutil.copytree(tmp_path, tmp_path.with_name(tmp_path.name + "-moved"))
    moved = read_manifest(tmp_path.with_name(tmp_path.name + "-moved") / "out/town-3clicks")
    for row in moved.rows:
        assert moved.resolve(row.image).is_file() and not Path(row.image).is_absolute()
    (summary,) = run(dataset_dir, tmp_path / "absolute", absolute_paths=True)
    assert all(Path(row.full_mask).is_absolute() for row in read_manifest(summary.folder).rows)


def test_16_bit_masks(tmp_path):
    root = tmp_path / "many"
    mask = np.arange(300, dtype=np.uint16).reshape(15, 20)
    save_mask(root / "masks/a.png", mask)
    write_atomically(root / "images/a.png", encode_image(np.zeros((15, 20, 3), np.uint8)))
    (summary,) = run(root, tmp_path / "out", (1000,))
    sparse = read_mask(summary.folder / "annotations/a.png")
    assert sparse.dtype == np.uint16 and (sparse == mask).all()
    assert read_manifest(summary.folder).label_space.num_classes == 300


@pytest.mark.parametrize("name", ["cityscapes_sample", "voc_sample", "camvid"])
def test_real_data(name, tmp_path):
    few, many = run(real_data(name), tmp_path, (20, 50), limit=3)
    for summary, budget in ((few, 20), (many, 50)):
        manifest = read_manifest(summary.folder)
        for row in manifest.rows_of("train"):
            sparse = read_mask(manifest.resolve(row.annotation))
            full = manifest.label_space.to_train_ids(
                read_mask(manifest.resolve(row.full_mask)), manifest.info.mask_encoding
            )
            assert row.num_labelled == np.count_nonzero(sparse != 255) == budget
            assert (sparse == full)[sparse != 255].all()


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_make_the_whole_byte_for_byte(dataset_dir, tmp_path, order):
    run(dataset_dir, tmp_path / "whole", (3, 8))
    for number in order:
        summaries = run(dataset_dir, tmp_path / "out", (3, 8), shard=(number, 3))
    assert [s.missing_shards for s in summaries] == [0, 0] and summaries[0].num_images == 3
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_more_shards_than_images(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "whole")
    for number in range(1, 8):
        run(dataset_dir, tmp_path / "out", shard=(number, 7))
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_shard_waits_for_the_others_and_goes_on_after_a_failure(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "whole")
    (summary,) = run(dataset_dir, tmp_path / "out", shard=(1, 2))
    assert summary.missing_shards == 1 and not summary.folder.exists()
    bad = dataset_dir / "val/masks/3.png"  # the fourth image: the second one of shard 2
    mask = bad.read_bytes()
    bad.write_bytes(mask[:40])
    with pytest.raises(DataError):
        run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert not summary.folder.exists()
    bad.write_bytes(mask)
    run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    (summary,) = run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert summary.already_there


@pytest.mark.parametrize("second", ["while the first is at it", "after it"])
def test_shards_that_are_done_at_the_same_time(dataset_dir, tmp_path, monkeypatch, second):
    run(dataset_dir, tmp_path / "whole")
    finish, both_done = OutputFolder.finish, threading.Barrier(2)
    write_marks, first_is_there, second_is_done = output_folder.write_marks, threading.Event(), threading.Event()

    def finish_in_order(plan):
        both_done.wait(60)
        if plan._shard[0] == 2:
            first_is_there.wait(60)
        summary = finish(plan)
        (second_is_done if plan._shard[0] == 2 else first_is_there).set()
        return summary

    def write_marks_between(*args):
        if second == "while the first is at it":
            first_is_there.set()
            second_is_done.wait(60)
        write_marks(*args)

    monkeypatch.setattr(OutputFolder, "finish", finish_in_order)
    monkeypatch.setattr(output_folder, "write_marks", write_marks_between)
    with ThreadPoolExecutor(2) as pool:
        shards = [pool.submit(run, dataset_dir, tmp_path / "out", shard=(number, 2)) for number in (1, 2)]
        (first,), (other,) = (shard.result(60) for shard in shards)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert first.missing_shards == 0 and first.num_images == 3 and not first.already_there
    assert other.already_there == (second == "after it") and other.missing_shards == (second != "after it")


def test_shards_that_begin_at_the_same_time(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "whole")
    (first,) = run(dataset_dir, tmp_path / "out", shard=(1, 2))
    written = first.folder.with_name(f".{first.folder.name}.partial") / "run.json"
    for path in list(written.parent.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    written.with_name(".run.json.0.1.partial").write_bytes(b"{")
    run(dataset_dir, tmp_path / "out", shard=(1, 2))
    run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_shard_whose_journal_is_taken_away_as_it_counts(dataset_dir, tmp_path, monkeypatch):
    run(dataset_dir, tmp_path / "out", shard=(1, 2))
    results = OutputFolder._results

    def finished_by_another(plan, numbers):
        monkeypatch.setattr(OutputFolder, "_results", results)
        monkeypatch.setattr(OutputFolder, "_claim", claim)
        plan.release()
        run(dataset_dir, tmp_path / "out", shard=(1, 2))
        return results(plan, numbers)

    claim = OutputFolder._claim
    monkeypatch.setattr(OutputFolder, "_claim", lambda plan: False)
    monkeypatch.setattr(OutputFolder, "_results", finished_by_another)
    (second,) = run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert second.already_there and second.num_images == 3


def test_a_shard_killed_as_it_puts_the_folder_in_its_place(dataset_dir, tmp_path, monkeypatch):
    run(dataset_dir, tmp_path / "whole")
    run(dataset_dir, tmp_path / "out", shard=(1, 2))
    put_in_place = OutputFolder._put_in_place
    refused = []

    def be_killed(plan, rows):
        with pytest.raises(DataError, match=r"town-3clicks.partial: another process is at work on it"):
            run(dataset_dir, tmp_path / "out", shard=(1, 2))
        refused.append(True)
        raise KeyboardInterrupt

    monkeypatch.setattr(OutputFolder, "_put_in_place", be_killed)
    with pytest.raises(KeyboardInterrupt):
        run(dataset_dir, tmp_path / "out", shard=(2, 2))
    monkeypatch.setattr(OutputFolder, "_put_in_place", put_in_place)
    (summary,) = run(dataset_dir, tmp_path / "out", shard=(1, 2))
    assert refused and summary.missing_shards == 0 and tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_shard_started_twice_is_refused(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "whole")
    refused = []

    def start_again():
        with pytest.raises(AnnotationError, match=r"town-3clicks.partial: another process is at work on shard 1 of 2"):
            run(dataset_dir, tmp_path / "out", shard=(1, 2))
        refused.append(True)

    run(dataset_dir, tmp_path / "out", shard=(1, 2), on_image=start_again)
    (summary,) = run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert refused and summary.missing_shards == 0 and tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_shard_of_other_settings_is_refused(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "out", shard=(1, 2))
    with pytest.raises(AnnotationError, match="holds a part of another run"):
        run(dataset_dir, tmp_path / "out", shard=(2, 2), seed=1)
    with pytest.raises(ValueError, match="got 3/2"):
        run(dataset_dir, tmp_path / "out", shard=(3, 2))


def test_dask_gives_the_same_bytes(dataset_dir, tmp_path):
    distributed = pytest.importorskip("distributed")
    run(dataset_dir, tmp_path / "whole")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
        protocol="tcp://",
    ) as cluster:
        run(dataset_dir, tmp_path / "out", dask=cluster.scheduler_address)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_dask_without_a_scheduler(dataset_dir, tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(AnnotationError, match="no dask scheduler answers there"):
        run(dataset_dir, tmp_path / "out", dask="nonsense")
    assert tree(tmp_path / "out") == {}


def test_two_processes_at_once_are_kept_apart(dataset_dir, tmp_path):
    expected = tree(run(dataset_dir, tmp_path / "alone")[0].folder)
    refused = []

    def start_another():
        with pytest.raises(DataError, match=r"town-3clicks.partial: another process is at work on it"):
            run(dataset_dir, tmp_path / "out")
        refused.append(True)

    (summary,) = run(dataset_dir, tmp_path / "out", on_image=start_another)
    assert len(refused) == 5 and tree(summary.folder) == expected
    assert run(dataset_dir, tmp_path / "out")[0].already_there  # nothing is held any more


def test_a_result_that_is_a_link_is_replaced_and_what_it_leads_to_stays(dataset_dir, tmp_path):
    (summary,) = run(dataset_dir, tmp_path / "out")
    kept = tree(summary.folder.rename(tmp_path / "kept"))
    summary.folder.symlink_to("../kept")
    run(dataset_dir, tmp_path / "out", seed=1, overwrite=True)
    assert tree(tmp_path / "kept") == kept != tree(summary.folder)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["town-3clicks"] and not summary.folder.is_symlink()


def test_what_was_begun_is_free_after_an_error(dataset_dir, tmp_path):
    (tmp_path / "out" / "town-8clicks").mkdir(parents=True)
    (tmp_path / "out" / "town-8clicks" / "mine.txt").write_text("keep")
    for _ in range(2):
        with pytest.raises(AnnotationError, match="town-8clicks: exists but holds no manifest"):
            run(dataset_dir, tmp_path / "out", (3, 8))
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["town-8clicks"]
    assert run(dataset_dir, tmp_path / "out", (3,))[0].num_images == 3
