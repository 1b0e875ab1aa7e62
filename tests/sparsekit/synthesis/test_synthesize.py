import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sparsekit.synthesis.synthesize
from data_manifests import DataError, read_manifest, read_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import pixel_sha256, read_mask
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.journal import Journal
from tests.helpers.real_data import real_data
from tests.helpers.small_town import run, run_until_damaged, save_mask, tree, write_town


@pytest.fixture
def dataset_dir(tmp_path):
    return write_town(tmp_path / "town")


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
    annotate, seen = sparsekit.synthesis.synthesize._annotate_image, []

    def failing(task):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(task.item.image_id)
        return annotate(task)

    monkeypatch.setattr(sparsekit.synthesis.synthesize, "_annotate_image", failing)
    with pytest.raises(KeyboardInterrupt):
        run(dataset_dir, tmp_path / "out", (3, 8))
    assert [p.name for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")] == []
    monkeypatch.setattr(
        sparsekit.synthesis.synthesize,
        "_annotate_image",
        lambda task: seen.append(task.item.image_id) or annotate(task),
    )
    run(dataset_dir, tmp_path / "out", (3, 8))
    assert seen == ["train/0", "train/1", "train/2", "val/3", "val/4"]  # none was done twice
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert [p for p in (tmp_path / "out").iterdir() if p.name.startswith(".")] == []


def test_journal_line_that_was_cut_off_is_done_again(dataset_dir, tmp_path, monkeypatch):
    run(dataset_dir, tmp_path / "whole")
    run_until_damaged(dataset_dir / "val/masks/4.png", dataset_dir, tmp_path / "out")
    journal = tmp_path / "out/.town-3clicks.partial/journal-1-of-1.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    (journal.parent / "annotations/train/.1.png.0123456789abcdef.99.partial").touch()  # of a killed writer
    run(dataset_dir, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_journal_of_other_settings_is_not_gone_on_with(dataset_dir, tmp_path):
    run_until_damaged(dataset_dir / "val/masks/4.png", dataset_dir, tmp_path / "out", seed=1)
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
    with pytest.raises(AnnotationError, match="contains 5 images, but this run has 2; .* is only in the folder"):
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
    with pytest.raises(DataError, match=r"masks/0\.png: .* 16x12 .*images/0\.png is 8x6"):
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
    with pytest.raises(DataError, match="no dask scheduler responds"):
        run(dataset_dir, tmp_path / "out", dask="nonsense")
    assert tree(tmp_path / "out") == {}


def test_two_processes_at_once_are_kept_apart(dataset_dir, tmp_path):
    expected = tree(run(dataset_dir, tmp_path / "alone")[0].folder)
    refused = []

    def start_another():
        with pytest.raises(DataError, match=r"town-3clicks.partial: another process is writing to it"):
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


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    """Writing to an open file raises without a name."""

    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            self.write("")

    journal = Journal(tmp_path / "journal-1-of-1.jsonl")
    monkeypatch.setattr(journal, "_file", Full())
    for call in (lambda: journal.append("x"), journal.close):
        with pytest.raises(OSError, match=r"No space left on device: '.*journal-1-of-1.jsonl'"):
            call()
