import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from agmm.config.loss import MixtureOptions
from agmm.losses.labelled_pixels import LabelledPixels, find_labelled
from agmm.losses.mixture import adaptive_variance, fit_mixture, gaussian, mixture_probs, probs_at
from agmm.losses.prototypes import prototypes_and_distances

IGNORE = 255


def make_target() -> Tensor:
    """Two images of 4x5: classes 0 and 2 in the first, nothing in the second, class 1 in the third."""
    target = torch.full((3, 4, 5), IGNORE)
    target[0, 0, 1], target[0, 3, 4], target[0, 2, 2] = 2, 0, 2
    target[2, 1, 1] = 1
    return target


def find(target: Tensor, num_classes: int = 3) -> LabelledPixels:
    return find_labelled(target, torch.ones_like(target, dtype=torch.bool), num_classes=num_classes)


def test_labelled_pixels_are_found_with_their_pairs() -> None:
    labelled = find(make_target())
    assert labelled.image.tolist() == [0, 0, 0, 2]
    assert list(zip(labelled.row.tolist(), labelled.col.tolist(), strict=True)) == [(0, 1), (2, 2), (3, 4), (1, 1)]
    assert labelled.class_id.tolist() == [2, 2, 0, 1]
    assert list(zip(labelled.pair_image.tolist(), labelled.pair_class.tolist(), strict=True)) == [
        (0, 0),
        (0, 2),
        (2, 1),
    ]
    assert labelled.pair.tolist() == [1, 1, 0, 2]
    assert labelled.pair_pixels.tolist() == [1, 2, 1]
    assert labelled.pair_classes.tolist() == [2, 2, 1]
    assert labelled.pairs_per_image == (2, 0, 1)
    assert labelled.num_comparisons == 3 * 2 + 1


def test_padding_holds_no_label() -> None:
    target = make_target()
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[0, 0] = False
    assert find_labelled(target, valid, num_classes=3).class_id.tolist() == [2, 0, 1]


@pytest.mark.parametrize("wrong", [3, 254, -1])
def test_a_label_that_is_no_class_is_named(wrong: int) -> None:
    target = make_target()
    target[1, 0, 0] = wrong
    with pytest.raises(ValueError, match=rf"target holds \[{wrong}\], but the logits have classes 0 to 2 .* 255"):
        find(target)


