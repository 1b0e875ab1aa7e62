from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agmm.config.model import ModelConfig
from agmm.config.recipes import load_config
from agmm.errors import TrainingError
from agmm.models import build_model
from agmm.models.deeplabv3plus import AtrousPyramid
from agmm.models.network import sync_batchnorm
from agmm.runs.checkpoint_info import model_from_dict
from tests.helpers.real_data import real_data

TINY = ModelConfig(num_classes=3, encoder="mobilenetv3_small_050.lamb_in1k", decoder_channels=16)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        ("mobilenetv3_small_050.lamb_in1k", "DeepLabV3PlusDecoder"),
        ("resnet10t.c3_in1k", "DeepLabV3PlusDecoder"),
        ("convnext_atto.d2_in1k", "DeepLabV3PlusDecoder"),
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "FusedDecoder"),
        ("swin_tiny_patch4_window7_224.ms_in1k", "FusedDecoder"),
        ("hrnet_w18_small.ms_in1k", "FusedDecoder"),
    ],
)
@pytest.mark.parametrize("size", [(97, 130), (64, 33)], ids=str)
def test_takes_images_of_any_size_and_trains_every_part(encoder: str, decoder: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, encoder=encoder))
    assert type(model.decoder).__name__ == decoder
    logits, features, presence = model(torch.rand(2, 3, *size))
    assert presence is None
    assert logits.shape == (2, 3, *size)
    assert features.shape[:2] == (2, 16)
    assert all(abs(f - s / 4) <= 4 for f, s in zip(features.shape[2:], size, strict=True))
    assert features.min() >= 0
    (logits.square().mean() + features.mean()).backward()
    encoder_parameters, new_parameters = model.split_parameters()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in new_parameters)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder_parameters)
    assert {id(p) for p in (*encoder_parameters, *new_parameters)} == {id(p) for p in model.parameters()}
    assert len(encoder_parameters) + len(new_parameters) == len(list(model.parameters()))


@pytest.mark.parametrize(
    "encoder",
    [
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "swin_tiny_patch4_window7_224.ms_in1k",
        "convnext_atto.d2_in1k",
    ],
)
def test_features_of_padded_encoders_keep_their_place(encoder: str) -> None:
    config = dataclasses.replace(TINY, encoder=encoder, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)
    model = build_model(config).eval()
    images = torch.rand(1, 3, 97, 130)
    step = max(model.encoder.strides)
    height, width = 97 + -97 % step, 130 + -130 % step
    with torch.no_grad():
        features = model(images).features
        padded = model(F.pad(images, (0, width - 130, 0, height - 97))).features
    assert padded.shape[2:] == (height // 4, width // 4)
    assert features.shape[2:] == (25, 33)
    if "vit" in encoder:  # pads to 112x144 itself, which is another image to its attention
        padded = model(F.pad(images, (0, 144 - 130, 0, 112 - 97))).features
    torch.testing.assert_close(features, padded[..., :25, :33])


@pytest.mark.parametrize("encoder", ["resnet10t", "mobilenetv3_small_050", "convnext_atto", "resnetblur18"])
def test_the_last_row_and_column_of_a_image_are_seen(encoder: str) -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, encoder=encoder)).eval()
    images = torch.rand(1, 3, 65, 33)
    for edge in ((..., -1, slice(None)), (..., slice(None), -1)):
        changed = images.clone()
        changed[edge] = 1 - changed[edge]
        with torch.no_grad():
            before, after = model.encoder(images), model.encoder(changed)
        assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050", "convnext_atto"])
def test_a_image_of_one_pixel(encoder: str) -> None:
    model = build_model(dataclasses.replace(TINY, encoder=encoder)).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 1, 1)).logits.shape == (1, 3, 1, 1)


