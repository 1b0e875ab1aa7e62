from dataclasses import asdict
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import agmm.losses.mixture
import agmm.losses.pixel_terms
import agmm.losses.prototypes
from agmm.config.loss import PRESETS, resolve_options
from agmm.losses.agmm import AGMMLoss, contrastive_loss
from agmm.losses.labelled_pixels import find_labelled
from agmm.losses.pixel_terms import pixel_terms
from tests.helpers.literal import literal_loss

TERMS = ("seg", "self", "spar", "con", "absence")
LITERAL_OPTIONS = (
    "distance",
    "variance",
    "fixed_variance",
    "mask_distance",
    "stop_gradient",
    "contrastive",
    "prototypes",
    "classes",
    "self_target",
)
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"preset": "released"},
    "stop_gradient": {"stop_gradient": True},
    "released_stop_gradient": {"preset": "released", "stop_gradient": True},
    "l1_adaptive": {"distance": "l1_mean"},
    "l2_fixed": {"variance": "fixed", "fixed_variance": 2.0},
    "l2_masked": {"mask_distance": True},
    "l2_sum": {"contrastive": "sum"},
    "batch_prototypes": {"prototypes": "batch"},
    "released_batch_prototypes": {"preset": "released", "prototypes": "batch"},
    "batch_classes": {"prototypes": "batch", "classes": "batch"},
    "released_batch_classes": {"preset": "released", "prototypes": "batch", "classes": "batch"},
    "responsibility": {"self_target": "responsibility"},
    "all_of_batch": {"prototypes": "batch", "classes": "batch", "self_target": "responsibility", "contrastive": "sum"},
    "released_mean": {"preset": "released", "contrastive": "mean"},
}


class Batch(NamedTuple):
    features: Tensor
    logits: Tensor
    target: Tensor
    valid: Tensor
    image_classes: Tensor

    def leaves(self, dtype: torch.dtype | None = None) -> "Batch":
        """The same values, with their own gradients."""
        features, logits = (x.detach().to(dtype or x.dtype).requires_grad_() for x in self[:2])
        return self._replace(features=features, logits=logits)


