import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import read_manifest


def sparsekit(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def dataset_dir(tmp_path):
    """Two images of 8x10 with classes 0 and 1 and a void column."""
    root = tmp_path / "town"
    for name in "ab":
        mask = np.zeros((8, 10), np.uint8)
        mask[:, 5:] = 1
        mask[:, 9] = 255
        for folder, image in (("masks", mask), ("images", np.zeros((8, 10, 3), np.uint8))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / folder / f"{name}.png")
    return root


def test_one_folder_for_each_budget(dataset_dir, tmp_path):
    result = sparsekit("points", "--clicks", 4, "--clicks", 9, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 0, result.output
    for budget in (4, 9):
        manifest = read_manifest(tmp_path / "out" / f"town-{budget}clicks")
        assert [row.num_labelled for row in manifest.rows] == [budget, budget]
        assert str(manifest.path) in result.stdout
    assert "8 marks on 8 pixels" in result.stdout and "image-class pairs labelled correctly" in result.stdout


def test_default_budgets_are_the_papers_and_default_out_is_sparse(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sparsekit("points", "town").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "sparse").iterdir()) == [
        "town-100clicks",
        "town-20clicks",
        "town-50clicks",
    ]


def test_json(dataset_dir, tmp_path):
    result = sparsekit("points", "--clicks", 4, "--json", "--out", tmp_path / "out", dataset_dir)
    (entry,) = json.loads(result.stdout)["results"]
    assert entry["num_images"] == 2 and entry["num_marks"] == 8 and entry["classes_present"] == 4
    assert read_manifest(tmp_path / "out" / "town-4clicks").path.samefile(entry["manifest"])


def test_results_in_a_folder_that_is_a_link_name_the_right_files(dataset_dir, tmp_path, monkeypatch):
    (tmp_path / "disk/far/away").mkdir(parents=True)
    (tmp_path / "sparse").symlink_to("disk/far/away")
    monkeypatch.chdir(tmp_path)
    assert sparsekit("points", "--clicks", 4, "town").exit_code == 0
    for out in ("sparse/half", "near"):
        assert sparsekit("subset", "sparse/town-4clicks", "--count", 1, "--out", out).exit_code == 0
    for manifest in ("sparse/town-4clicks", "sparse/half", "near"):
        assert sparsekit("validate", manifest).exit_code == 0, manifest


def test_folders_whose_names_are_not_utf8(dataset_dir, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    result = sparsekit("points", "--clicks", 4, "--out", odd, dataset_dir)  # the manifest need not name it
    assert result.exit_code == 0 and os.fsencode(odd / "town-4clicks/manifest.csv") in result.stdout_bytes
    assert sparsekit("validate", odd / "town-4clicks").exit_code == 0
    dataset_dir.rename(odd / "town")
    result = sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", odd / "town")
    assert result.exit_code == 1 and "caf\\udce9/town/images/a.png': the path is not UTF-8" in result.stderr
    (odd / "town").rename(tmp_path / os.fsdecode(b"ville\xe9"))
    result = sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", tmp_path / os.fsdecode(b"ville\xe9"))
    assert result.exit_code == 1 and "Error: 'ville\\udce9': the path is not UTF-8" in result.stderr
    assert not (tmp_path / "out").exists()


def test_fewer_annotated_pixels_than_clicks_are_counted(dataset_dir, tmp_path):
    result = sparsekit("points", "--clicks", 1000, "--out", tmp_path / "out", dataset_dir)
    assert "144 marks on 144 pixels" in result.stdout
    assert "2 images have fewer clicks than requested" in result.stdout


def test_void_everywhere_is_counted(dataset_dir, tmp_path):
    Image.fromarray(np.full((8, 10), 255, np.uint8)).save(dataset_dir / "masks" / "a.png")
    result = sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 0
    assert "1 image has a mask that is all void" in result.stdout
    assert [row.num_labelled for row in read_manifest(tmp_path / "out" / "town-4clicks").rows] == [0, 4]


def test_shards_are_told_until_the_last_one_has_finished(dataset_dir, tmp_path):
    out = tmp_path / "out"
    for shard, waiting in (
        ("3/3", "shard 3 of 3 is done, 2 others have"),
        ("1/3", "shard 1 of 3 is done, 1 other has"),
    ):
        result = sparsekit("points", "--clicks", 4, "--shard", shard, "--out", out, dataset_dir)
        assert result.exit_code == 0
        assert result.stdout.startswith(f"{out}/town-4clicks: {waiting} yet to finish. This shard:\n")
        assert "manifest.csv" not in result.stdout and "Next" not in result.stdout
    result = sparsekit("points", "--clicks", 4, "--shard", "2/3", "--out", out, dataset_dir)
    assert result.stdout.startswith(f"{out}/town-4clicks/manifest.csv\n  2 images annotated")
    assert f"Next: sparsekit render {out}/town-4clicks/manifest.csv" in result.stdout
    for wrong in ("0/2", "3/2", "1", "a/b"):
        result = sparsekit("points", "--shard", wrong, "--out", out, dataset_dir)
        assert result.exit_code == 2 and "1 <= i <= n" in result.stderr


def test_dry_run_writes_nothing(dataset_dir, tmp_path):
    result = sparsekit("points", "--dry-run", "--out", tmp_path / "out", dataset_dir)
    assert "train: 2 images to annotate" in result.stdout and "town-20clicks" in result.stdout
    plan = json.loads(sparsekit("points", "--dry-run", "--json", "--limit", 1, dataset_dir).stdout)
    assert plan["images"] == {"train": 1} and len(plan["folders"]) == 3
    assert not (tmp_path / "out").exists()


def test_progress_and_errors_go_to_stderr(dataset_dir, tmp_path):
    (dataset_dir / "classes.csv").write_text("id,name\n0,wall\n1,roof\n255,void\n")
    sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", dataset_dir)
    result = sparsekit("points", "--clicks", 4, "--seed", 1, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "--overwrite" in result.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--seed", 1], "(seed 0 there, 1 here)"),
        (["--margin", 2, "--jitter", 1], "(jitter 0 there, 1 here; margin 0 there, 2 here)"),
    ],
)
def test_the_setting_that_differs_is_named(dataset_dir, tmp_path, changes, words):
    sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", dataset_dir)
    result = sparsekit("points", "--clicks", 4, *changes, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 1 and f"made with other settings {words}. Give --overwrite" in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--clicks", "0"], "0 is not in the range x>=1"),
        (["--clicks", "4", "--clicks", "4"], "Each number of clicks may be given once, got 4, 4."),
        (["--split", "test"], "Unknown split 'test'. Splits of"),
        (["--layout", "nonsense"], "'nonsense' is not one of"),
        (["--seed", "-1"], "-1 is not in the range x>=0"),
    ],
)
def test_wrong_usage_exits_with_2(dataset_dir, tmp_path, args, message):
    result = sparsekit("points", "--out", tmp_path / "out", *args, dataset_dir)
    assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "out").exists()