@pytest.mark.parametrize("size", [(2, 3), (4, 5), (9, 7), (1, 1)], ids=str)
def test_prototypes_are_means_of_upsampled_features(size: tuple[int, int]) -> None:
    target = make_target()
    features = torch.randn(3, 6, *size, dtype=torch.float64)
    dense = F.interpolate(features, size=(4, 5), mode="bilinear", align_corners=False)
    expected = torch.stack([dense[n][:, target[n] == c].mean(1) for n, c in ((0, 0), (0, 2), (2, 1))])
    torch.testing.assert_close(prototypes_and_distances(features, find(target))[0], expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("distance", ["l2", "l1_mean"])
def test_distances_equal_cdist(distance: str, layout: torch.memory_format) -> None:
    features = torch.rand(3, 8, 4, 6).to(memory_format=layout)
    prototypes, squared = prototypes_and_distances(features, find(make_target()), distance)  # type: ignore[arg-type]
    for mu, d2, n in zip(prototypes, squared, (0, 0, 2), strict=True):
        d = torch.cdist(mu[None].double(), features[n].flatten(1).T.double(), p=2 if distance == "l2" else 1)
        expected = d.square() if distance == "l2" else (d / 8).square()
        torch.testing.assert_close(d2.flatten().double(), expected[0], rtol=1e-5, atol=1e-7)


def test_euclidean_distances_keep_their_digits_far_from_the_origin() -> None:
    features = torch.rand(3, 8, 4, 6) + 1000
    prototypes, squared = prototypes_and_distances(features, find(make_target()))
    exact = (features[0].double() - prototypes[0].double()[:, None, None]).square().sum(0)
    torch.testing.assert_close(squared[0].double(), exact, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("distance", ["l2", "l1_mean"])
def test_gradient_of_prototypes_and_distances(distance: str) -> None:
    labelled = find(make_target())
    features = torch.rand(3, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: prototypes_and_distances(f, labelled, distance), features)  # type: ignore[arg-type]


def test_gradient_is_zero_where_all_features_are_equal() -> None:
    features = torch.ones(3, 4, 3, 4, requires_grad=True)
    _, squared = prototypes_and_distances(features, find(make_target()))
    squared.sum().backward()
    torch.testing.assert_close(squared, torch.zeros_like(squared), rtol=0, atol=1e-12)
    torch.testing.assert_close(features.grad, torch.zeros_like(features), rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(2, 3), (4, 5), (9, 7)], ids=str)
def test_probs_are_softmax_then_resize(size: tuple[int, int]) -> None:
    logits = torch.randn(3, 3, 4, 5, dtype=torch.float64)
    labelled = find(make_target())
    expected = F.interpolate(logits.softmax(1), size=size, mode="bilinear", align_corners=False)
    expected = expected[labelled.pair_image, labelled.pair_class]
    torch.testing.assert_close(probs_at(logits, labelled, size), expected)


def test_variance_and_gaussian_by_hand() -> None:
    squared = torch.tensor([[[1.0, 4.0]]])
    variance = adaptive_variance(squared, torch.tensor([[[0.5, 0.25]]]))
    assert variance.item() == pytest.approx((0.5 + 1.0) / 0.75, rel=1e-5)
    density = gaussian(squared, torch.tensor([2.0]))
    torch.testing.assert_close(density, torch.exp(torch.tensor([[[-0.25, -1.0]]])))
    torch.testing.assert_close(gaussian(squared, 0.5), torch.exp(-squared))


def test_padding_has_no_part_in_the_variance() -> None:
    target, logits = make_target(), torch.zeros(3, 3, 4, 5)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[0, :, 3:] = False
    target[0, :, 3:] = IGNORE
    features = torch.rand(3, 4, 4, 5)
    other = features.clone()
    other[0, :, :, 3:] = 100
    fitted = [
        fit_mixture(f, logits, valid, find_labelled(target, valid, num_classes=3), MixtureOptions())
        for f in (features, other)
    ]
    assert torch.equal(fitted[0].variance, fitted[1].variance)
    assert (fitted[0].variance > 0).all()


def test_mixture_finds_the_class_whose_features_are_near() -> None:
    truth = torch.tensor([[[0, 0, 1, 1]] * 4])
    features = F.one_hot(truth, 2).permute(0, 3, 1, 2).float() + 0.01 * torch.rand(1, 2, 4, 4)
    target = torch.full_like(truth, IGNORE)
    target[0, 0, 0], target[0, 3, 3] = 0, 1
    logits = torch.zeros(1, 3, 4, 4)
    probs = mixture_probs(features, logits, target, torch.ones_like(target, dtype=torch.bool))
    assert probs.shape == logits.shape
    assert torch.equal(probs.argmax(1), truth)
    assert torch.equal(probs[:, 2], torch.zeros(1, 4, 4))


def test_mixture_of_a_batch_without_labels_is_zero() -> None:
    target = torch.full((2, 4, 4), IGNORE)
    probs = mixture_probs(torch.rand(2, 5, 2, 2), torch.zeros(2, 3, 4, 4), target, torch.ones_like(target) > 0)
    assert torch.equal(probs, torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"distance": "cosine"}, "Unknown distance 'cosine'. Choose from: l2, l1_mean"),
        ({"variance": "none"}, "Unknown variance 'none'"),
        ({"fixed_variance": 0.0}, "fixed_variance must be above 0, got 0.0"),
    ],
    ids=["distance", "variance", "fixed_variance"],
)
def test_wrong_options_are_refused(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixtureOptions(**option)  # type: ignore[arg-type]
