"""Processes that fill one folder together, each its shard of the images."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from data_manifests import DataError
from sparsekit.errors import AnnotationError
from sparsekit.synthesis import output_folder
from sparsekit.synthesis.output_folder import OutputFolder
from tests.helpers.small_town import run, run_until_damaged, tree, write_town


@pytest.fixture
def dataset_dir(tmp_path):
    return write_town(tmp_path / "town")


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_shards_make_the_whole_byte_for_byte(dataset_dir, tmp_path, order):
    both = {"splits": ("train", "val")}  # marks of 0 and 3, of 4, and of 2
    run(dataset_dir, tmp_path / "whole", (3, 8), **both)
    for number in order:
        summaries = run(dataset_dir, tmp_path / "out", (3, 8), shard=(number, 3), **both)
    assert [s.missing_shards for s in summaries] == [0, 0] and summaries[0].num_images == 5
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
    fourth = dataset_dir / "val/masks/3.png"  # the second image of shard 2
    run_until_damaged(fourth, dataset_dir, tmp_path / "out", shard=(2, 2))
    assert not summary.folder.exists()
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
        with pytest.raises(DataError, match=r"town-3clicks.partial: another process is writing to it"):
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
        with pytest.raises(AnnotationError, match=r"town-3clicks.partial: another process is writing shard 1 of 2"):
            run(dataset_dir, tmp_path / "out", shard=(1, 2))
        refused.append(True)

    run(dataset_dir, tmp_path / "out", shard=(1, 2), on_image=start_again)
    (summary,) = run(dataset_dir, tmp_path / "out", shard=(2, 2))
    assert refused and summary.missing_shards == 0 and tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_shard_of_other_settings_is_refused(dataset_dir, tmp_path):
    run(dataset_dir, tmp_path / "out", shard=(1, 2))
    with pytest.raises(AnnotationError, match="part of another run"):
        run(dataset_dir, tmp_path / "out", shard=(2, 2), seed=1)
    with pytest.raises(ValueError, match="got 3/2"):
        run(dataset_dir, tmp_path / "out", shard=(3, 2))
