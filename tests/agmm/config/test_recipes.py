from pathlib import Path

import pytest

from agmm.config.recipes import load_config, recipe_names
from agmm.config.training import TrainConfig, merge_settings


def test_options_of_another_loss_are_left_behind() -> None:
    below = {"loss": {"use_self": False}, "epochs": 3}
    assert merge_settings(below, {"loss": {"use_con": False}})["loss"] == {"use_self": False, "use_con": False}
    assert merge_settings(below, {"loss_kind": "agmm"})["loss"] == {"use_self": False}
    assert merge_settings(below, {"loss_kind": "absence"}) == {"loss_kind": "absence", "epochs": 3, "loss": {}}
    other = {"loss_kind": "absence", "loss": {"weight": 2.0}}
    assert merge_settings(other, {"loss_kind": "agmm", "loss": {"use_con": False}})["loss"] == {"use_con": False}


def test_a_recipe_for_agmm_can_be_trained_with_another_loss() -> None:
    config = load_config("small-data", overrides={"loss_kind": "gated_crf", "loss": {"radius": 3}})
    assert (config.loss_kind, config.loss) == ("gated_crf", {"radius": 3})


@pytest.mark.parametrize("loss", [{"absence": 1.0}, {"absence": 0.5, "gated_crf": {"weight": 0.1, "radius": 3}}])
def test_options_in_tables_survive_the_toml(loss: dict[str, object], tmp_path: Path) -> None:
    config = TrainConfig(loss_kind="combined", loss=loss)
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert load_config(config_path=tmp_path / "config.toml").loss == loss


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("kind", ["auto", "seg", "presence"])
def test_every_recipe_can_be_trained_with_losses_that_take_no_options_of_agmm(recipe: str, kind: str) -> None:
    assert load_config(recipe, overrides={"loss_kind": kind}).loss == {}
