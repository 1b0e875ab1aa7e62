"""Annotation folders of grown labels, through the API and the command line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from cli.sparsekit_commands import grow as command
from data_manifests import DataError, read_manifest, write_manifest
from data_manifests.files.images import read_image
from data_manifests.files.masks import pixel_sha256, read_mask
from data_manifests.manifest.derive import merge_manifests, subset_manifest
from sparsekit.audit.cost import annotation_cost
from sparsekit.audit.stats import annotation_stats
from sparsekit.errors import AnnotationError
from sparsekit.grow.manifest import grow_manifest
from sparsekit.grow.methods import grow_labels
from sparsekit.grow.settings import METHODS, GrowSettings
from tests.helpers.annotation_folders import cityscapes, voc
from tests.helpers.miniature_datasets import save_mask
from tests.helpers.small_town import tree


@pytest.fixture
def source(tmp_path):
    return voc(tmp_path)


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_offers_every_method():
    assert set(METHODS) == set(command.METHODS)


def test_the_folder_holds_what_grows_on_each_image(source):
    settings = GrowSettings("geodesic", max_distance=20.0)
    summary = grow_manifest(source, settings)
    assert summary.folder == source.path.parent.with_name(f"{source.path.parent.name}-geodesic")
    grown = read_manifest(summary.folder)
    assert not grown.marks_path.is_file() and [r.image_id for r in grown.rows] == [r.image_id for r in source.rows]
    total = 0
    for before, after in zip(source.rows, grown.rows, strict=True):
        assert grown.resolve(after.full_mask).samefile(source.resolve(before.full_mask))
        if not before.annotation:
            assert not after.annotation
            continue
        image, sparse = read_image(source.resolve(before.image)), read_mask(source.resolve(before.annotation))
        expected = grow_labels(sparse, image, 255, settings)
        assert (read_mask(grown.resolve(after.annotation)) == expected).all()
        assert after.num_labelled == np.count_nonzero(expected != 255)
        assert after.classes_labelled == before.classes_labelled
        total += after.num_labelled
    assert summary.num_labelled == total > summary.num_labelled_before == sum(r.num_labelled for r in source.rows)
    assert annotation_stats(grown).total.labelled == total


def test_manifest_json_says_what_it_was_grown_from(source):
    info = read_manifest(grow_manifest(source).folder).info
    assert info.command == "grow" and info.settings["method"] == "superpixels"
    assert {key: info.settings[key] for key in ("max_distance", "confidence", "max_size")} == {
        "max_distance": 10.0, "confidence": 0.6, "max_size": 1024,
    }  # fmt: skip
    assert info.settings["source_sha256"] == source.sha256()
    assert info.settings["source"] == f"../{source.path.parent.name}/manifest.csv"
    assert info.settings["source_settings"] == json.loads(json.dumps(dict(source.info.settings)))


def test_any_number_of_workers_and_shards_gives_the_same_bytes(source, tmp_path):
    grow_manifest(source, out=tmp_path / "a/grown")
    grow_manifest(source, out=tmp_path / "b/grown", workers=2)
    for number in (2, 1):
        summary = grow_manifest(source, out=tmp_path / "c/grown", shard=(number, 2))
    assert summary.missing_shards == 0
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == tree(tmp_path / "c")


def test_an_interrupted_run_goes_on(source, tmp_path):
    grow_manifest(source, out=tmp_path / "whole/grown")
    seen = []

    def stop():
        seen.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grow_manifest(source, out=tmp_path / "half/grown", on_image=stop)
    assert not (tmp_path / "half/grown").exists()
    started = []
    grow_manifest(source, out=tmp_path / "half/grown", on_start=lambda *numbers: started.append(numbers))
    assert started == [(1, len(source.rows))]
    assert tree(tmp_path / "half") == tree(tmp_path / "whole")
    assert grow_manifest(source, out=tmp_path / "half/grown").already_there


def test_other_settings_or_another_source_need_overwrite(source, tmp_path):
    out = tmp_path / "grown"
    grow_manifest(source, out=out)
    with pytest.raises(AnnotationError, match="confidence 0.6 there, 0.9 here"):
        grow_manifest(source, GrowSettings(confidence=0.9), out)
    grow_manifest(source, GrowSettings(confidence=0.9), out, overwrite=True)
    assert read_manifest(out).info.settings["confidence"] == 0.9


def test_never_replaces_its_source(source):
    with pytest.raises(ValueError, match="folder of the source"):
        grow_manifest(source, out=source.path.parent, overwrite=True)
    assert run("grow", source.path, "--out", source.path.parent, "--overwrite").exit_code == 2


def test_a_source_without_annotations_is_refused_and_nothing_is_left(source, tmp_path):
    row = next(r for r in source.rows if r.annotation)
    source.resolve(row.annotation).write_bytes(b"")
    with pytest.raises(DataError):
        grow_manifest(source, out=tmp_path / "grown")
    assert not (tmp_path / "grown").exists()


def test_parts_of_grown_labels_are_verified_wherever_they_lie(tmp_path):
    source = cityscapes(tmp_path)
    grown = read_manifest(grow_manifest(source).folder)
    parts = []
    for number, row in enumerate(row for row in grown.rows if row.annotation):
        folder = tmp_path.joinpath(*["deep"] * number, f"part_{number}")
        derived = subset_manifest(grown, folder, image_ids=[row.image_id])
        derived.write()
        parts.append(read_manifest(folder))
        assert run("verify", folder).exit_code == 0
    merged = merge_manifests(parts, tmp_path / "else" / "where" / "merged")
    merged.write()
    assert "2 annotations regenerated, all the same" in run("verify", merged.manifest.path.parent).stdout
    shutil.move(tmp_path / "cityscapes", tmp_path / "moved")
    assert run("verify", merged.manifest.path, "--data-root", tmp_path / "moved").exit_code == 0


def unlabelled(manifest, image_ids):
    """The manifest with nothing labelled on these images, written to its folder."""
    rows = []
    for row in manifest.rows:
        if row.image_id in image_ids:
            path = manifest.resolve(row.annotation)
            save_mask(path, np.full_like(read_mask(path), 255))
            row = replace(row, num_labelled=0, classes_labelled=(), annotation_sha256=pixel_sha256(read_mask(path)))
        rows.append(row)
    return write_manifest(replace(manifest, rows=tuple(rows)))


def test_images_without_a_label_are_counted_and_a_source_of_none_is_refused(tmp_path):
    source = cityscapes(tmp_path)
    first, *others = [row.image_id for row in source.rows if row.annotation]
    unlabelled(source, [first])
    result = run("grow", source.path, "--out", tmp_path / "grown")
    assert result.exit_code == 0 and "1 annotation has no label" in result.stderr
    grown = {row.image_id: row.num_labelled for row in read_manifest(tmp_path / "grown").rows}
    assert not grown[first] and all(grown[name] for name in others)
    unlabelled(read_manifest(source.path), others)
    result = run("grow", source.path, "--out", tmp_path / "none")
    assert result.exit_code == 1 and "no annotation has a label" in result.stderr
    with pytest.raises(DataError, match="no annotation has a label"):
        grow_manifest(read_manifest(source.path), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_was_grown_costs_what_its_source_costs(source, tmp_path):
    folder = grow_manifest(source, out=tmp_path / "grown").folder
    again = grow_manifest(read_manifest(folder), GrowSettings("geodesic"), tmp_path / "more").folder
    for grown in (folder, again):
        cost, expected = annotation_cost(read_manifest(grown)), annotation_cost(source)
        assert cost.name == grown.name and cost.to_dict()["hours"] == expected.to_dict()["hours"]
    shutil.rmtree(source.path.parent)
    with pytest.raises(AnnotationError, match="grown from"):
        annotation_cost(read_manifest(folder))


def test_a_part_of_what_was_grown_costs_what_its_images_cost(tmp_path):
    source = cityscapes(tmp_path)
    grown = read_manifest(grow_manifest(source).folder)
    first, second = (row.image_id for row in grown.rows if row.annotation)
    for name, split in ((first, None), (second, "train")):
        subset_manifest(grown, tmp_path / "part", image_ids=[name]).write(overwrite=True)
        cost = annotation_cost(read_manifest(tmp_path / "part"), split=split)
        assert cost.num_images == 1
        expected = annotation_cost(source.filter(lambda row, name=name: row.image_id == name))
        assert cost.to_dict()["hours"] == expected.to_dict()["hours"]


def test_labels_grown_from_themselves_have_no_cost(source):
    grown = read_manifest(grow_manifest(source).folder)
    settings = {**grown.info.settings, "source": "manifest.csv"}
    write_manifest(replace(grown, info=replace(grown.info, settings=settings)))
    with pytest.raises(AnnotationError, match="grown from itself"):
        annotation_cost(read_manifest(grown.path))


def test_through_the_command_line(source, tmp_path):
    result = run("grow", source.path, "--method", "geodesic", "--confidence", "0.7", "--out", tmp_path / "g", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["share_labelled"] > told["share_labelled_before"] > 0 and told["method"] == "geodesic"
    assert read_manifest(told["manifest"]).info.settings["confidence"] == 0.7
    result = run("grow", source.path, "--method", "geodesic", "--confidence", "0.7", "--out", tmp_path / "g")
    assert result.exit_code == 0 and "already" in result.stdout
    stats = run("stats", tmp_path / "g", "--json")
    (table,) = json.loads(stats.stdout)
    total = table["classes"][-1]
    assert total["labelled_pixels"] == sum(r.num_labelled for r in read_manifest(tmp_path / "g").rows)
    assert 0 < total["share_right"] <= 1 and total["marks"] is None
    assert run("score", tmp_path / "g").exit_code == 0
    assert run("grow", source.path, "--method", "random-walker", "--max-distance", "3").exit_code == 2