def lonely_image(root):
    Image.new("RGB", (10, 8)).save(root / "images" / "c.png")


def lonely_mask(root):
    for i in range(12):
        Image.new("L", (10, 8)).save(root / "masks" / f"c{i:02}.png")


def colour_coded(root):
    Image.new("RGB", (10, 8), (128, 64, 128)).save(root / "masks" / "a.png")


def wrong_size(root):
    Image.new("L", (5, 4)).save(root / "masks" / "a.png")


def truncated_mask(root):
    path = root / "masks" / "a.png"
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize("strategy", ["uniform", "per-class"])
def test_clicks_that_find_no_room_are_counted(dataset_dir, tmp_path, strategy):
    """A distance longer than the images leaves room for one click each."""
    options = ("--strategy", strategy, "--clicks", 2, "--out", tmp_path / "out", dataset_dir)
    result = sparsekit("points", "--min-distance", 100, *options)
    assert result.exit_code == 0 and "have fewer clicks than requested" in result.stdout
    summary = json.loads(sparsekit("points", "--min-distance", 100, *options, "--overwrite", "--json").stdout)
    (made,) = summary["results"]
    assert made["num_short_images"] == made["num_marks"] == made["num_images"] - made["num_void_images"] > 0
    assert "fewer clicks" not in sparsekit("points", *options, "--overwrite").stdout


def truncated_image(root):
    path = root / "images" / "a.png"
    path.write_bytes(path.read_bytes()[:-40])


def not_a_image(root):
    (root / "images" / "a.png").write_text("hello")


def id_outside(root):
    (root / "classes.csv").write_text("id,name\n0,road\n")


def empty(root):
    for path in [*root.glob("*/*.png")]:
        path.unlink()


