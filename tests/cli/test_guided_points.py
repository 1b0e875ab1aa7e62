"""``sparsekit points`` where a network says where to click, and on top of an annotation."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import open_dataset, read_manifest, read_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map
from sparsekit import ClickAnnotator, ClickSettings, Guide, ImageStream, sample_clicks, synthesize

SHAPE = (24, 32)
IMAGES = ("a", "deep/b", "c")


def sparsekit(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def run(*args):
    result = sparsekit(*args)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def town(tmp_path):
    """Three images with three classes and void, and a network that is half wrong."""
    rng = np.random.default_rng(0)
    root = tmp_path / "town"
    for name in IMAGES:
        mask = np.kron(rng.integers(0, 3, (4, 4)), np.ones((6, 8))).astype(np.uint8)
        mask[0] = 255
        logits = rng.normal(0, 1, (3, *SHAPE)) + np.eye(3)[mask % 3].transpose(2, 0, 1)
        probabilities = np.exp(logits) / np.exp(logits).sum(0)
        for folder, pixels in (("masks", mask), ("images", np.zeros((*SHAPE, 3), np.uint8))):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{name}.png")
        (tmp_path / "net/probabilities" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"net/probabilities/{name}.npy", probabilities.astype(np.float16))
        space = open_dataset(root).label_space
        predicted = encode_label_map(probabilities.argmax(0).astype(np.uint8), space)
        write_atomically(tmp_path / f"net/predictions/{name}.png", predicted)
    return root


GUIDED = {"uncertain": "probabilities", "corrective": "predictions"}


def words(town, strategy, clicks, *more):
    kind = GUIDED[strategy]
    return (
        "points", "--strategy", strategy, f"--{kind}", town.parent / "net" / kind, "--clicks", clicks,
        "--out", town.parent / "out", *more,
    )  # fmt: skip


def marks_of(folder):
    return dict(read_marks(folder / "marks.csv"))


@pytest.mark.parametrize("strategy", GUIDED)
def test_budgets_nest_and_provenance_names_the_files(town, strategy):
    run(*words(town, strategy, "2,6", town))
    few, many = (town.parent / f"out/town-{n}clicks-{strategy}" for n in (2, 6))
    assert {k: v[:2] for k, v in marks_of(many).items()} == marks_of(few)
    settings = read_manifest(many).info.settings
    assert settings[GUIDED[strategy]] == f"../../net/{GUIDED[strategy]}"
    assert len(settings[f"{GUIDED[strategy]}_sha256"]) == 64 and settings["clicks_per_image"] == 6
    assert ("top_share" in settings) == (strategy == "uncertain")
    again = town.parent / "again"
    run(*words(town, strategy, 6, town, "--workers", 2, "--out", again))
    for name in ("manifest.csv", "manifest.json", "marks.csv"):
        assert (again / many.name / name).read_bytes() == (many / name).read_bytes()
    assert "regenerated, all the same" in run("verify", many).stdout
    guide = Guide(strategy, town.parent / "net" / GUIDED[strategy])
    annotator = ClickAnnotator((6,), ClickSettings(strategy), guide)
    (summary,) = synthesize(open_dataset(town), annotator, town.parent / "out")
    assert summary.already_there


def test_each_measure_and_share_is_recorded_and_verified(town):
    found = set()
    for number, measure in enumerate(("margin", "entropy", "least-confidence")):
        out = town.parent / f"out{number}"
        run(*words(town, "uncertain", 5, "--uncertainty", measure, "--top-share", "0.02", town, "--out", out))
        made = out / "town-5clicks-uncertain"
        settings = read_manifest(made).info.settings
        assert (settings["uncertainty"], settings["top_share"]) == (measure, 0.02)
        run("verify", made)
        found.add((made / "marks.csv").read_bytes())
    assert len(found) == 3


def test_other_predictions_are_another_annotation(town):
    first = words(town, "corrective", 3, town)
    run(*first)
    assert "existed already" in run(*first).stdout
    path = town.parent / "net/predictions/a.png"
    path.write_bytes((town.parent / "net/predictions/c.png").read_bytes())
    result = sparsekit(*first)
    assert result.exit_code == 1 and "predictions_sha256" in result.stderr
    assert sparsekit("verify", town.parent / "out/town-3clicks-corrective").exit_code == 1


def test_images_with_fewer_errors_than_clicks_are_counted(town):
    result = run(*words(town, "corrective", 200, town))
    assert "3 images have fewer clicks than requested" in result.stdout
    (made,) = json.loads(run(*words(town, "corrective", 200, town, "--overwrite", "--json")).stdout)["results"]
    assert made["num_short_images"] == 3


def test_missing_and_wrongly_sized_files_are_one_error_and_leave_nothing(town):
    space = open_dataset(town).label_space
    write_atomically(town.parent / "net/predictions/c.png", encode_label_map(np.zeros((4, 4), np.uint8), space))
    result = sparsekit(*words(town, "corrective", 3, "--split", "train", town))
    assert result.exit_code == 1 and result.stderr.count("Error") == 1
    assert "c.png: is 4x4 (width x height), but the full mask of the image is 32x24" in result.stderr
    (town.parent / "net/predictions/c.png").unlink()
    result = sparsekit(*words(town, "corrective", 3, town))
    assert result.exit_code == 1 and "lacks the predictions of 1 image of 3" in result.stderr
    assert not (town.parent / "out/town-3clicks-corrective").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategy", "corrective", "town"), "Strategy corrective needs --predictions DIR"),
        (("--strategy", "uncertain", "--predictions", "x", "town"), "--predictions is of no use to strategy uncertain"),
        (("--probabilities", "x", "town"), "--probabilities is of no use to strategy uniform"),
        (("--top-share", "0.1", "town"), "--top-share is of no use to strategy uniform"),
        (("--strategy", "uncertain", "--probabilities", "x", "--top-share", "0", "town"), "0<x<=1"),
        (("--add-to", "x", "town"), "leave out DATASET"),
        (("--add-to", "x", "--layout", "generic"), "leave out DATASET"),
        (("--add-to", "x", "--limit", "3"), "leave out DATASET"),
        (("--add-to", "x", "--strategy", "per-instance"), "knows no instances"),
    ],
)
def test_wrong_usage(arguments, message):
    result = sparsekit("points", *arguments)
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())


def test_added_clicks_leave_out_no_annotated_split(town):
    out = town.parent / "out"
    run("points", "--clicks", 4, "--out", out, town)
    result = sparsekit("points", "--clicks", 2, "--out", out, "--add-to", out / "town-4clicks", "--split", "val")
    assert result.exit_code == 2 and "Unknown split 'val'" in result.stderr
    manifest = out / "town-4clicks/manifest.csv"
    manifest.write_text(manifest.read_text().replace("c,train", "c,val", 1))
    assert ",val," in manifest.read_text()
    result = sparsekit("points", "--clicks", 2, "--out", out, "--add-to", manifest, "--split", "val")
    assert result.exit_code == 2 and "split 'train' is annotated too" in result.stderr


def test_clicks_are_added_to_those_there_are(town):
    out = town.parent / "out"
    run("points", "--clicks", 4, "--out", out, town)
    first = out / "town-4clicks"
    run(*words(town, "uncertain", "3,5", "--add-to", first))
    added = out / "town-4clicks+5clicks-uncertain"
    before, after, fewer = map(marks_of, (first, added, out / "town-4clicks+3clicks-uncertain"))
    for name in IMAGES:
        assert after[name][:4] == before[name] and fewer[name] == after[name][:7]
        assert len({(mark.row, mark.col) for mark in after[name]}) == 9
    settings = read_manifest(added).info.settings
    assert (settings["clicks_per_image"], settings["clicks_added"], settings["strategy"]) == (9, 5, "uncertain")
    assert settings["source"] == "../town-4clicks/manifest.csv"
    assert settings["source_settings"]["clicks_per_image"] == 4
    assert settings["source_sha256"] == read_manifest(first).sha256()
    run("validate", added)
    assert "existed already" in run(*words(town, "uncertain", "3,5", "--add-to", first)).stdout
    # Once more, on top of the sum.
    run(*words(town, "corrective", 2, "--add-to", added))
    third = out / f"{added.name}+2clicks-corrective"
    for made in (first, added, third):
        run("verify", made)
    assert all(marks_of(third)[name][:9] == after[name] for name in IMAGES)
    assert read_manifest(third).info.settings["clicks_per_image"] == 11


@pytest.mark.parametrize("strategy", ["uniform", "class-balanced", "per-class", "center"])
def test_clicks_of_every_strategy_are_added_elsewhere_than_the_earlier_ones(town, strategy):
    out = town.parent / "out"
    run("points", "--clicks", 300, "--out", out, town)
    run("points", "--strategy", strategy, "--clicks", 500, "--out", out, "--add-to", out / "town-300clicks")
    (added,) = out.glob("town-300clicks+*")
    for row in read_manifest(added).rows:
        marks = marks_of(added)[row.image_id]
        assert row.num_labelled == len(marks) == 23 * 32  # void is never clicked
    run("verify", added)
    unit = "clicks_per_class" if strategy == "per-class" else "clicks_per_image"
    settings = read_manifest(added).info.settings
    assert settings["clicks_added"] == 500 and settings.get(unit) == (None if unit == "clicks_per_class" else 800)


def test_added_clicks_have_random_numbers_of_their_own(town):
    out = town.parent / "out"
    run("points", "--clicks", 4, "--out", out, town)
    run("points", "--clicks", 5, "--out", out, "--add-to", out / "town-4clicks")
    for name, marks in marks_of(out / "town-4clicks+5clicks").items():
        left = np.asarray(Image.open(town / "masks" / f"{name}.png")).copy()
        for mark in marks[:4]:
            left[mark.row, mark.col] = 255
        assert marks[4:] == sample_clicks(left, 5, rng=ImageStream(0, name, "points after 4 marks"))


def test_scribbles_get_clicks_too(town):
    out = town.parent / "out"
    run("scribbles", "--out", out, town)
    (scribbles,) = out.glob("town-scribbles*")
    run(*words(town, "corrective", 3, "--add-to", scribbles))
    added = out / f"{scribbles.name}+3clicks-corrective"
    for name, marks in marks_of(added).items():
        before = marks_of(scribbles)[name]
        assert marks[: len(before)] == before and [m.kind for m in marks[len(before) :]] == ["click"] * 3
    run("verify", added)
    assert "clicks_per_image" not in read_manifest(added).info.settings


def test_columns_of_ones_own_are_kept(town):
    out = town.parent / "out"
    run("points", "--clicks", 4, "--out", out, town)
    path = out / "town-4clicks/manifest.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([f"{header},weather", *(f"{line},rain" for line in lines)]) + "\n")
    run(*words(town, "corrective", 1, "--add-to", path.parent))
    added = read_manifest(out / "town-4clicks+1clicks-corrective")
    assert [row.extra for row in added.rows] == [(("weather", "rain"),)] * 3


def test_what_cannot_be_added_to_is_one_error(town):
    out = town.parent / "out"
    run("points", "--clicks", 4, "--out", out, town)
    run("points", "--clicks", 1, "--out", out, "--add-to", out / "town-4clicks")
    added = out / "town-4clicks+1clicks"
    (out / "town-4clicks/manifest.json").write_text(
        (out / "town-4clicks/manifest.json").read_text().replace('"seed": 0', '"seed": 1')
    )
    result = sparsekit("verify", added)
    assert result.exit_code == 1 and "town-4clicks/manifest.csv, which has changed since" in result.stderr
    mask = town / "masks/a.png"
    mask.write_bytes((town / "masks/c.png").read_bytes())
    result = sparsekit("points", "--clicks", 2, "--out", out, "--add-to", added)
    assert result.exit_code == 1 and "a.png: is not the full mask that the marks" in result.stderr
    (added / "marks.csv").unlink()
    result = sparsekit("points", "--clicks", 2, "--out", out, "--add-to", added)
    assert result.exit_code == 1 and "has no marks beside it" in result.stderr
