"""What scripts and notebooks hand over, beyond what the commands do: paths as text, label maps of any integer type."""

from pathlib import Path

import numpy as np
import pytest

from data_manifests import open_dataset, read_classes_csv, read_label_space, read_manifest, read_marks, write_marks
from data_manifests.files.images import read_image, read_image_size
from data_manifests.files.masks import read_mask
from data_manifests.files.paths import as_path
from data_manifests.layouts.class_tables import read_class_map
from data_manifests.manifest.derive import merge_manifests, subset_manifest
from data_manifests.manifest.split import split_manifest
from sparsekit import (
    ClickAnnotator,
    ClickSettings,
    ImageStream,
    RegionMarkSettings,
    ScribbleAnnotator,
    draw_marks,
    export_manifest,
    import_annotations,
    sample_clicks,
    trace_scribbles,
    verify_manifest,
)
from sparsekit.areas.draw import mark_regions
from sparsekit.audit.compare import sparse_maps
from sparsekit.audit.cost_model import CostModel, read_cost_model
from sparsekit.clicks.draw import draw_clicks
from sparsekit.clicks.settings import GUIDED, STRATEGIES
from sparsekit.demo_data import DemoSettings, write_demo_data
from sparsekit.figures.gallery import choose_images, is_gallery_there, write_gallery
from sparsekit.figures.write import draw_figures, plan_figures
from sparsekit.synthesis.synthesize import synthesize
from tests.helpers.miniature_datasets import save_image, save_mask

CLASSES = "id,name,r,g,b\n0,ground,0,0,0\n1,leaf,60,180,75\n"