def bare(root):
    empty(root)
    (root / "images").rmdir()
    (root / "masks").rmdir()


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (lonely_image, ["1 image without a mask", "c.png"]),
        (lonely_mask, ["12 masks without an image", "c09.png", "and 2 more"]),
        (colour_coded, ["a.png", "RGB", "colours"]),
        (wrong_size, ["a.png", "5x4", "10x8"]),
        (truncated_mask, ["a.png", "damaged or incomplete"]),
        (truncated_image, ["images/a.png", "damaged or incomplete"]),
        (not_a_image, ["a.png", "not an image"]),
        (id_outside, ["a.png", "ids 1 ", "classes.csv"]),
        (empty, ["no images"]),
        (bare, ["fits no known layout", "cityscapes", "generic", "--layout"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_data_gets_one_error_and_leaves_nothing(dataset_dir, tmp_path, spoil, messages):
    spoil(dataset_dir)
    result = sparsekit("points", "--clicks", 4, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 1 and result.stdout == ""
    notes, error, _ = result.stderr.partition("Error: ")
    assert error and "Traceback" not in result.stderr
    assert all(line.startswith("Note: no classes.csv") for line in notes.splitlines())
    for message in messages:
        assert message in result.stderr
    assert [p for p in tmp_path.rglob("*") if p.is_file() and "out" in p.parts] == []


def test_missing_folder_and_unwritable_output(dataset_dir, tmp_path):
    result = sparsekit("points", tmp_path / "nowhere")
    assert result.exit_code == 1 and "nowhere: no such folder" in result.stderr
    (tmp_path / "file").write_text("")
    result = sparsekit("points", "--out", tmp_path / "file", dataset_dir)
    assert result.exit_code == 1 and "file" in result.stderr and "Traceback" not in result.stderr


def test_strategy_names_the_folder_and_says_what_budgets_count(dataset_dir, tmp_path):
    result = sparsekit("points", "--strategy", "per-class", "--margin", 2, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(tmp_path / "out" / "town-1clicks-per-class")
    assert [row.classes_labelled for row in manifest.rows] == [(0, 1), (0, 1)]
    assert manifest.info.settings["clicks_per_class"] == 1 and manifest.info.settings["margin"] == 2


def test_instances_of_a_layout_without_any_are_its_regions(dataset_dir, tmp_path):
    result = sparsekit("points", "--strategy", "per-instance", "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 0, result.output
    assert "layout generic has no instances" in result.stderr
    assert "4 marks on 4 pixels" in result.stdout


def test_unknown_strategy_lists_those_there_are(dataset_dir):
    result = sparsekit("points", "--strategy", "best", dataset_dir)
    assert result.exit_code == 2 and "'class-balanced', 'per-class', 'per-instance', 'center'" in result.stderr


def test_a_finished_folder_is_counted_and_there_is_nothing_to_do(dataset_dir, tmp_path):
    words = ("points", "--clicks", "4,9", "--out", tmp_path / "out", dataset_dir)
    before = json.loads(sparsekit(*words, "--json").stdout)["results"]
    after = json.loads(sparsekit(*words, "--json").stdout)["results"]
    assert all(one["already_there"] for one in after)
    for name in ("num_images", "num_marks", "num_labelled", "classes_reached", "num_evaluation_images"):
        assert [one[name] for one in after] == [one[name] for one in before]
    assert sparsekit(*words, "--dry-run").stdout.count("exists already; nothing to do") == 2
    folders = json.loads(sparsekit(*words, "--clicks", 20, "--dry-run", "--json").stdout)["folders"]
    assert [one["already_there"] for one in folders] == [True, True, False]
    assert sparsekit(*words, "--seed", 1, "--dry-run").exit_code == 1


@pytest.mark.parametrize("slips", [[], ["--jitter", 4], ["--wrong", 0.4], ["--jitter", 3, "--wrong", 0.3]], ids=str)
def test_points_and_stats_count_the_same_classes_reached(tmp_path, slips):
    """A slip onto another class and a wrong label reach no class; counted once more from the files themselves."""
    rng = np.random.default_rng(3)
    for name in "abcdef":
        mask = np.kron(rng.integers(0, 6, (4, 5)), np.ones((3, 3))).astype(np.uint8)
        for folder in ("images", "masks"):
            (tmp_path / "town" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(tmp_path / "town" / folder / f"{name}.png")
    words = ("points", "--clicks", 1, "--strategy", "per-class", *slips, "--json", "--out", tmp_path, tmp_path / "town")
    result = sparsekit(*words)
    assert result.exit_code == 0, result.output
    (made,) = json.loads(result.stdout)["results"]
    manifest = read_manifest(made["folder"])
    reached = present = 0
    for row in manifest.rows:
        mask, sparse = (np.asarray(Image.open(manifest.resolve(p))) for p in (row.full_mask, row.annotation))
        present += len(set(mask.flat))
        reached += len(set(mask[sparse == mask].flat))
    assert (made["classes_present"], made["classes_reached"]) == (present, reached)
    assert (reached < present) == bool(slips)
    (again,) = json.loads(sparsekit(*words).stdout)["results"]
    assert again["already_there"] and again["classes_reached"] == reached
    stats = json.loads(sparsekit("stats", "--json", made["folder"]).stdout)
    (stats,) = stats if isinstance(stats, list) else [stats]
    assert (
        sum(of_class["images_reached"] for of_class in stats["classes"][: len(manifest.label_space.classes)]) == reached
    )
