import heapq
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import sobel
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.metrics import jaccard_score

from cli.sparsekit_cli import main
from data_manifests import Manifest, Mark, read_manifest
from data_manifests.files.masks import encode_label_map
from data_manifests.manifest.derive import subset_manifest
from sparsekit.audit import score as module
from sparsekit.audit.score import (
    METHODS,
    AnnotationScore,
    annotation_score,
    confusion_matrix,
    format_scores,
    spread_labels,
)
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, VOID, letters, numbered_space, tiny_manifest

shapes = st.tuples(st.integers(1, 7), st.integers(1, 7))
seeds = st.integers(0, 2**32 - 1)


def random_case(shape: tuple[int, int], seed: int):
    """A sparse label map with at least one label, and an image."""
    rng = np.random.default_rng(seed)
    sparse = np.where(rng.random(shape) < 0.2, rng.integers(0, 3, shape), VOID).astype(np.uint8)
    sparse[rng.integers(shape[0]), rng.integers(shape[1])] = 1
    return sparse, rng.integers(0, 256, (*shape, 3), np.uint8)


def image_of(label_map):
    """Each class in a colour of its own."""
    return np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200]], np.uint8)[np.minimum(label_map, 2)]


@settings(max_examples=60)
@given(shape=shapes, seed=seeds)
def test_nearest_is_as_near_as_any(shape, seed):
    sparse, image = random_case(shape, seed)
    spread = METHODS["nearest"](sparse, image, VOID)
    labelled = np.argwhere(sparse != VOID)
    for p in np.ndindex(shape):
        nearest = min(math.dist(p, q) for q in labelled)
        assert nearest == min(math.dist(p, q) for q in labelled if sparse[tuple(q)] == spread[p])


def slow_costs(starts, step_cost):
    """Dijkstra's algorithm over the eight neighbours, in plain Python."""
    costs = np.full(step_cost.shape, np.inf)
    queue = [(0.0, tuple(start)) for start in starts]
    while queue:
        cost, p = heapq.heappop(queue)
        if cost >= costs[p]:
            continue
        costs[p] = cost
        for step in [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]:
            q = (p[0] + step[0], p[1] + step[1])
            if 0 <= q[0] < costs.shape[0] and 0 <= q[1] < costs.shape[1]:
                heapq.heappush(queue, (cost + math.hypot(*step) * (step_cost[p] + step_cost[q]) / 2, q))
    return costs


@settings(max_examples=40)
@given(shape=shapes, seed=seeds)
def test_geodesic_paths_are_as_short_as_any(shape, seed):
    sparse, image = random_case(shape, seed)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab).astype(float)
    channels = np.moveaxis(lab, 2, 0)
    gradient = np.sqrt(sum((sobel(c, axis, mode="mirror") / 8) ** 2 for c in channels for axis in (0, 1)))
    step_cost = 1 + gradient / module.EDGE_SCALE
    spread = METHODS["geodesic"](sparse, image, VOID)
    by_label = {
        label: slow_costs(np.argwhere(sparse == label), step_cost) for label in np.unique(sparse) if label != VOID
    }
    shortest = np.minimum.reduce(list(by_label.values()))
    for label, costs in by_label.items():
        assert costs[spread == label] == pytest.approx(shortest[spread == label], rel=1e-6)


def test_geodesic_stops_at_edges_where_nearest_goes_on():
    full = np.repeat([[0] * 4 + [1] * 16], 12, axis=0).astype(np.uint8)
    sparse = np.full_like(full, VOID)
    sparse[6, 1], sparse[6, 18] = 0, 1
    assert (METHODS["geodesic"](sparse, image_of(full), VOID) == full).mean() > 0.9
    assert (METHODS["nearest"](sparse, image_of(full), VOID) == full).mean() < 0.75


def test_superpixels_follow_colours():
    full = np.kron(letters("0101", "1010", "0101"), np.ones((20, 20), np.uint8))
    sparse = np.full_like(full, VOID)
    sparse[10, 10], sparse[10, 30] = 0, 1
    right = {m: (METHODS[m](sparse, image_of(full), VOID) == full).mean() for m in ("superpixels", "nearest")}
    # Most of the image is far from both labels, but looks like one of them.
    assert right["superpixels"] > right["nearest"] + 0.15


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8)], ids=str)
def test_one_label_fills_any_image(method, shape):
    sparse = np.full(shape, VOID, np.uint8)
    sparse[-1, 0] = 2
    spread = spread_labels(sparse, np.zeros((*shape, 3), np.uint8), method, VOID)
    assert (spread == 2).all() and spread.shape == shape


