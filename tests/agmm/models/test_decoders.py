"""Every decoder by name, on encoders with and without dilation."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agmm.config.model import DECODERS, PYRAMID_DECODERS, ModelConfig
from agmm.config.training import TrainConfig
from agmm.models import build_model
from agmm.models.decoders import BUILDERS
from agmm.models.deeplabv3plus import separable_conv_bn_relu
from agmm.runs.checkpoint_info import model_from_dict

MOBILENET, VIT = "mobilenetv3_small_050.lamb_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
TINY = ModelConfig(num_classes=3, encoder=MOBILENET, decoder_channels=16, dropout=0.0)


def test_each_name_has_a_builder() -> None:
    assert ("auto", *BUILDERS) == DECODERS and set(PYRAMID_DECODERS) < set(BUILDERS)
    assert "decoder" not in TrainConfig().to_dict()  # so that checksums of studies stay
    assert TrainConfig(decoder="fpn").model(3).decoder == TrainConfig.from_dict({"decoder": "fpn"}).decoder == "fpn"
    with pytest.raises(ValueError, match="Unknown decoder 'unet'. Choose from: auto, deeplabv3plus"):
        TrainConfig(decoder="unet")


def test_settings_of_older_networks_mean_auto() -> None:
    data = TINY.to_dict()
    assert data.pop("decoder") == "auto" and model_from_dict(data) == TINY


@pytest.mark.parametrize("decoder", BUILDERS)
@pytest.mark.parametrize("encoder", [MOBILENET, VIT])
def test_takes_images_of_any_size_and_trains_every_part(encoder: str, decoder: str) -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, encoder=encoder, decoder=decoder))
    out = model(torch.rand(2, 3, 97, 130))
    assert out.logits.shape == (2, 3, 97, 130) and out.features.min() >= 0
    (out.logits.square().mean() + out.features.mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.decoder.parameters())
    quarter = encoder == MOBILENET or decoder in PYRAMID_DECODERS  # DeepLabV3+ has no shallow level of a plain ViT
    assert abs(out.features.shape[2] - 97 / (4 if quarter else 16)) <= 4


@pytest.mark.parametrize("decoder", ["auto", *BUILDERS])
def test_pyramids_join_the_levels_of_an_encoder_without_dilation(decoder: str) -> None:
    model = build_model(dataclasses.replace(TINY, decoder=decoder, output_stride=8))
    assert model.encoder.strides[-1] == (32 if decoder in PYRAMID_DECODERS else 8)


def test_feature_pyramid_equals_its_steps_written_out() -> None:
    torch.manual_seed(0)
    model = build_model(dataclasses.replace(TINY, decoder="fpn")).eval()
    decoder, images = model.decoder, torch.rand(1, 3, 64, 96)
    levels = model.encoder(images)[1:]
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    sums = [decoder.project[3](levels[3])]
    for i in (2, 1, 0):
        doubled = sums[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
        sums.insert(0, decoder.project[i](levels[i]) + doubled)
    finest = [F.interpolate(s(one), (16, 24), mode="bilinear") for s, one in zip(decoder.smooth, sums, strict=True)]
    expected = decoder.fuse(sum(finest) / 4)
    torch.testing.assert_close(decoder(model.encoder(images)), expected)


def test_separable_convolutions_equal_plain_ones_of_their_product() -> None:
    torch.manual_seed(0)
    separable = separable_conv_bn_relu(4, 6, 3, dilation=2).eval()
    each, across = separable[0], separable[1]
    plain = nn.Conv2d(4, 6, 3, padding=2, dilation=2, bias=False)
    plain.weight.data = torch.einsum("oikl,ickl->oikl", across.weight.expand(6, 4, 3, 3), each.weight)
    images = torch.randn(2, 4, 9, 11)
    torch.testing.assert_close(across(each(images)), plain(images))
    torch.testing.assert_close(separable(images), F.relu(separable[2](plain(images))))


def test_separable_convolutions_stand_for_every_3x3_one() -> None:
    def kernels(decoder: str) -> list[tuple[int, int, int]]:
        modules = build_model(dataclasses.replace(TINY, decoder=decoder)).decoder.modules()
        convs = [m for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        return [(conv.in_channels, conv.out_channels, conv.groups) for conv in convs]

    plain, separable = kernels("deeplabv3plus"), kernels("deeplabv3plus-separable")
    assert len(plain) == len(separable) == 5
    assert all(one == (channels, channels, channels) for one, (channels, _, _) in zip(separable, plain, strict=True))