@pytest.fixture
def mydata(tmp_path, monkeypatch):
    """A dataset in the folder that a script is run in."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((12, 16), np.uint8)
    mask[3:9, 4:12] = 1
    for name in ("a", "b", "c"):
        save_image(Path(f"mydata/images/{name}.png"), mask.shape)
        save_mask(Path(f"mydata/masks/{name}.png"), mask)
    Path("mydata/classes.csv").write_text(CLASSES)
    return mask


def annotate(out="sparse"):
    (summary,) = synthesize(open_dataset("mydata"), ClickAnnotator((3,)), out)
    return summary.folder


def test_notebooks_show_a_line(mydata):
    dataset, manifest = open_dataset("mydata"), read_manifest(annotate())
    assert repr(dataset) == "<Dataset mydata: generic layout, 3 images>"
    assert repr(manifest) == "<Manifest sparse/mydata-3clicks/manifest.csv: 3 rows, custom>"


@pytest.mark.parametrize("whole", [np.int64, np.uint8])
def test_numbers_may_be_of_numpy(mydata, whole):
    dataset = open_dataset("mydata")
    annotator = ClickAnnotator(whole(n) for n in (2, 3))
    folders = [s.folder for s in synthesize(dataset, annotator, "other", seed=whole(0), limit=whole(2))]
    first = synthesize(dataset, ClickAnnotator([2, 3]), "sparse", seed=0, limit=2)
    assert [folder.name for folder in folders] == [summary.folder.name for summary in first]
    for one, other in zip(folders, (summary.folder for summary in first), strict=True):
        assert (one / "marks.csv").read_bytes() == (other / "marks.csv").read_bytes()
        assert (one / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()


def test_one_split_may_be_a_text(mydata):
    dataset = open_dataset("mydata")
    (split,) = dataset.splits
    (summary,) = synthesize(dataset, ClickAnnotator((3,)), "sparse", splits=split)
    assert read_manifest(summary.folder).info.settings["splits"] == [split]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda d: synthesize("mydata", ClickAnnotator((3,)), "out"), "dataset must be the result of open_dataset"),
        (lambda d: synthesize(d, ClickAnnotator((3,)), "out", seed=None), "seed must be a whole number, got None"),
        (lambda d: synthesize(d, ClickAnnotator((3,)), "out", seed="1"), "seed must be a whole number, got '1'"),
        (lambda d: synthesize(d, ClickAnnotator((3,)), "out", limit=-1), "limit must be at least 1, got -1"),
        (lambda d: ClickAnnotator(5), r"budgets must be several values, such as \(5,\), got 5"),
        (lambda d: ClickAnnotator((2.5,)), "clicks_per_image must be a whole number, got 2.5"),
        (lambda d: ClickAnnotator((5,), "uniform"), "settings must be ClickSettings, such as .* got 'uniform'"),
        (lambda d: ScribbleAnnotator(0.5), r"shares must be several values, such as \(0.5,\), got 0.5"),
        (lambda d: ImageStream(-1, "a", "points"), "seed must be at least 0, got -1"),
    ],
    ids=["dataset", "no seed", "seed", "limit", "budgets", "budget", "settings", "shares", "stream"],
)
def test_wrong_numbers_and_settings_are_told(mydata, call, expected):
    with pytest.raises(ValueError, match=expected):
        call(open_dataset("mydata"))
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "image",
    [np.zeros((3, 12, 16), np.uint8), np.zeros((12, 16, 3)), np.zeros((12, 16), np.uint8)],
    ids=["channels first", "float", "grey"],
)
def test_marks_are_drawn_on_images_of_colour_alone(mydata, image):
    space = open_dataset("mydata").label_space
    with pytest.raises(ValueError, match=r"image must be RGB, uint8, shape \(H, W, 3\), got "):
        draw_marks(image, [], space)
    assert draw_marks(np.zeros((12, 16, 3), np.uint8), [], space).shape == (12, 16, 3)


def test_paths_of_annotations_may_be_text(mydata):
    folder = annotate()
    assert folder == Path("sparse/mydata-3clicks")
    manifest = read_manifest("sparse/mydata-3clicks")
    assert manifest == read_manifest(folder) == read_manifest("sparse/mydata-3clicks/manifest.csv")
    marks = list(read_marks("sparse/mydata-3clicks/marks.csv"))
    assert marks == list(read_marks(manifest.marks_path)) and len(marks) == 3
    write_marks("copies/marks.csv", marks)
    assert list(read_marks("copies/marks.csv")) == marks
    assert verify_manifest(manifest, "mydata") == []
    assert sparse_maps("sparse/mydata-3clicks")[0] == ["a", "b", "c"]
    assert sparse_maps("sparse/mydata-3clicks/annotations", masks_dir="mydata/masks")[0] == ["a", "b", "c"]


def test_paths_of_images_and_classes_may_be_text(mydata):
    assert np.array_equal(read_mask("mydata/masks/a.png"), mydata)
    assert read_image("mydata/images/a.png").shape == (12, 16, 3)
    assert read_image_size("mydata/images/a.png") == (12, 16)
    space = read_classes_csv("mydata/classes.csv")
    assert space == read_label_space("mydata/classes.csv") and space.class_names == ("ground", "leaf")
    Path("map.toml").write_text('plant = ["leaf"]\n')
    assert read_class_map("map.toml") == {"plant": ["leaf"]}
    Path("cost.toml").write_text("seconds_per_click = 3.0\n")
    assert read_cost_model("cost.toml") == CostModel(seconds_per_click=3.0)


def test_paths_to_write_to_may_be_text(mydata):
    manifest = read_manifest(annotate())
    assert export_manifest(manifest, "labelme", "labelme").folder == Path("labelme")
    assert import_annotations("labelme", "labelme", open_dataset("mydata"), "back").num_marks == 9
    assert split_manifest(manifest, "split", {"val": 0.34}).manifest.path == Path("split/manifest.csv")
    assert subset_manifest(manifest, "subset", count=1).manifest.path == Path("subset/manifest.csv")
    assert merge_manifests([manifest], "merged").manifest.path == Path("merged/manifest.csv")
    draw_figures(plan_figures([manifest], "figures"))
    assert sorted(path.name for path in Path("figures").iterdir()) == ["a.png", "b.png", "c.png"]
    pytest.importorskip("jinja2", reason="needs the extra 'figures'")
    choice = choose_images([manifest])
    assert not is_gallery_there(choice, "gallery.html")
    assert write_gallery(choice, "gallery.html").path == Path("gallery.html")
    assert is_gallery_there(choice, "gallery.html")


def test_demo_data_may_go_to_a_path_of_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_demo_data("town", DemoSettings(num_images=1, width=64, height=32))
    assert Path("town/leftImg8bit").is_dir()


@pytest.mark.parametrize("given", [None, 3, b"mydata", ["mydata"]])
def test_what_is_no_path_is_told(given):
    for function in (as_path, open_dataset, read_manifest, read_image):
        with pytest.raises(ValueError, match=r"^Expected a path as text or as pathlib.Path, got "):
            function(given)


def town_of(dtype):
    """Three classes; two where there is room for no more."""
    label_map = np.zeros((24, 30), dtype)
    label_map[:, 15:] = 1
    label_map[5:12, 4:12] = 1 if np.dtype(dtype) == np.bool_ else 2
    return label_map


DRAW = {
    "sample_clicks": lambda m: sample_clicks(m, 5, rng=ImageStream(0, "a", "points")),
    **{
        strategy: lambda m, how=strategy: draw_clicks(
            m, 3, ClickSettings(how, margin=3, wrong=0.5), rng=ImageStream(0, "a", "points")
        )
        for strategy in STRATEGIES
        if strategy not in GUIDED  # which need what a network says
    },
    "trace_scribbles": lambda m: trace_scribbles(m, rng=ImageStream(0, "a", "scribbles")),
    "mark_regions": lambda m: mark_regions(m, RegionMarkSettings(min_area=1)),
}


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_label_maps_of_any_integer_type_give_the_same_marks(draw):
    expected = draw(town_of(np.uint8))
    for dtype in (np.int8, np.int16, np.uint16, ">u2", np.int32, np.uint32, np.int64, np.uint64):
        label_map = town_of(dtype)
        label_map.flags.writeable = False
        assert draw(label_map) == expected
    assert draw(np.asfortranarray(town_of(np.int64))) == expected
    assert draw(np.repeat(town_of(np.uint8), 2, axis=1)[:, ::2]) == expected
    # repr tells True from 1
    assert repr(draw(town_of(bool))) == repr(draw(town_of(bool).astype(np.uint8)))
    assert not any(draw(np.zeros((0, 5), np.uint8)))


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.astype(np.float32), r"an integer type, got float32; .*label_map.astype\(np.uint8\)"),
        (lambda m: m.astype(int) - 1, r"between 0 and 65535, got -1\.\.1; give void pixels the unlabelled value"),
        (lambda m: m.astype(int) + 70000, r"between 0 and 65535, got 0\.\.70002"),
        (lambda m: np.dstack([m, m, m]), r"of shape \(H, W\), got \(24, 30, 3\); is this a colour-coded map"),
        (lambda m: m.tolist(), r"as a NumPy array, got builtins.list; give np.asarray\(label_map\)"),
        (lambda m: np.ma.masked_equal(m, 2), r"as a NumPy array, got numpy.ma.*; give its filled\(255\)"),
    ],
    ids=["float", "negative", "large", "colours", "list", "masked"],
)
def test_what_is_no_label_map_is_told(draw, change, words):
    with pytest.raises(ValueError, match=words):
        draw(change(town_of(np.uint8)))


@pytest.mark.parametrize("rng", [0, None, np.random.default_rng(0)])
def test_what_is_no_stream_of_an_image_is_told(rng):
    label_map = town_of(np.uint8)
    for draw in (
        lambda: sample_clicks(label_map, 5, rng=rng),
        lambda: draw_clicks(label_map, 5, ClickSettings("center"), rng=rng),
        lambda: trace_scribbles(label_map, rng=rng),
    ):
        with pytest.raises(ValueError, match=r"^rng must be a stream such as ImageStream\(seed, image_id, 'points'\)"):
            draw()