@pytest.mark.parametrize("method", METHODS)
def test_an_image_without_label_stays_without(method):
    sparse = np.full((4, 6), VOID, np.uint8)
    assert (spread_labels(sparse, np.zeros((4, 6, 3), np.uint8), method, VOID) == VOID).all()


@pytest.mark.parametrize("method", METHODS)
def test_all_labels_survive_a_smaller_size(method):
    full = np.kron(letters("01", "20"), np.ones((16, 16), np.uint8))
    sparse = np.full_like(full, VOID)
    clicks = [(1, 3), (7, 29), (31, 5), (29, 31)]  # taking every fourth pixel would miss them
    for row, col in clicks:
        sparse[row, col] = full[row, col]
    spread = spread_labels(sparse, image_of(full), method, VOID, max_size=8)
    assert (spread == full).mean() > 0.85
    assert all(spread[row, col] == full[row, col] for row, col in clicks)


def test_a_smaller_size_gives_the_same_mostly():
    sparse, image = random_case((60, 80), 3)
    whole = spread_labels(sparse, image, "nearest", VOID)
    assert (spread_labels(sparse, image, "nearest", VOID, max_size=79) == whole).mean() > 0.9


def test_sixteen_bit_labels():
    sparse = np.array([[299, 65535, 65535, 0]], np.uint16)
    for method in METHODS:
        spread = spread_labels(sparse, np.zeros((1, 4, 3), np.uint8), method, 65535)
        assert spread.dtype == np.uint16 and spread[0, 0] == 299


@settings(max_examples=60)
@given(
    full=arrays.arrays(np.uint8, (6, 6), elements=st.sampled_from([0, 1, 2, 3, VOID])),
    labels=arrays.arrays(np.uint8, (6, 6), elements=st.sampled_from([0, 1, 2, 3, VOID])),
)
def test_confusion_and_iou_are_sklearns(full, labels):
    confusion = confusion_matrix(full, labels, 4)
    annotated = full != VOID
    if not annotated.any():
        assert not confusion.any()
        return
    true, given_ = full[annotated], np.where(labels == VOID, 4, labels)[annotated]
    assert (confusion == sklearn_confusion_matrix(true, given_, labels=range(5))[:4]).all()
    score = AnnotationScore("a", "nearest", 1, tuple("abcd"), confusion)
    occurring = [k for k in range(4) if k in true or k in given_]
    expected = jaccard_score(true, given_, labels=occurring, average=None)
    assert score.class_iou[occurring] == pytest.approx(expected)
    assert np.isnan(np.delete(score.class_iou, occurring)).all()
    assert score.mean_iou == pytest.approx(expected.mean())
    assert score.pixel_accuracy == pytest.approx((true == given_).mean())


def test_all_void_has_no_score():
    score = AnnotationScore("a", "nearest", 1, ("a", "b"), np.zeros((2, 3), np.int64))
    assert score.mean_iou is None and score.pixel_accuracy is None
    assert score.to_dict()["class_iou"] == {"a": None, "b": None}


@pytest.mark.parametrize("workers", [1, 2])
def test_pixels_of_all_images_are_summed(tmp_path, workers):
    marks = [[Mark("click", 0, 0, 0), Mark("click", 1, 7, 7)], []]  # the second image has no label at all
    manifest = tiny_manifest(tmp_path / "demo", [SCENE, SCENE.T, SCENE], [*marks, []], num_val=1)
    score = annotation_score(manifest, workers=workers)
    assert score.confusion.sum() == 2 * (SCENE != VOID).sum()
    assert score.confusion[:, 3].sum() == (SCENE != VOID).sum()
    assert score.name == "demo" and score.num_images == 2
    assert score.mean_iou == pytest.approx(np.mean(score.class_iou))


