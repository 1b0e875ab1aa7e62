from pathlib import Path

import pytest

from agmm.config.loss import LossOptions, resolve_options
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.studies.paper_tables import TABLES
from agmm.studies.study import Study, published_as, read_study
from data_manifests import Manifest, ManifestInfo, known_label_space


def manifest(space: str, command: str = "points", **settings: object) -> Manifest:
    return Manifest(
        Path("m/manifest.csv"), (), ManifestInfo(known_label_space(space), command=command, settings=settings)
    )


def test_table_2_adds_one_term_after_the_other() -> None:
    options = {}
    for setting in TABLES[2].settings:
        config = setting.apply(TrainConfig(), seed=3)
        assert config.seed == 3
        options[setting.name] = resolve_options(config.preset, **config.loss)
    used = {name: (o.use_self, o.use_spar, o.use_con) for name, o in options.items()}
    assert used == {
        "L_seg": (False, False, False),
        "L_seg, MT": (False, False, False),
        "L_seg + L_self": (True, False, False),
        "L_seg + L_self + L_spar": (True, True, False),
        "L_seg + L_self + L_spar + L_con": (True, True, True),
        "L_seg + L_self + L_spar + L_con, MT": (True, True, True),
    }
    assert options["L_seg + L_self + L_spar + L_con"] == LossOptions()
    assert [s.stages for s in TABLES[2].settings] == [1, 2, 1, 1, 1, 2]


def test_table_2_of_the_released_code_keeps_its_absence_term_but_in_l_seg() -> None:
    weights = []
    for setting in TABLES[2].settings:
        config = setting.apply(TrainConfig(preset="released"), seed=0)
        weights.append(resolve_options(config.preset, **config.loss).absence_weight)
    assert weights == [0, 0, 1, 1, 1, 1]


def test_table_1_varies_lambda() -> None:
    assert [s.apply(TrainConfig(), 0).lambda_ for s in TABLES[1].settings] == [0.1, 0.2, 0.5, 0.8, 1.0, 1.5]


def test_published_numbers_stand_only_beside_such_data() -> None:
    cityscapes, camvid, voc = (known_label_space(name) for name in ("cityscapes", "camvid", "pascal_voc"))
    assert TABLES[2].is_published_for(cityscapes, 500) and TABLES[1].is_published_for(voc, 1449)
    others = [(cityscapes, 499), (cityscapes, 2975), (camvid, 500), (voc, 500), (voc, 1449)]
    assert not [other for other in others if TABLES[2].is_published_for(*other)]
    assert not Study("", ()).is_published_for(cityscapes, 0)
    assert published_as(manifest("cityscapes", clicks_per_image=20)) == "20"
    assert published_as(manifest("pascal_voc", "scribbles")) == "scribble"
    assert published_as(manifest("pascal_voc", clicks_per_instance=1)) == "point"
    assert published_as(manifest("pascal_voc", "merge")) == ""
    assert published_as(manifest("cityscapes", clicks_per_image=20, strategy="corrective")) == ""
    assert published_as(manifest("cityscapes", clicks_per_image=20, source="a/manifest.csv")) == ""


def test_a_loss_option_of_the_base_stays() -> None:
    config = TABLES[2].settings[2].apply(TrainConfig(loss={"stop_gradient": True}), 0)
    assert config.loss == {"stop_gradient": True, "use_self": True, "use_spar": False, "use_con": False}


STUDY = """
title = "Stop the gradient?"
manifests = ["../sparse/a", "b/manifest.csv"]
seeds = [0, 5]

[[setting]]
name = "flows"

[[setting]]
name = "stopped"
stages = 2
lambda = 0.5
loss = { stop_gradient = true }
"""