def test_logits_are_the_classifier_of_the_features_brought_to_the_image_size() -> None:
    model = build_model(TINY).eval()
    with torch.no_grad():
        output = model(torch.rand(1, 3, 40, 56))
        expected = F.interpolate(model.classifier(output.features), (40, 56), mode="bilinear", align_corners=False)
    assert torch.equal(output.logits, expected)


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050.lamb_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_presence_head_weights_the_classes_of_the_whole_image_outside_training(encoder: str) -> None:
    model = build_model(dataclasses.replace(TINY, encoder=encoder, presence_head=True)).eval()
    images = torch.rand(2, 3, 40, 56)
    with torch.no_grad():
        logits, features, presence = model(images)
        plain = F.interpolate(model.classifier(features), (40, 56), mode="bilinear", align_corners=False)
        assert presence is not None and presence.shape == (2, 3)
        probs = plain.softmax(1) * torch.sigmoid(presence)[:, :, None, None]
        torch.testing.assert_close(logits.softmax(1), probs / probs.sum(1, keepdim=True))
        model.train()
        out = model(images)
        plain = F.interpolate(model.classifier(out.features), (40, 56), mode="bilinear", align_corners=False)
        assert torch.equal(out.logits, plain)
    _, new_parameters = model.split_parameters()
    assert {id(p) for p in model.presence.parameters()} <= {id(p) for p in new_parameters}


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("encoder", ["resnet10t.c3_in1k", "mobilenetv3_small_050.lamb_in1k"])
def test_output_stride_sets_the_size_of_the_deepest_features(encoder: str, stride: int) -> None:
    model = build_model(dataclasses.replace(TINY, encoder=encoder, output_stride=stride))
    with torch.no_grad():
        levels = model.encoder.eval()(torch.zeros(1, 3, 64, 96))
    assert levels[-1].shape[2:] == (64 // stride, 96 // stride)
    assert levels[model.decoder.low_level].shape[2:] == (16, 24)


@pytest.mark.parametrize(("stride", "dilations"), [(8, [4, 8, 16]), (16, [2, 4, 8])])
def test_multi_grid_multiplies_the_dilations_of_the_last_stage(stride: int, dilations: list[int]) -> None:
    config = ModelConfig(4, encoder="resnet50s.gluon_in1k", output_stride=stride, multi_grid=(2, 2, 4))
    encoder = build_model(config).encoder
    last = [block.conv2 for block in encoder.backbone.layer4]
    assert [conv.dilation[0] for conv in last] == dilations
    assert [conv.padding[0] for conv in last] == dilations
    assert encoder.channels[-1] == 2048


@pytest.mark.parametrize(
    ("recipe", "num_classes", "blocks", "num_parameters"),
    [("voc-r101", 21, 23, 59_468_085), ("cityscapes-r50", 19, 6, 40_475_443)],
)
def test_the_papers_recipes_build_the_network_of_the_released_code(
    recipe: str, num_classes: int, blocks: int, num_parameters: int
) -> None:
    """The numbers of parameters were counted on the authors' own network."""
    config = dataclasses.replace(load_config(recipe).model(num_classes), encoder_weights="none")
    model = build_model(config)
    assert sum(p.numel() for p in model.parameters()) == num_parameters
    backbone = model.encoder.backbone
    stem = [m for m in backbone.conv1.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size, m.stride) for m in stem] == [
        (64, (3, 3), (2, 2)),
        (64, (3, 3), (1, 1)),
        (128, (3, 3), (1, 1)),
    ]
    assert len(backbone.layer3) == blocks
    assert model.encoder.strides[-1] == 8


