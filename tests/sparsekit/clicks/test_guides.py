"""Clicks that a network guides, against literal versions of what docs/annotations.md says."""

import hashlib
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import chisquare, entropy

from data_manifests import DataError
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map
from sparsekit.clicks.draw import draw_clicks
from sparsekit.clicks.guides import Guidance, Guide
from sparsekit.clicks.settings import ClickSettings
from sparsekit.randomness import ImageStream
from tests.helpers.label_maps import AWKWARD, VOID, label_maps
from tests.sparsekit.conftest import letters, numbered_space


def draw(label_map, values, budget=10, strategy="corrective", seed=0, labelled=None, top_share=0.05, **how):
    clicks = draw_clicks(
        label_map, budget, ClickSettings(strategy, **how), rng=ImageStream(seed, "a", "points"),
        guidance=Guidance(values, top_share), labelled=labelled,
    )  # fmt: skip
    assert [smallest for smallest, _ in clicks] == list(range(1, len(clicks) + 1))
    assert all(click.class_id == label_map[click.row, click.col] != VOID for _, click in clicks)
    return [(click.row, click.col) for _, click in clicks]


def errors_by_the_book(label_map, predicted):
    """Pixels of each wrong region: size first, then position; deepest pixels first, the middle of several."""
    regions = []
    for class_id in np.unique(label_map[label_map != VOID]):
        parts, num = ndimage.label((label_map == class_id) & (predicted != class_id), np.ones((3, 3)))
        regions += [np.pad(parts == number + 1, 1) for number in range(num)]
    regions.sort(key=lambda region: (-region.sum(), np.argwhere(region).tolist()[0]))
    clicks = []
    for region in regions:
        squares = np.rint(ndimage.distance_transform_edt(region) ** 2)
        deepest = np.argwhere(squares == squares.max()) - 1
        clicks.append(tuple(deepest[len(deepest) // 2].tolist()))
    return clicks


@given(label_map=label_maps(), data=st.data())
@settings(max_examples=100)
def test_corrective_clicks_go_to_the_middle_of_the_largest_errors(label_map, data):
    seed = data.draw(st.integers(0, 99))
    noise = np.random.default_rng(seed)
    predicted = np.where(noise.random(label_map.shape) < 0.6, label_map, noise.integers(0, 4, label_map.shape))
    expected = errors_by_the_book(label_map, predicted.astype(np.uint8))
    assert draw(label_map, predicted.astype(np.uint8), 1000, seed=seed) == expected
    assert draw(label_map, predicted.astype(np.uint8), 3, seed=seed + 1) == expected[:3]


def test_corrective_clicks_by_hand():
    truth = letters("00000111", "00000111", "00000111", "0.000111", "22222222")
    predicted = letters("11100111", "11100111", "11100111", "11000000", "22222222")
    # Class 0: one region of 10 pixels, whose deepest pixel is (1, 1). Class 1: three pixels, the middle one.
    assert draw(truth, predicted) == [(1, 1), (3, 6)]
    assert draw(truth, truth) == []
    unlabelled = np.full_like(truth, VOID)  # the network says nothing
    assert len(draw(truth, unlabelled)) == 3


def test_corrective_clicks_keep_margin_distance_and_earlier_labels():
    truth, predicted = np.zeros((9, 20), np.uint8), np.zeros((9, 20), np.uint8)
    truth[:, 10:] = predicted[:, 10:] = 1
    predicted[1:8, 2:9] = 1
    predicted[4, 12] = 0
    assert draw(truth, predicted) == [(4, 5), (4, 12)]
    assert draw(truth, predicted, margin=7) == [(4, 3)]
    assert draw(truth, predicted, min_distance=8) == [(4, 5)]
    labelled = np.zeros(truth.shape, bool)
    labelled[4, 5] = labelled[4, 12] = True
    (place,) = draw(truth, predicted, labelled=labelled)
    assert truth[place] == 0 and predicted[place] == 1 and place != (4, 5)
    assert draw(truth, predicted, labelled=labelled, min_distance=30) == []


@given(label_map=label_maps(), share=st.sampled_from([0.01, 0.05, 0.3, 1.0]), seed=st.integers(0, 99))
@settings(max_examples=80)
def test_uncertain_clicks_come_from_the_top_share_then_from_the_next(label_map, share, seed):
    values = np.random.default_rng(seed).integers(0, 12, label_map.shape)  # with many ties
    found = draw(label_map, values, 10_000, "uncertain", seed, top_share=share)
    pixels = sorted(zip(*np.nonzero(label_map != VOID), strict=True), key=lambda place: -values[place])
    assert sorted(found) == sorted(pixels)
    drawn = iter(found)
    while pixels:
        last = values[pixels[max(1, round(share * len(pixels))) - 1]]
        top = [place for place in pixels if values[place] >= last]
        assert sorted(top) == sorted(next(drawn) for _ in top)
        pixels = pixels[len(top) :]
    assert draw(label_map, values, 7, "uncertain", seed, top_share=share) == found[:7]


def test_each_pixel_of_the_top_share_is_equally_likely():
    label_map = np.zeros((10, 20), np.uint8)
    values = np.zeros((10, 20), int)
    values[2:4, 5:10] = 1
    hits = np.zeros((10, 20), int)
    for seed in range(2000):
        hits[draw(label_map, values, 1, "uncertain", seed)[0]] += 1
    assert hits.sum() == hits[2:4, 5:10].sum() and chisquare(hits[2:4, 5:10].ravel()).pvalue > 1e-3
    assert draw(label_map, values, 3, "uncertain", seed=0) == [(2, 6), (3, 8), (3, 5)]  # of published annotations


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("strategy", ["uncertain", "corrective"])
def test_awkward_shapes(name, strategy):
    label_map = AWKWARD[name]
    assert draw(label_map, np.full_like(label_map, 9), 5, strategy, margin=3, min_distance=2)


def softmax(shape, seed=0, scale=3.0):
    logits = np.random.default_rng(seed).normal(0, scale, shape)
    exp = np.exp(logits - logits.max(0))
    return (exp / exp.sum(0)).astype(np.float16)


def save_npy(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


@pytest.mark.parametrize("measure", ["margin", "entropy", "least-confidence"])
def test_uncertainty_is_that_of_the_literature(tmp_path, measure):
    probabilities = softmax((5, 30, 40))
    probabilities[:, 0, 0] = [1, 0, 0, 0, 0]
    probabilities[:, 0, 1] = [0.5, 0.5, 0, 0, 0]
    save_npy(tmp_path / "town/a.npy", probabilities)
    found = Guide("uncertain", tmp_path, measure).read("town/a", (30, 40), numbered_space(5)).values
    p = np.sort(probabilities.astype(np.float64), 0)
    expected = {"margin": 1 - (p[-1] - p[-2]), "entropy": entropy(p, base=2) * p.sum(0), "least-confidence": 1 - p[-1]}
    if measure == "entropy":  # of p as it is, not scaled to a sum of one
        expected["entropy"] = -(p * np.log2(np.where(p > 0, p, 1))).sum(0)
        np.testing.assert_allclose(expected["entropy"], entropy(p, base=2), atol=0.02)
    np.testing.assert_allclose(found / 2**24, expected[measure], atol=1e-6 if measure == "entropy" else 0)
    assert found.dtype.kind == "i" and found[0, 0] == 0


def test_provenance_is_of_the_images_that_are_annotated(tmp_path):
    space = numbered_space(3)
    for name in ("a", "b", "c"):
        write_atomically(tmp_path / f"{name}.png", encode_label_map(np.zeros((2, 2), np.uint8), space))
    guide = Guide("corrective", tmp_path)
    before = guide.provenance(["b", "a"])
    one = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    lines = f"1 a {one}\n1 b {one}\n"  # the files are equal
    assert before == {"predictions": tmp_path, "predictions_sha256": hashlib.sha256(lines.encode()).hexdigest()}
    write_atomically(tmp_path / "c.png", encode_label_map(np.ones((2, 2), np.uint8), space))
    assert guide.provenance(["a", "b"]) == before != guide.provenance(["a", "c"])
    with pytest.raises(DataError, match=r"lacks the predictions of 2 images of 3: .*y\.png, .*z\.png"):
        guide.provenance(["z", "a", "y"])


def bad_files(folder):
    good = softmax((3, 4, 6))
    number = count()

    def save(array):
        path = folder / f"{next(number)}.npy"
        save_npy(path, array)
        return path.stem

    def cut(stem, length):
        (folder / f"{stem}.npy").write_bytes((folder / f"{stem}.npy").read_bytes()[:length])
        return stem

    yield save(good.astype(np.float32)), "type float16"
    yield save(good[0]), "type float16 and shape"
    yield save(np.asfortranarray(good)), "in Fortran order"
    yield save(good.transpose(0, 2, 1).copy()), "is 4x6 .* but the full mask of the image is 6x4"
    yield save(good[:2]), "has 2 classes, but there are 3"
    yield save(good * np.float16(2)), "between 0 and 1"
    yield save(np.where(np.arange(6) == 3, np.float16("nan"), good)), "between 0 and 1"
    yield save(np.where(np.arange(6) == 3, -good, good)), "between 0 and 1"
    yield save(good / np.float16(2)), "do not sum to 1"
    yield cut(save(good), 200), "ends before its last"
    yield cut(save(good), 40), "not a readable NPY file"
    yield cut(save(good), 0), "not a readable NPY file"
    stem = save(good)
    path = folder / f"{stem}.npy"
    path.write_bytes(path.read_bytes().replace(b"(3, 4, 6)", b"(3, 4, 6 "))
    yield stem, "not a readable NPY file"
    yield save(np.array([{"a": 1}], object)), "type float16"


def test_bad_probabilities_are_one_clear_error_each(tmp_path):
    guide = Guide("uncertain", tmp_path)
    for stem, message in bad_files(tmp_path):
        with pytest.raises(DataError, match=message) as raised:
            guide.read(stem, (4, 6), numbered_space(3))
        assert f"{stem}.npy" in str(raised.value)


def test_bad_predictions(tmp_path):
    space, guide = numbered_space(3), Guide("corrective", tmp_path)
    write_atomically(tmp_path / "a.png", encode_label_map(np.zeros((4, 5), np.uint8), space))
    with pytest.raises(DataError, match=r"a\.png: is 5x4 .* is 6x4"):
        guide.read("a", (4, 6), space)
    write_atomically(tmp_path / "a.png", encode_label_map(np.full((4, 6), 7, np.uint8), space))
    with pytest.raises(DataError, match=r"a\.png.*7"):
        guide.read("a", (4, 6), space)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "uniform"}, "Strategy 'uniform' has no guide. Choose from: uncertain, corrective"),
        ({"uncertainty": "variance"}, "Unknown uncertainty 'variance'. Choose from: margin"),
        ({"top_share": 0}, "top_share must be a share above 0"),
        ({"top_share": 1.1}, "top_share must be a share above 0"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        Guide(**{"strategy": "uncertain", "folder": tmp_path, **wrong})


def test_guided_strategies_need_guidance():
    with pytest.raises(ValueError, match="corrective needs the predictions"):
        draw_clicks(np.zeros((3, 3), np.uint8), 1, ClickSettings("corrective"), rng=ImageStream(0, "a", "points"))
