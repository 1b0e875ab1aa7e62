import tomllib
from pathlib import Path
from typing import Any

import pytest
import timm

from agmm.config.recipes import load_config, recipe_names, recipe_text
from agmm.config.training import SCHEDULE_NAMES, TrainConfig
from agmm.errors import TrainingError


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_load_and_survive_being_written(name: str) -> None:
    config = load_config(name)
    assert TrainConfig.from_dict(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_name_weights_that_exist(name: str) -> None:
    config = load_config(name)
    assert config.encoder_weights == "none" or config.encoder in timm.list_pretrained()


def test_the_papers_recipes_hold_the_papers_settings() -> None:
    voc, city = load_config("voc-r101"), load_config("cityscapes-r50")
    assert (voc.encoder, voc.aspp_rates, voc.crop_size) == ("resnet101s.gluon_in1k", (6, 12, 18), (321, 321))
    assert (voc.batch_size, voc.epochs, voc.learning_rate, voc.new_layers_factor) == (16, 80, 1e-3, 10)
    assert (city.encoder, city.aspp_rates, city.crop_size) == ("resnet50s.gluon_in1k", (12, 24, 36), (721, 721))
    assert (city.batch_size, city.epochs, city.learning_rate, city.new_layers_factor) == (4, 240, 5e-3, 1)
    assert city.multi_grid == (2, 2, 4)
    for config in (voc, city):
        assert (config.optimizer, config.momentum, config.weight_decay) == ("sgd", 0.9, 1e-4)
        assert (config.schedule, config.scale, config.flip, config.lambda_) == ("poly", (0.5, 2.0), True, 1.0)
        assert config.output_stride == 8
    assert voc.photometric and not city.photometric
    for name, score in (("voc-r101", "69.6"), ("cityscapes-r50", "71.6")):
        note, _, scores = recipe_text(name).partition("# Published, not reproduced here ")
        assert score not in note and score in scores


def test_names_agree_with_what_they_name() -> None:
    from agmm.training.schedule import SCHEDULES

    assert tuple(SCHEDULES) == SCHEDULE_NAMES


def test_the_mark_of_the_encoding_is_passed_over(tmp_path: Path) -> None:
    """As some editors write it."""
    (tmp_path / "mine.toml").write_text("epochs = 7\n", encoding="utf-8-sig")
    assert load_config(config_path=tmp_path / "mine.toml") == load_config(overrides={"epochs": 7})


def test_layers_override_each_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 7\nlambda = 0.5\nseed = 3\n[loss]\nuse_con = false\nstop_gradient = true\n")
    config = load_config("voc-r101", path, {"seed": 4, "lambda_": 0.25, "loss": {"use_con": True}})
    assert (config.epochs, config.lambda_, config.seed, config.batch_size) == (7, 0.25, 4, 16)
    assert config.loss == {"use_con": True, "stop_gradient": True}
    assert config.to_dict()["lambda"] == 0.25
    assert TrainConfig.from_dict(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'. Did you mean epochs"),
        ({"lamda": 1.0}, "Did you mean lambda"),
        ({"epochs": "3"}, "epochs must be of type int, got '3'"),
        ({"epochs": True}, "epochs must be of type int, got True"),
        ({"crop_size": 321}, "crop_size must be of type list, got 321"),
        ({"crop_size": [321]}, "crop_size must be a height and a width"),
        ({"scale": [2.0, 0.5]}, "the smaller first"),
        ({"scale": [1e-9, 1.0]}, "scale must be two factors of at least 0.01"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"lambda": float("nan")}, "settings: lambda must be at least 0, got nan"),
        ({"clip_norm": float("inf")}, "clip_norm must be finite, got inf"),
        ({"scale": [1.0, float("inf")]}, "scale must be finite, got inf"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "image_mean must be finite, got nan"),
        ({"crop_size": [321, 1000000]}, "crop_size must be at most 32768, got 1000000"),
        ({"aspp_rates": [6, 10**18]}, "aspp_rates must be at most 32768"),
        ({"learning_rate": 1e300}, "learning_rate must be at most 1000000"),
        ({"redraws": 10**9}, "redraws must be at most 10000"),
        ({"seed": 10**20}, "seed must be at most 9223372036854775807, got 10"),
        ({"lambda_ramp": 1.5}, r"lambda_ramp must lie in \[0, 1\], got 1.5"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"ema_decay": 1.0}, r"ema_decay must lie in \[0, 1\)"),
        ({"preset": "papers"}, "Unknown preset 'papers'. Choose from: paper, released. Did you mean paper"),
        ({"output_stride": 4}, "output_stride must be 8 or 16"),
        ({"loss": {"self": False}}, "Unknown loss option 'self'. Did you mean use_self"),
        ({"loss": {"preset": "released"}}, "Unknown loss option 'preset'. It is a setting of its own: --set preset="),
        ({"loss": {"lambda_": 2.0}}, "Unknown loss option 'lambda_'. It is a setting of its own: --set lambda="),
        ({"loss_kind": "presence", "loss": {"ignore_index": 0}}, "Unknown loss option 'ignore_index'"),
        ({"loss_kind": "seg", "loss": {"weight": 1.0}}, "loss_kind 'seg' takes no options, got weight"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict(data)


@pytest.mark.parametrize(
    "values",
    [{"epochs": 2.5}, {"flip": "no"}, {"crop_size": (32.5, 32)}, {"bands": 3}, {"init": Path("run")}, {"loss": "seg"}],
    ids=str,
)
def test_python_gives_settings_of_the_right_types(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be"):
        TrainConfig(**values)


def test_whole_numbers_serve_as_floats() -> None:
    assert TrainConfig.from_dict({"lambda": 1, "scale": [1, 2]}).scale == (1.0, 2.0)


def test_unknown_recipe_and_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown recipe 'voc-r50'.*Did you mean voc-r101"):
        load_config("voc-r50")
    with pytest.raises(TrainingError, match="no such file"):
        load_config(config_path=tmp_path / "no.toml")
    (tmp_path / "bad.toml").write_text("epochs: 3")
    with pytest.raises(TrainingError, match="not a TOML file"):
        load_config(config_path=tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text("epoks = 3")
    with pytest.raises(ValueError, match=r"odd.toml: unknown setting 'epoks'. Did you mean epochs"):
        load_config(config_path=tmp_path / "odd.toml")


def test_colours_of_the_encoders_weights_reach_the_network_and_the_file(tmp_path):
    config = TrainConfig(image_mean=(0.5, 0.5, 0.5), image_std=(0.5, 0.25, 0.5))
    assert config.model(3).image_mean == (0.5, 0.5, 0.5) and config.model(3).image_std == (0.5, 0.25, 0.5)
    assert TrainConfig().model(3).image_mean is None and "image_mean" not in TrainConfig().to_toml()
    path = tmp_path / "run.toml"
    path.write_text(config.to_toml())
    assert load_config(config_path=path).image_std == (0.5, 0.25, 0.5)
    with pytest.raises(ValueError, match="belong together"):
        TrainConfig(image_mean=(0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="image_mean must be of type"):
        load_config(overrides={"image_mean": "grey"})


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", ""])
def test_unknown_device(device):
    with pytest.raises(ValueError, match="Unknown device"):
        TrainConfig(device=device)
