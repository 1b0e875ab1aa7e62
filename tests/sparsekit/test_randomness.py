import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from sparsekit.randomness import ImageStream


def test_golden_stream():
    # A change of these numbers changes every published annotation.
    stream = ImageStream(0, "aachen_000000_000019", "points")
    assert [stream.raw() for _ in range(3)] == [
        14641603190329100190,
        5816807659161638948,
        11439242184057076859,
    ]


def test_raw_output_is_philox_keyed_by_the_hash_of_seed_image_and_purpose():
    key = hashlib.sha256(b"7 1 a clicks").digest()[:16]
    expected = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(1000)
    stream = ImageStream(7, "a", "clicks")
    assert [stream.raw() for _ in range(1000)] == expected.tolist()


@pytest.mark.parametrize(
    "other", [(1, "a", "clicks"), (0, "b", "clicks"), (0, "a", "scribbles"), (0, "a clicks", ""), (0, "", "a clicks")]
)
def test_streams_of_other_seeds_images_and_purposes_differ(other):
    assert ImageStream(0, "a", "clicks").raw() != ImageStream(*other).raw()


@given(counts=st.lists(st.integers(0, 700), max_size=5))
@settings(max_examples=50)
def test_many_numbers_at_once_are_those_one_by_one(counts):
    stream, other = (ImageStream(1, "a", "x") for _ in range(2))
    for count in counts:
        assert stream.uniforms(count).tolist() == [other.uniform() for _ in range(count)]
        assert stream.raw() == other.raw()


@given(bound=st.integers(1, 2**64), seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_below_stays_below(bound, seed):
    assert 0 <= ImageStream(seed, "a", "x").below(bound) < bound


def test_below_draws_again_in_the_incomplete_last_block():
    bound = 2**63 + 1  # of all 64-bit numbers nearly half lie in the incomplete block
    stream, literal = ImageStream(3, "a", "x"), ImageStream(3, "a", "x")
    for _ in range(200):
        bits = literal.raw()
        while bits >= bound:
            bits = literal.raw()
        assert stream.below(bound) == bits


def test_below_and_uniform_are_even():
    stream = ImageStream(0, "a", "x")
    assert chisquare(np.bincount([stream.below(7) for _ in range(7000)])).pvalue > 1e-3
    draws = np.array([stream.uniform() for _ in range(10_000)])
    assert draws.min() >= 0 and draws.max() < 1
    assert chisquare(np.histogram(draws, 20, (0, 1))[0]).pvalue > 1e-3


@pytest.mark.parametrize("bound", [0, -1, 2**64 + 1])
def test_bad_bound(bound):
    with pytest.raises(ValueError, match=f"got {bound}"):
        ImageStream(0, "a", "x").below(bound)