def make_batch(
    seed: int = 0,
    num_images: int = 3,
    num_classes: int = 5,
    size: tuple[int, int] = (23, 29),
    feature_size: tuple[int, int] = (6, 8),
    dtype: torch.dtype = torch.float64,
) -> Batch:
    """Different classes in each image, none in the last; padding in the first two."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(num_images, 7, *feature_size, generator=rng, dtype=dtype).relu()
    logits = torch.randn(num_images, num_classes, *size, generator=rng, dtype=dtype)
    target = torch.full((num_images, *size), 255)
    for n in range(num_images - 1):
        row, col = (torch.randint(s, (9,), generator=rng) for s in size)
        target[n, row, col] = torch.randint(n, min(n + 3, num_classes), (9,), generator=rng)
    valid = torch.ones_like(target, dtype=torch.bool)
    valid[0, 2 * size[0] // 3 :] = False
    if num_images > 1:
        valid[1, :, : size[1] // 6] = False
    image_classes = classes_of(target, valid, num_classes)
    image_classes[:, -1] = True  # in the image, but not in the crop
    return Batch(features, logits, target, valid, image_classes)


def classes_of(target: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    labelled = torch.where(valid, target, 255)
    return torch.stack([(labelled == c).flatten(1).any(1) for c in range(num_classes)], dim=1)


def gradients(value: Tensor, batch: Batch) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(x) for x in batch[:2]]
    found = torch.autograd.grad(value, batch[:2], retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(batch[:2], found, strict=True)]


def assert_near(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    """Within ``tolerance`` of the largest entry: single entries may be sums that cancel out."""
    scale = max(float(expected.detach().abs().max()), 1e-6) if expected.numel() else 1.0
    assert float((actual.detach().double() - expected.detach().double()).abs().max()) <= tolerance * scale


def assert_equals_literal(batch: Batch, loss: AGMMLoss, tolerance: float = 1e-5) -> None:
    ours, literal = batch.leaves(), batch.leaves()
    _, terms = loss(*ours)
    expected = literal_loss(*literal, **{name: getattr(loss.options, name) for name in LITERAL_OPTIONS})
    for name in TERMS:
        assert_near(terms[name], expected[name], tolerance)
        for a, b in zip(gradients(terms[name], ours), gradients(expected[name], literal), strict=True):
            assert_near(a, b, tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_term_equals_the_literal_form(variant: str, dtype: torch.dtype) -> None:
    loss = AGMMLoss(absence_weight=1.0, **VARIANTS[variant])
    assert_equals_literal(make_batch(dtype=dtype), loss)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    num_images=st.integers(1, 3),
    num_classes=st.integers(2, 6),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    feature_size=st.tuples(st.integers(1, 22), st.integers(1, 9)),
    preset=st.sampled_from(list(PRESETS)),
)
def test_any_shape_equals_the_literal_form(
    seed: int, num_images: int, num_classes: int, size: tuple[int, int], feature_size: tuple[int, int], preset: str
) -> None:
    # One position holds every feature: all distances are 0, where the absolute difference has no derivative.
    assume(preset != "released" or feature_size != (1, 1))
    batch = make_batch(seed, num_images, num_classes, size, feature_size)
    assert_equals_literal(batch, AGMMLoss(preset, absence_weight=1.0), tolerance=1e-8)


@pytest.mark.parametrize("preset", PRESETS)
def test_blocks_of_one_row_change_nothing(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (agmm.losses.prototypes, agmm.losses.mixture, agmm.losses.pixel_terms):
        monkeypatch.setattr(module, "row_blocks", lambda rows, *_: (slice(r, r + 1) for r in range(rows)))
    assert_equals_literal(make_batch(), AGMMLoss(preset, absence_weight=1.0), tolerance=1e-8)


@pytest.mark.parametrize("options", [{}, {"preset": "released"}, {"use_self": False, "absence_weight": 1.0}])
def test_kept_probabilities_give_the_same_bits_each_time(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (agmm.losses.pixel_terms._FEW_LOGITS, 0):
        monkeypatch.setattr(agmm.losses.pixel_terms, "_FEW_LOGITS", limit)
        batch = make_batch().leaves(torch.float32)
        total, _ = AGMMLoss(**options)(*batch)
        for _ in range(2):
            grads = torch.autograd.grad(total, batch[:2], retain_graph=True, allow_unused=True)
            found.append([total, *(grad for grad in grads if grad is not None)])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_channels_last_gives_the_same() -> None:
    plain, other = make_batch().leaves(), make_batch().leaves()
    total, _ = AGMMLoss(absence_weight=1.0)(*plain)
    last = [x.to(memory_format=torch.channels_last) for x in other[:2]]
    total_last, _ = AGMMLoss(absence_weight=1.0)(*last, *other[2:])
    assert_near(total_last, total, 1e-12)
    for a, b in zip(gradients(total_last, other), gradients(total, plain), strict=True):
        assert_near(a, b, 1e-12)


def test_gradient_of_pixel_terms() -> None:
    batch = make_batch(num_images=2, num_classes=3, size=(4, 5)).leaves()
    labelled = find_labelled(batch.target, batch.valid, num_classes=3)
    density = torch.rand(len(labelled.pair_image), 3, 3, dtype=torch.float64, requires_grad=True)
    absent = [(~known).nonzero()[:, 0] for known in batch.image_classes]
    assert torch.autograd.gradcheck(
        lambda z, g: pixel_terms(z, g, labelled, batch.valid, absent), (batch.logits, density)
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_target_of_any_integer_type(dtype: torch.dtype) -> None:
    batch = make_batch()
    expected, _ = AGMMLoss("released")(*batch)
    assert torch.equal(AGMMLoss("released")(*batch._replace(target=batch.target.to(dtype)))[0], expected)


def test_total_joins_the_terms() -> None:
    total, terms = AGMMLoss("released", lambda_=0.3, absence_weight=0.7)(*make_batch())
    expected = terms["seg"] + 0.3 * (terms["self"] + terms["spar"] + terms["con"]) + 0.7 * terms["absence"]
    assert tuple(terms) == TERMS
    assert_near(total, expected, 1e-12)
    assert all(term.ndim == 0 and term > 0 for term in terms.values())


@pytest.mark.parametrize("off", ["self", "spar", "con"])
def test_a_term_switched_off_is_zero_and_leaves_the_others(off: str) -> None:
    batch = make_batch()
    _, full = AGMMLoss(absence_weight=1.0)(*batch)
    _, terms = AGMMLoss(absence_weight=1.0, **{f"use_{off}": False})(*batch)
    assert terms[off] == 0
    for name in set(TERMS) - {off}:
        assert_near(terms[name], full[name], 1e-12)


def test_segmentation_alone_is_cross_entropy() -> None:
    batch = make_batch().leaves()
    total, _ = AGMMLoss(use_self=False, use_spar=False, use_con=False)(*batch)
    target = torch.where(batch.valid, batch.target, 255)
    expected = torch.nn.functional.cross_entropy(batch.logits, target, ignore_index=255)
    assert_near(total, expected, 1e-12)
    assert_near(gradients(total, batch)[1], torch.autograd.grad(expected, batch.logits)[0], 1e-12)


def awkward(name: str) -> Batch:
    batch = make_batch(num_images=2, num_classes=4)
    target, valid, logits, features = batch.target, batch.valid, batch.logits, batch.features
    if name == "no_labels":
        target.fill_(255)
    elif name == "all_padding":
        valid.fill_(False)
    elif name == "one_image_all_padding":
        valid[0] = False
    elif name == "one_class":
        target[target != 255] = 1
    elif name == "one_pixel":
        target.fill_(255)
        target[1, 3, 20] = 2
    elif name == "everything_labelled":
        target.copy_(torch.arange(target.numel()).view(target.shape) % 4)
    elif name == "equal_features":
        features.fill_(0.5)
    elif name == "zero_features":
        features.zero_()
    elif name == "certain":
        logits.mul_(1e4)
    elif name == "single_class_network":
        logits = logits[:, :1]
        target[target != 255] = 0
    return Batch(features, logits, target, valid, classes_of(target, valid, logits.shape[1]))


AWKWARD = [
    "no_labels",
    "all_padding",
    "one_image_all_padding",
    "one_class",
    "one_pixel",
    "everything_labelled",
    "equal_features",
    "zero_features",
    "certain",
    "single_class_network",
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_batches_give_finite_values_and_gradients(name: str, preset: str, dtype: torch.dtype) -> None:
    batch = awkward(name).leaves(dtype)
    total, terms = AGMMLoss(preset, absence_weight=1.0)(*batch)
    total.backward()
    assert all(torch.isfinite(term) for term in terms.values())
    for leaf in batch[:2]:
        assert leaf.grad is not None and leaf.grad.dtype == dtype
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_batches_equal_the_literal_form(name: str) -> None:
    assert_equals_literal(awkward(name), AGMMLoss(absence_weight=1.0))


def test_padding_gets_no_gradient() -> None:
    batch = make_batch().leaves()
    total, _ = AGMMLoss("released")(*batch)
    total.backward()
    assert batch.logits.grad is not None
    assert not batch.logits.grad.permute(0, 2, 3, 1)[~batch.valid].any()
    unlabelled = batch.valid & (batch.target == 255)
    assert batch.logits.grad[:2].permute(0, 2, 3, 1)[unlabelled[:2]].any(1).all()


def test_stop_gradient_keeps_self_from_the_features() -> None:
    batch = make_batch().leaves()
    _, terms = AGMMLoss(stop_gradient=True)(*batch)
    towards_features, towards_logits = gradients(terms["self"], batch)
    assert not towards_features.any()
    assert towards_logits.any()


def test_absence_knows_only_labelled_images_by_default() -> None:
    batch = make_batch().leaves()
    _, terms = AGMMLoss("released")(*batch[:4])
    grad = gradients(terms["absence"], batch)[1]
    assert grad[:2].any() and not grad[2].any()


def test_contrastive_by_hand() -> None:
    target = torch.full((2, 2, 2), 255)
    target[0, 0, 0], target[1, 0, 0], target[1, 1, 1] = 0, 0, 1
    labelled = find_labelled(target, torch.ones_like(target) > 0, num_classes=2)
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 1.0]])  # class 0, class 0, class 1
    assert contrastive_loss(prototypes, labelled).item() == pytest.approx(torch.tensor(-1.0).exp().item())
    by_sum = contrastive_loss(prototypes, labelled, contrastive="sum")
    assert by_sum.item() == pytest.approx(torch.tensor(-1.25).exp().item())
    by_l1 = contrastive_loss(prototypes, labelled, distance="l1_mean")
    assert by_l1.item() == pytest.approx(torch.tensor(-0.25).exp().item())


def test_autocast_computes_in_float32() -> None:
    batch = make_batch(dtype=torch.float32)
    expected, _ = AGMMLoss("released")(*batch)
    rounded = batch.leaves(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, terms = AGMMLoss("released")(*batch.leaves())
        low, _ = AGMMLoss("released")(*rounded)
        low.backward()
    assert total.dtype == low.dtype == torch.float32 and {t.dtype for t in terms.values()} == {torch.float32}
    assert_near(total, expected, 1e-6)
    again, _ = AGMMLoss("released")(*(x.float() for x in rounded[:2]), *rounded[2:])
    assert_near(low, again, 1e-6)
    assert_near(low, expected, 0.02)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # from inside dynamo
def test_compiled_step_gives_the_same() -> None:
    classify = torch.nn.Conv2d(7, 5, 1).double()
    loss = AGMMLoss()
    batch = make_batch(feature_size=(23, 29))

    def step(features: Tensor) -> Tensor:
        total: Tensor = loss(features, classify(features), batch.target, batch.valid)[0]
        return total

    compiled = torch.compile(step, backend="eager")(batch.features)
    assert_near(compiled, step(batch.features), 1e-12)


def test_presets_differ_where_documented() -> None:
    paper, released = (asdict(PRESETS[name]) for name in ("paper", "released"))
    assert {name for name in paper if paper[name] != released[name]} == {
        "distance",
        "variance",
        "mask_distance",
        "contrastive",
        "absence_weight",
    }
    assert resolve_options("released", distance="l2").distance == "l2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "papre"}, "Unknown preset 'papre'. Choose from: paper, released"),
        ({"stop_gradients": True}, "Unknown loss option 'stop_gradients'. Did you mean 'stop_gradient'?"),
        ({"lambda_": -1.0}, "lambda_ must be 0 or more, got -1.0"),
        ({"lambda_": float("nan")}, "lambda_ must be 0 or more, got nan"),
        ({"contrastive": "max"}, "Unknown contrastive 'max'"),
        ({"classes": "batch"}, "classes='batch' needs prototypes='batch'"),
        ({"self_target": "share"}, "Unknown self_target 'share'. Choose from: density, responsibility"),
        ({"prototypes": "class"}, "Unknown prototypes 'class'. Choose from: image, batch"),
        ({"absence_weight": -0.5}, "absence_weight must be 0 or more"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AGMMLoss(**arguments)


@pytest.mark.parametrize("wrong", ["features", "target", "valid", "image_classes", "dtype"])
def test_shapes_that_do_not_fit_are_refused(wrong: str) -> None:
    batch = make_batch()
    changed = {
        "features": lambda: batch._replace(features=batch.features[:1]),
        "target": lambda: batch._replace(target=batch.target[:, 1:]),
        "valid": lambda: batch._replace(valid=batch.valid.long()),
        "image_classes": lambda: batch._replace(image_classes=batch.image_classes[:, 1:]),
        "dtype": lambda: batch._replace(target=batch.target.float()),
    }[wrong]()
    with pytest.raises(ValueError, match="Expected .* got"):
        AGMMLoss()(*changed)


def test_the_other_ignore_index_is_named() -> None:
    batch = make_batch()
    batch.target[batch.target == 255] = 5  # num_classes, as the released code marks unlabelled pixels
    with pytest.raises(ValueError, match=r"holds \[5\], but the logits have classes 0 to 4 and ignore_index is 255"):
        AGMMLoss()(*batch)
    assert torch.isfinite(AGMMLoss(ignore_index=5)(*batch)[0])


def test_switches_must_be_true_or_false():
    with pytest.raises(ValueError, match="use_con must be true or false, got 'maybe'"):
        resolve_options("paper", use_con="maybe")
