from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.protocol import PROTOCOLS, SCALES
from agmm.inference.protocols import Protocol, predict_multi_scale, predict_sliding, probs_of
from agmm.models.network import SegmentationOutput


class Output(NamedTuple):
    logits: Tensor


class Counting(nn.Module):
    """A convolution with padding, so that a tile's border differs from the middle of an image; counts its calls."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, num_classes, 5, padding=2)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Output:
        self.seen.append(tuple(images.shape))
        return Output(self.conv(images) * 5)


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture(autouse=True)
def _no_gradients() -> object:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("size", [(1, 1), (7, 40), (33, 20)], ids=str)
def test_probabilities_sum_to_one_at_the_size_of_the_image(model: Counting, name: str, size: tuple[int, int]) -> None:
    probs = Protocol(name, tile_size=16).predict(model, torch.rand(2, 3, *size))
    assert probs.shape == (2, 3, *size)
    torch.testing.assert_close(probs.sum(1), torch.ones(2, *size))
    assert probs.min() >= 0


def test_whole_is_one_softmax_of_the_logits(model: Counting) -> None:
    images = torch.rand(2, 3, 9, 8)
    assert torch.equal(Protocol("whole").predict(model, images), model.conv(images).mul(5).softmax(1))


@pytest.mark.parametrize("tile_batch", [1, 3, 100])
@pytest.mark.parametrize(
    ("size", "tile", "overlap"), [((20, 31), 8, 2 / 3), ((20, 31), 8, 0.0), ((6, 31), 8, 0.5), ((5, 5), 8, 0.5)]
)
def test_sliding_equals_a_plain_loop_over_tiles(
    model: Counting, size: tuple[int, int], tile: int, overlap: float, tile_batch: int
) -> None:
    images = torch.rand(2, 3, *size)
    step = max(1, round(tile * (1 - overlap)))
    total, cover = np.zeros((2, 3, *size)), np.zeros(size)
    num_tiles = 0
    rows = sorted({min(r, max(size[0] - tile, 0)) for r in range(0, size[0], step)})
    cols = sorted({min(c, max(size[1] - tile, 0)) for c in range(0, size[1], step)})
    for r in rows:
        for c in cols:
            total[:, :, r : r + tile, c : c + tile] += (
                model.conv(images[:, :, r : r + tile, c : c + tile]).mul(5).softmax(1).numpy()
            )
            cover[r : r + tile, c : c + tile] += 1
            num_tiles += 1
    probs = predict_sliding(model, images, tile, overlap=overlap, tile_batch=tile_batch)
    np.testing.assert_allclose(probs, total / cover, rtol=1e-5)
    assert sum(shape[0] for shape in model.seen) == 2 * num_tiles  # one pass per tile
    assert max(shape[0] for shape in model.seen) <= 2 * tile_batch


def test_sliding_covers_each_pixel_and_no_tile_leaves_the_image(model: Counting) -> None:
    predict_sliding(model, torch.rand(1, 3, 50, 70), 32, overlap=2 / 3)
    assert {shape[2:] for shape in model.seen} == {(32, 32)}


def test_multi_scale_equals_a_plain_loop(model: Counting) -> None:
    images = torch.rand(1, 3, 21, 30)
    total = torch.zeros(1, 3, 21, 30)
    for scale in SCALES:
        size = (round(21 * scale), round(30 * scale))
        scaled = F.interpolate(images, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            probs = model.conv(scaled.flip(3) if mirrored else scaled).mul(5).softmax(1)
            total += F.interpolate(probs.flip(3) if mirrored else probs, (21, 30), mode="bilinear", align_corners=False)
    probs = Protocol("multi-scale").predict(model, images)
    torch.testing.assert_close(probs, total / 14)
    assert len(model.seen) == 14


def test_multi_scale_of_one_scale_without_flip_is_the_whole_image(model: Counting) -> None:
    images = torch.rand(1, 3, 11, 12)
    once = Protocol("multi-scale", scales=(1.0,), flip=False).predict(model, images)
    assert torch.equal(once, Protocol("whole").predict(model, images))


def test_flip_equals_a_plain_loop(model: Counting) -> None:
    images = torch.rand(2, 3, 21, 30)
    as_it_is, mirrored = (model.conv(seen).mul(5).softmax(1) for seen in (images, images.flip(3)))
    torch.testing.assert_close(Protocol("flip").predict(model, images), (as_it_is + mirrored.flip(3)) / 2)
    assert len(model.seen) == 2


def test_multi_scale_can_slide(model: Counting) -> None:
    Protocol("multi-scale", tile_size=16, scales=(1.0, 2.0)).predict(model, torch.rand(1, 3, 20, 20))
    assert {shape[2:] for shape in model.seen} == {(16, 16)}


@pytest.mark.parametrize("protocol", [Protocol("flip"), Protocol("multi-scale", scales=(0.75, 1.0))], ids=str)
def test_flips_make_predictions_of_mirrored_images_mirrored(model: Counting, protocol: Protocol) -> None:
    images = torch.rand(1, 3, 16, 24)
    torch.testing.assert_close(protocol.predict(model, images.flip(3)).flip(3), protocol.predict(model, images))


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (Protocol(), "whole image, single scale"),
        (Protocol("flip"), "flip (whole image and its mirror image)"),
        (Protocol("sliding", tile_size=721), "sliding window (tile 721, overlap 0.67)"),
        (Protocol("multi-scale", scales=(0.5, 1.0)), "multi-scale (scales 0.5, 1; flipped too)"),
        (
            Protocol("multi-scale", scales=(1.0,), flip=False, tile_size=8, overlap=0.5),
            "multi-scale (scales 1; tile 8, overlap 0.50)",
        ),
    ],
)
def test_protocols_say_what_they_do(protocol: Protocol, words: str) -> None:
    assert str(protocol) == words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "tiles"}, "Unknown protocol 'tiles'. Choose from: whole, flip, sliding, multi-scale"),
        ({"name": "sliding"}, "needs a tile_size"),
        ({"tile_size": 0}, "tile_size"),
        ({"overlap": 1.0}, "overlap"),
        ({"tile_batch": 0}, "tile_batch"),
        ({"scales": ()}, "scales"),
        ({"scales": (0.0,)}, "scales"),
    ],
)
def test_protocols_refuse(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)


def test_multi_scale_needs_a_scale() -> None:
    with pytest.raises(ValueError, match="at least one"):
        predict_multi_scale(lambda images: images, torch.rand(1, 3, 2, 2), scales=())


@pytest.mark.parametrize("shape", [(1, 19, 64, 96), (3, 5, 7, 9), (2, 1, 4, 4), (2, 5, 1, 1), (1, 4, 1, 6)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_do_not_depend_on_the_layout_of_the_logits(shape, layout, dtype) -> None:
    torch.manual_seed(0)
    logits = torch.randn(shape).to(dtype)
    expected = logits.float().softmax(1)
    found = probs_of(SegmentationOutput(logits.contiguous(memory_format=layout), torch.zeros(1)))
    assert torch.equal(found, expected) and found.is_contiguous()


@torch.inference_mode(mode=False)
def test_probabilities_have_gradients() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 7, 9).to(memory_format=torch.channels_last).requires_grad_()
    weights = torch.randn(2, 5, 7, 9)
    (found,) = torch.autograd.grad((probs_of(SegmentationOutput(1 * logits, torch.zeros(1))) * weights).sum(), logits)
    (expected,) = torch.autograd.grad((logits.softmax(1) * weights).sum(), logits)
    torch.testing.assert_close(found, expected)