def test_a_file_says_it_all(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    study = read_study(path)
    assert study.title == "Stop the gradient?" and study.seeds == (0, 5)
    assert study.manifests == (tmp_path / "../sparse/a", tmp_path / "b/manifest.csv")
    assert [(s.name, s.stages) for s in study.settings] == [("flows", 1), ("stopped", 2)]
    config = study.settings[1].apply(TrainConfig(epochs=7), 5)
    assert (config.lambda_, config.loss, config.epochs, config.seed) == (0.5, {"stop_gradient": True}, 7, 5)


def test_a_file_says_where_the_rest_is_and_how_to_score(tmp_path: Path) -> None:
    path = tmp_path / "studies" / "study.toml"
    path.parent.mkdir()
    path.write_text(
        'recipe = "small-data"\nbase = "base.toml"\nsplit = "test"\nprotocol = "sliding"\npseudo_protocol = "whole"\n'
        'manifests = ["../a", "../b/manifest.csv"]\n'
        '[[setting]]\nname = "everywhere"\n[[setting]]\nname = "on b"\nmanifests = ["../b"]\n'
    )
    with pytest.raises(TrainingError, match=r"study.toml: base names .*base.toml, which is missing"):
        read_study(path)
    (path.parent / "base.toml").touch()
    study = read_study(path)
    assert (study.recipe, study.base) == ("small-data", path.parent / "base.toml")
    assert (study.split, study.protocol, study.pseudo_protocol) == ("test", "sliding", "whole")
    info = ManifestInfo(known_label_space("camvid"))
    a, b = (Manifest(tmp_path / name / "manifest.csv", (), info) for name in "ab")
    assert [s.trains_on(a) for s in study.settings] == [True, False]
    assert [s.trains_on(b) for s in study.settings] == [True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base=1\n[[setting]]\nname='a'", "base must be text in quotes, got 1"),
        ("ceiling='b'\n[[setting]]\nname='a'", "ceiling 'b'"),
        ("protocol='crop'\n[[setting]]\nname='a'", "unknown protocol 'crop'. Choose from: whole, flip, sliding, multi"),
        (
            "[[setting]]\nname='a'\nstages=2\npseudo_classes='any'",
            "setting 'a': pseudo_classes must be labelled or all, got 'any'",
        ),
        (
            "manifests=['m']\n[[setting]]\nname='a'\nmanifests=['n']",
            "setting 'a': .*n is not one of",
        ),
        ("[[setting]]\nname='a'\nmanifests='x'", "setting 'a': manifests must be a list of paths"),
        ("[[setting]]\nname='a'\nstages=2\nsoft=1", "setting 'a': soft must be true or false, got 1"),
        ("[[setting]]\nname='a'\nsoft=true", "setting 'a': soft needs later stages; give stages = 2"),
        ("setting=[1]", "holds no \\[\\[setting\\]\\]"),
        ("[[setting]]\nname='a'\nloss=5", "setting 'a': loss must be of type table, got 5"),
        ("[[setting]]\nname='a'\nstages=2\nsupervision='full'", "setting 'a': stages replace the sparse annotation"),
        ("seeds=[3, 0, 3]\n[[setting]]\nname='a'", "seed 3 is listed twice"),
        ("", "holds no \\[\\[setting\\]\\]"),
        ("titel = 'x'\n[[setting]]\nname='a'", "unknown key 'titel'. Known: title, manifests"),
        ("[[setting]]\nstages = 2", "number 1 needs a name"),
        ("[[setting]]\nname = ' '", "number 1 needs a name, .*got ' '"),
        ("[[setting]]\nname = 'a'\n[[setting]]\nname = 'a '", "number 2: its name begins or ends with a space, 'a '"),
        ("title=5\n[[setting]]\nname='a'", "title must be text in quotes, got 5"),
        ('[[setting]]\nname = "a\\u001b[31m"', "its name holds an unprintable character"),
        ("[[setting]]\nname='a'\n[[setting]]\nname='a'", "two settings are named 'a'"),
        ("[[setting]]\nname='a'\nstages=1000000000", "from 1 to 1000, got 1000000000"),
        (f"seeds={list(range(20000))}\n[[setting]]\nname='a'", "lists 20,000 seeds; the limit is 10,000"),
        ("[[setting]]\nname='a'\n" * 1001, "holds 1,001 settings; the limit is 1,000"),
        ("[[setting]]\nname='a'\nepochs=1000000000", "epochs must be at most 1000000"),
        ("[[setting]]\nname='a'\nstages=0", "stages must be a whole number from 1 to 1000, got 0"),
        ("[[setting]]\nname='a'\nlamda=1.0", "setting 'a': unknown setting 'lamda'. Did you mean lambda"),
        ("[[setting]]\nname='a'\nseed=1", "give seeds for the whole study"),
        ("seeds=[-1]\n[[setting]]\nname='a'", "seeds must be a list of whole numbers"),
        ("manifests='a'\n[[setting]]\nname='a'", "manifests must be a list of paths, got 'a'"),
        ("name =", "not a TOML file"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises((ValueError, TrainingError), match=message):
        read_study(path)


def test_a_row_may_need_what_the_base_says(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("[[setting]]\nname='a'\nfreeze_batchnorm=true")
    (setting,) = read_study(path).settings
    assert setting.apply(TrainConfig(encoder_weights="weights.safetensors"), seed=0).freeze_batchnorm
    with pytest.raises(ValueError, match="setting 'a': freeze_batchnorm keeps the statistics"):
        setting.apply(TrainConfig(), seed=0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no such study"):
        read_study(tmp_path / "none.toml")