def test_pyramid_equals_its_branches_written_out() -> None:
    torch.manual_seed(1)
    pyramid = AtrousPyramid(5, 4, (2, 3), dropout=0.5).eval()
    for module in pyramid.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 5, 9, 7)

    def normalise(values: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return ((values - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]).relu()

    parts = []
    for (conv, norm, _), rate in zip(pyramid.branches, (0, 2, 3), strict=True):
        parts.append(normalise(F.conv2d(x, conv.weight, padding=rate, dilation=max(rate, 1)), norm))
    mean = F.conv2d(x.mean((2, 3))[:, :, None, None], pyramid.image_conv.weight)
    parts.append(normalise(mean, pyramid.image_norm).repeat(1, 1, 9, 7))
    conv, norm, _ = pyramid.project[0]
    torch.testing.assert_close(pyramid(x), normalise(F.conv2d(torch.cat(parts, 1), conv.weight), norm))


def test_normalisation_is_inside_the_network() -> None:
    plain = build_model(dataclasses.replace(TINY, image_mean=(0.0,) * 3, image_std=(1.0,) * 3)).eval()
    shifted = build_model(dataclasses.replace(TINY, image_mean=(0.5, 0.4, 0.3), image_std=(0.2, 0.3, 0.4))).eval()
    state = plain.state_dict() | {k: v for k, v in shifted.state_dict().items() if k.startswith("image_")}
    shifted.load_state_dict(state)
    images = torch.rand(1, 3, 32, 32)
    normalised = (images - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(shifted(images).logits, plain(normalised).logits)
    assert build_model(TINY).image_mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_a_batch_of_one_trains_and_uses_the_running_statistics_of_the_pooled_branch() -> None:
    model = build_model(TINY).train()
    before = model.decoder.pyramid.image_norm.running_mean.clone()
    model(torch.rand(1, 3, 64, 64)).logits.sum().backward()
    assert torch.equal(model.decoder.pyramid.image_norm.running_mean, before)
    model(torch.rand(2, 3, 64, 64))
    assert not torch.equal(model.decoder.pyramid.image_norm.running_mean, before)


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050.lamb_in1k", "resnet10t.c3_in1k", "hrnet_w18_small.ms_in1k"])
def test_networks_with_synced_batch_norms_compute_the_same(encoder: str) -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, encoder=encoder)).eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = model(images).logits
        synced = sync_batchnorm(model)
        norms = [m for m in synced.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        assert norms
        assert all(isinstance(m, nn.SyncBatchNorm) for m in norms)
        torch.testing.assert_close(synced(images).logits, expected)


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050.lamb_in1k", "resnet10t.c3_in1k"])
def test_frozen_batch_norms_of_the_encoder_stay_as_they_are(encoder: str) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(TINY, encoder=encoder, encoder_weights="imagenet", freeze_batchnorm=True)
    model = build_model(config, load_encoder_weights=False).train()
    norms = {
        name: {key: value.clone() for key, value in module.state_dict().items()}
        for name, module in model.encoder.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    decoder_mean = model.decoder.pyramid.image_norm.running_mean.clone()
    optimizer = torch.optim.AdamW([p for group in model.split_parameters() for p in group], lr=0.1, weight_decay=0.1)
    model(torch.rand(2, 3, 64, 96)).logits.square().mean().backward()
    optimizer.step()
    assert norms
    for name, before in norms.items():
        for key, value in model.encoder.get_submodule(name).state_dict().items():
            assert torch.equal(value, before[key]), (name, key)
    assert not torch.equal(model.decoder.pyramid.image_norm.running_mean, decoder_mean)
    assert set(model.state_dict()) == set(build_model(dataclasses.replace(TINY, encoder=encoder)).state_dict())


def test_config_survives_json() -> None:
    config = dataclasses.replace(TINY, multi_grid=(2, 2, 4), image_mean=(0.5,) * 3, image_std=(0.5,) * 3)
    assert model_from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ({"output_stride": 32}, "output_stride must be 8 or 16, got 32"),
        ({"aspp_rates": ()}, "aspp_rates"),
        ({"multi_grid": (0,)}, "multi_grid"),
        ({"decoder_channels": 0}, "decoder_channels"),
        ({"dropout": 1.0}, "dropout"),
        ({"freeze_batchnorm": True}, "freeze_batchnorm keeps the statistics .* 'none'. Give weights"),
        ({"image_mean": (0.5,) * 3}, "belong together"),
        ({"image_mean": (0.5,) * 3, "image_std": (0.5, 0.5, 0.0)}, "positive"),
    ],
)
def test_config_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [({"num_classes": 3, "colour": 1}, ValueError, "colour"), ({"encoder": "x"}, KeyError, "num_classes")],
)
def test_config_from_dict_refuses(data: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model_from_dict(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet50x"}, "Unknown encoder 'resnet50x'. Did you mean .*resnet50"),
        ({"encoder": "@@@"}, "Unknown encoder '@@@'. .*lists them all"),
        ({"encoder": "resnet50.nonsense"}, "has no weights 'nonsense'. Known: a1_in1k"),
        (
            {"encoder": "resnet18", "encoder_weights": "imagenet"},
            "name the weights to load: --encoder resnet18.a1_in1k or --encoder resnet18.",
        ),
        ({"encoder": "resnet18."}, "'resnet18' has no weights ''. Known: a1_in1k"),
        ({"encoder": "resnet18.a1_in1k", "multi_grid": (2, 2, 4)}, "needs 3 blocks .* has 2"),
        ({"multi_grid": (2, 2, 4)}, "needs 3 blocks .* has none. .*--set multi_grid=\\[\\]"),
        ({"encoder": "convnext_atto", "multi_grid": (2, 4)}, "blocks of 3x3 convolutions .* has none"),
        ({"encoder": "botnet26t_256"}, "images of one size only"),
        ({"encoder": "beit_base_patch16_224.in22k_ft_in22k_in1k"}, "images of one size only"),
        ({"encoder_weights": "absent.safetensors"}, "absent.safetensors: no such file"),
    ],
)
def test_building_refuses(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        build_model(dataclasses.replace(TINY, **changes))


def test_without_a_connection_the_download_fails_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    def unreachable(*args: object, pretrained: bool, **kwargs: object) -> None:
        raise FileNotFoundError("cannot reach the hub")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(TrainingError, match="could not be downloaded.*give a file"):
        build_model(dataclasses.replace(TINY, encoder_weights="imagenet"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("encoder", ["resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_loads_encoder_weights_from_a_file(tmp_path: Path, encoder: str, suffix: str) -> None:
    import timm
    from safetensors.torch import save_file

    source = timm.create_model(encoder, pretrained=False)
    state = {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in source.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    model = build_model(dataclasses.replace(TINY, encoder=encoder, encoder_weights=str(path)))
    flat = {key.replace(".", "_"): value for key, value in state.items()}
    loaded = model.encoder.backbone.state_dict()
    assert len(loaded) > 50
    for key, value in loaded.items():
        assert torch.equal(value, flat[key.removeprefix("model.").replace(".", "_")])


def test_refuses_a_file_of_another_encoder(tmp_path: Path) -> None:
    import timm

    path = tmp_path / "resnet.pth"
    torch.save(timm.create_model("resnet10t").state_dict(), path)
    with pytest.raises(TrainingError, match=r"lacks \d+ of the \d+ weights of encoder 'mobilenetv3"):
        build_model(dataclasses.replace(TINY, encoder_weights=str(path)))
    torch.save(dict.fromkeys(build_model(TINY).encoder.backbone.state_dict(), 1), path)  # names, but no weights
    with pytest.raises(TrainingError, match=r"lacks \d+ of the \d+ weights of encoder 'mobilenetv3"):
        build_model(dataclasses.replace(TINY, encoder_weights=str(path)))
    weights = build_model(TINY).encoder.backbone.state_dict()
    torch.save({name: torch.zeros(7) if tensor.ndim == 4 else tensor for name, tensor in weights.items()}, path)
    with pytest.raises(TrainingError, match=r"\(conv_stem.weight is \(7,\), expected \(16, 3, 3, 3\), .* and \d+ more"):
        build_model(dataclasses.replace(TINY, encoder_weights=str(path)))
    path.write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match="not a file of weights"):
        build_model(dataclasses.replace(TINY, encoder_weights=str(path)))


def test_real_imagenet_weights_change_the_features() -> None:
    weights = real_data("weights") / "mobilenetv2_100.imagenet.safetensors"
    config = ModelConfig(11, encoder="mobilenetv2_100.ra_in1k", encoder_weights=str(weights),
                         image_mean=(0.5,) * 3, image_std=(0.5,) * 3)  # fmt: skip
    model = build_model(config)
    assert model.image_mean.flatten().tolist() == [0.5] * 3
    again = build_model(config)
    for (name, one), two in zip(model.encoder.named_parameters(), again.encoder.parameters(), strict=True):
        assert torch.equal(one, two), name
    unloaded = build_model(config, load_encoder_weights=False)
    assert not torch.equal(unloaded.encoder.backbone.conv_stem.weight, model.encoder.backbone.conv_stem.weight)


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_encoder_weights_that_could_run_code_are_refused_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(_RunsCode(tmp_path / "ran"), protocol=4))
    with pytest.raises(TrainingError, match=r"evil.pth: .*a pickle of more than weights, which could run code"):
        build_model(dataclasses.replace(TINY, encoder_weights=str(tmp_path / "evil.pth")))
    assert not (tmp_path / "ran").exists()
