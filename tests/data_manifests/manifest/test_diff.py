"""Differences of two annotations, on a few marks written out and on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import ManifestError, Mark
from data_manifests.manifest.diff import _match_in_place, _match_nearby, diff_manifests
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest


def click(class_id, row, col, **more):
    return Mark("click", class_id, row, col, **more)


def compare(tmp_path, first, second, **options):
    """Difference of two sets of marks on one image."""
    manifests = [tiny_manifest(tmp_path / name, [SCENE], [m]) for name, m in (("a", first), ("b", second))]
    return diff_manifests(*manifests, **options)


def counts(diff):
    (image,) = diff.images
    return image.same, image.relabelled, image.moved, image.added, image.removed


A = [click(0, 0, 0), click(1, 0, 7), click(1, 7, 4)]


class TestMarks:
    @pytest.mark.parametrize(
        ("second", "expected"),
        [
            (A, (3, 0, 0, 0, 0)),
            (A[::-1], (3, 0, 0, 0, 0)),
            ([click(0, 0, 0, region=4), *A[1:]], (3, 0, 0, 0, 0)),
            ([*A, click(2, 5, 6)], (3, 0, 0, 1, 0)),
            (A[:1], (1, 0, 0, 0, 2)),
            ([click(2, 0, 0), *A[1:]], (2, 1, 0, 0, 0)),
            ([click(0, 1, 2), *A[1:]], (2, 0, 1, 0, 0)),
            ([click(0, 3, 0), *A[1:]], (2, 0, 0, 1, 1)),
            ([], (0, 0, 0, 0, 3)),
        ],
        ids=["same", "order", "region", "added", "removed", "relabelled", "moved", "moved too far", "all gone"],
    )
    def test_cases(self, tmp_path, second, expected):
        assert counts(compare(tmp_path, A, second, max_move=2.5)) == expected

    def test_the_nearest_pair_first(self):
        assert _match_nearby([click(0, 0, 0), click(0, 0, 4)], [click(0, 0, 3), click(0, 0, 9)], 5) == [1.0]
        assert _match_nearby([click(0, 0, 0), click(0, 0, 4)], [click(0, 0, 3), click(0, 0, 9)], 9) == [1.0, 9.0]
        assert _match_nearby([click(0, 0, 0)], [click(1, 0, 0)], 5) == []

    def test_a_stroke_of_another_course_has_moved(self, tmp_path):
        strokes = [Mark("stroke", 0, 0, 0, ((0, 0), (0, end)), (1, 1)) for end in (2, 3)]
        assert counts(compare(tmp_path, strokes[:1], strokes[1:])) == (0, 0, 1, 0, 0)

    @settings(max_examples=60)
    @given(st.data())
    def test_every_mark_is_counted_once(self, data):
        marks = st.lists(st.builds(click, st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), max_size=8)
        first, second = data.draw(marks), data.draw(marks)
        same, relabelled, removed, added = _match_in_place(first, second)
        moved = len(_match_nearby(removed, added, 2))
        assert same + relabelled + moved + (len(removed) - moved) == len(first)
        assert same + relabelled + moved + (len(added) - moved) == len(second)
        back = _match_in_place(second, first)
        assert back[:2] == (same, relabelled) and len(back[2]) == len(added) and len(back[3]) == len(removed)


class TestPixelsAndClasses:
    def test_against_numpy(self, tmp_path):
        rng = np.random.default_rng(0)
        maps = [np.where(rng.random((8, 8)) < 0.3, SCENE, 255).astype(np.uint8) for _ in range(2)]
        maps[1][0, 0] = 2
        maps[0][0, 0] = 0
        first, second = (tiny_manifest(tmp_path / n, [SCENE], sparse_maps=[m]) for n, m in zip("ab", maps, strict=True))
        diff = diff_manifests(first, second)
        same = ((maps[0] == maps[1]) & (maps[0] != 255)).sum()
        either = ((maps[0] != 255) | (maps[1] != 255)).sum()
        assert (diff.images[0].both, diff.images[0].either) == (same, either)
        assert diff.summary()["pixel_iou"] == pytest.approx(same / either)
        assert diff.images[0].classes_gained == tuple(sorted(set(maps[1].flat) - set(maps[0].flat) - {255}))

    def test_equal_manifests(self, tmp_path):
        manifest = tiny_manifest(tmp_path)
        diff = diff_manifests(manifest, manifest)
        assert not diff.differs and diff.summary()["pixel_iou"] == 1.0 and diff.summary()["images_that_differ"] == 0

    def test_nothing_labelled(self, tmp_path):
        diff = compare(tmp_path, [], [])
        assert not diff.differs and diff.summary()["pixel_iou"] == 1.0

    def test_images_of_one_manifest_only(self, tmp_path):
        first = tiny_manifest(tmp_path / "a", [SCENE] * 3, num_val=1)
        second = tiny_manifest(tmp_path / "b", [SCENE] * 1)
        diff = diff_manifests(first, second)
        assert diff.only_first == ("image_1",) and diff.only_second == () and diff.differs

    def test_without_marks_the_pixels_are_compared(self, tmp_path):
        first = tiny_manifest(tmp_path / "a", [SCENE])
        second = tiny_manifest(tmp_path / "b", [SCENE], [[click(0, 0, 0)]])
        for manifest in (first, second):
            manifest.marks_path.unlink()
        diff = diff_manifests(first, second)
        assert diff.differs and (diff.images[0].both, diff.images[0].either) == (1, 2)

    def test_other_classes_and_sizes(self, tmp_path):
        first = tiny_manifest(tmp_path / "a", [SCENE])
        with pytest.raises(ManifestError, match="have different classes: "):
            diff_manifests(first, tiny_manifest(tmp_path / "b", [SCENE], label_space=numbered_space(5)))
        with pytest.raises(ManifestError, match="image 'image_0'.*size"):
            diff_manifests(first, tiny_manifest(tmp_path / "c", [SCENE[:6]]))