@pytest.mark.parametrize("method", METHODS)
def test_the_full_mask_itself_scores_one(tmp_path, method):
    manifest = tiny_manifest(tmp_path, [SCENE], sparse_maps=[SCENE])
    assert annotation_score(manifest, "nearest").mean_iou == 1.0
    assert annotation_score(manifest, method).mean_iou > 0.5  # a superpixel may swallow the class of one pixel


def test_more_clicks_score_higher_on_real_images(tmp_path):
    out = tmp_path / "sparse"
    arguments = ["points", str(real_data("camvid")), "--limit", "4", "--clicks", "20", "--clicks", "200"]
    assert CliRunner().invoke(main, [*arguments, "--out", str(out)]).exit_code == 0
    few, many = (read_manifest(out / f"camvid-{n}clicks") for n in (20, 200))
    scores = {m: [annotation_score(a, m, max_size=240) for a in (few, many)] for m in METHODS}
    assert all(few.mean_iou < many.mean_iou for few, many in scores.values())
    # A look at the image must help, or it is not worth its time.
    assert scores["geodesic"][1].mean_iou > scores["nearest"][1].mean_iou


def test_unknown_method_and_bad_size():
    with pytest.raises(ValueError, match="Unknown method 'magic'. Choose from: nearest, geodesic, superpixels"):
        annotation_score(None, "magic")
    with pytest.raises(ValueError, match="max_size must be at least 1 pixel, got 0"):
        annotation_score(None, max_size=0)


class TestCommand:
    def run(self, *arguments: object):
        return CliRunner().invoke(main, ["score", *map(str, arguments)])

    def test_table_and_json(self, tmp_path):
        first, second = tiny_manifest(tmp_path / "a"), tiny_manifest(tmp_path / "b", num_val=1)
        methods = [f"--method={m}" for m in METHODS]
        result = self.run(first.path, second.path, *methods)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert [line.split()[1:3] for line in lines[1:7]] == [[a, m] for a in "ab" for m in METHODS]
        scores = json.loads(self.run(first.path, second.path, *methods, "--json").stdout)
        expected = annotation_score(first, "geodesic")
        assert scores[1] == expected.to_dict()
        assert result.stdout == format_scores([annotation_score(a, m) for a in (first, second) for m in METHODS]) + "\n"
        assert f"{100 * expected.mean_iou:.1f}" in lines[2]

    def test_worker_count_changes_nothing(self, tmp_path):
        manifest = tiny_manifest(tmp_path)
        assert self.run(manifest.path).stdout == self.run(manifest.path, "--workers", 2).stdout

    def test_an_annotation_of_another_size_is_reported(self, tmp_path):
        tiny_manifest(tmp_path)
        (tmp_path / "sparse/image_0.png").write_bytes(encode_label_map(SCENE[:4], numbered_space(3)))
        result = self.run(tmp_path)
        assert result.exit_code == 1
        assert "image_0.png: is 8x4" in result.stderr and "says 8x8" in result.stderr


def test_manifests_of_different_images_are_compared_with_a_word(tmp_path: Path) -> None:
    first = tiny_manifest(tmp_path / "a", [SCENE, SCENE.T, SCENE[::-1]])
    second = written_subset(first, tmp_path / "b", ["image_1", "image_2"])
    third = written_subset(first, tmp_path / "c", ["image_0"])

    def run(*words: object) -> Result:
        return CliRunner().invoke(main, ["score", "--json", *map(str, words)])

    assert run(first.path, first.path).stderr == ""
    both = run(first.path, second.path)
    assert both.exit_code == 0 and "2 images are in all" in both.stderr and "--common" in both.stderr
    assert [one["num_images"] for one in json.loads(both.stdout)] == [3, 2]
    common = run(first.path, second.path, "--common")
    assert common.stderr == ""
    of_first, of_second = json.loads(common.stdout)
    assert of_first | {"annotation": "b"} == of_second == json.loads(run(second.path).stdout)[0]
    assert run(second.path, third.path, "--common").exit_code == 1


def written_subset(manifest: Manifest, folder: Path, image_ids: list[str]) -> Manifest:
    derived = subset_manifest(manifest, folder, image_ids=image_ids)
    derived.write()
    return derived.manifest
