from __future__ import annotations

import sys

import pytest
import torch

from agmm.errors import TrainingError
from agmm.inference.crf import refine


def two_halves() -> tuple[torch.Tensor, torch.Tensor]:
    """An image, black left and white right, and unsure predictions of its halves with a border three pixels off."""
    images = torch.zeros(1, 3, 24, 32)
    images[..., 16:] = 1
    probs = torch.full((1, 2, 24, 32), 0.4)
    probs[:, 0, :, :13] = 0.6
    probs[:, 1, :, 13:] = 0.6
    probs[0, :, 5, 5] = torch.tensor([0.3, 0.7])  # a speck
    return images, probs


def test_predictions_follow_the_colours() -> None:
    pytest.importorskip("pydensecrf", reason="the dense CRF needs the package pydensecrf2")
    images, probs = two_halves()
    refined = refine(images, probs)
    assert refined.shape == probs.shape
    torch.testing.assert_close(refined.sum(1), torch.ones(1, 24, 32))
    assert torch.equal(refined.argmax(1), (images[:, 0] > 0.5).long())
    assert not torch.equal(probs.argmax(1), (images[:, 0] > 0.5).long())


def test_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(TrainingError, match="pip install pydensecrf2"):
        refine(*two_halves())
