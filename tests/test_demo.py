"""The demo's own checks; the demo itself takes minutes and is run by ``make demo``."""

import importlib.util
import json
from itertools import pairwise
from pathlib import Path

import pytest

_PATH = Path(__file__).parents[1] / "demo.py"


@pytest.fixture
def demo(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("demo", _PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    module.RUN.mkdir(parents=True)
    return module


def write_scores(demo, *, miou, val_mious=("", "0.05", "", "0.2"), losses=(3.0, 2.5, 2.1, 2.0)):
    confusion = [[60, 0, 0], [30, 10, 0], [0, 0, 0]]  # the third class does not occur
    (demo.RUN / "evaluation.json").write_text(json.dumps({"results": [{"miou": miou, "confusion": confusion}]}))
    lines = ["epoch,loss,val_miou"]
    lines += [f"{i},{loss},{val}" for i, (loss, val) in enumerate(zip(losses, val_mious, strict=True), start=1)]
    (demo.RUN / "log.csv").write_text("\n".join(lines) + "\n")


def test_a_network_that_has_learned_passes(demo, capsys):
    write_scores(demo, miou=0.21)
    demo.check_learned()
    out = capsys.readouterr().out
    assert "5.0 % when first measured, 21.0 % now" in out
    assert "most frequent class everywhere would give 30.0 %" in out  # 60 of 100 pixels, the mean over two classes
    assert "3.00 in the first epoch, 2.00 in the last" in out


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"miou": 0.05}, "at least 15.0 %"),
        ({"miou": 0.2, "val_mious": ("", "0.3", "", "0.2")}, "did not rise"),
        ({"miou": 0.2, "losses": (2.0, 2.5, 2.1, 2.0)}, "did not fall"),
    ],
    ids=["at chance", "falling", "loss"],
)
def test_a_network_that_has_not_learned_fails_loudly(demo, scores, message):
    write_scores(demo, **scores)
    with pytest.raises(SystemExit, match=message):
        demo.check_learned()


def test_a_command_is_printed_before_it_runs_and_its_failure_ends_the_demo(demo, capfd):
    demo.run("sparsekit", "demo-data", demo.TOWN, "--images", "1", "--size", "16x16")
    out = capfd.readouterr().out
    assert out.startswith("$ sparsekit demo-data demo/town --images 1 --size 16x16\n")
    assert sum(path.is_file() for path in demo.TOWN.rglob("*")) == 4
    with pytest.raises(SystemExit, match="`sparsekit demo-data` failed with exit code 1"):
        demo.run("sparsekit", "demo-data", demo.TOWN)
    assert "already holds demo data" in capfd.readouterr().err


def test_the_last_lines_name_what_to_open_and_it_is_there(demo, monkeypatch, capsys):
    """Each command writes what the real one does, as far as the end of the demo names it."""
    ran = []

    def run(command, *arguments):
        ran.append((command, arguments[0]))
        words = list(map(str, arguments))
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        if arguments[0] == "render":
            shown = [word for before, word in pairwise(words) if before == "--image"]
            made = [out / f"{name}.png" for name in shown]
        else:
            made = [out / "index.html", out / "figures/qualitative.png"] if arguments[0] == "report" else []
        for path in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    write_scores(demo, miou=0.21)
    monkeypatch.setattr(demo, "run", run)
    demo.main()
    assert [name for _, name in ran] == ["demo-data", "points", "render", "train", "evaluate", "report"]
    told = capsys.readouterr().out.partition("Open these")[2]
    named = [Path(line.strip().split(": ")[0]) for line in told.splitlines() if line.startswith("  ")]
    assert len(named) == 3 and all(path.is_file() for path in named)
