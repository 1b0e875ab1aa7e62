import json

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import open_dataset
from sparsekit.demo_data import dataset, draw_scene


def demo_data(*args):
    return CliRunner().invoke(main, ["demo-data", *map(str, args)])


def test_scenes_are_written_and_counted(tmp_path):
    result = demo_data(tmp_path / "town", "--images", 4, "--size", "48x24", "--seed", 7)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{tmp_path / 'town'}: 4 images of 48x24 (3 train, 1 val)", f"Next: sparsekit points {tmp_path / 'town'}",
    ]  # fmt: skip
    assert open_dataset(tmp_path / "town").splits == ("train", "val")


def test_another_seed_gives_other_scenes(tmp_path):
    for seed in (0, 7):
        assert demo_data(tmp_path / f"town{seed}", "--images", 1, "--size", "48x24", "--seed", seed).exit_code == 0
    one, other = (open_dataset(tmp_path / f"town{seed}").items[0].mask_path for seed in (0, 7))
    assert one.read_bytes() != other.read_bytes()


def test_summary_as_json(tmp_path):
    result = demo_data(tmp_path / "town", "--images", 2, "--size", "20x16", "--json")
    assert json.loads(result.stdout) == {
        "folder": str(tmp_path / "town"), "images": {"train": 2}, "width": 20, "height": 16, "seed": 0,
    }  # fmt: skip


def test_a_full_folder_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    result = demo_data(tmp_path, "--images", 1)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and "not empty" in result.stderr and "another folder" in result.stderr


def test_after_an_interruption_the_same_command_goes_on(tmp_path, monkeypatch):
    town, size = tmp_path / "town", ("--images", 4, "--size", "20x16")

    def draw(*args):
        if scenes:
            raise KeyboardInterrupt
        scenes.append(draw_scene(*args))
        return scenes[0]

    scenes = []
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "draw_scene", draw)
        result = demo_data(town, *size)
    assert result.exit_code == 130 and result.stderr == "Interrupted; run the same command to continue\n"
    result = CliRunner().invoke(main, ["points", str(town), "--clicks", "2", "--out", str(tmp_path / "sparse")])
    assert result.exit_code == 1 and "fits no known layout" in result.stderr
    result = demo_data(town, *size)
    assert result.exit_code == 0 and f"{town}: 4 images of 20x16 (3 train, 1 val)\n" in result.stdout
    assert len(open_dataset(town).items) == 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--images", 0), "0 is not in the range"),
        (("--size", "512"), "expected WIDTHxHEIGHT such as 512x256, got '512'"),
        (("--size", "-4x4"), "got '-4x4'"),
        (("--size", "12x12"), "at least 16x16 and at most 4096x4096, got 12x12"),
        (("--size", "16x4097"), "at least 16x16 and at most 4096x4096, got 16x4097"),
        (("--size", "9" * 5000 + "x16"), "expected WIDTHxHEIGHT such as 512x256"),
        (("--seed", -1), "-1 is not in the range"),
        (("--workers", 0), "0 is not in the range"),
        (("--workers", 1025), "1025 is not in the range 1<=x<=1024"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_usage(tmp_path, args, message):
    result = demo_data(tmp_path / "town", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "town").exists()
