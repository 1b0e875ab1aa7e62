"""Commands on datasets and results in an object store, for which fsspec's memory:// stands."""

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import sparsekit.synthesis.journal
import sparsekit.synthesis.synthesize
from cli.sparsekit_cli import main
from data_manifests import DataError, Manifest, open_dataset, read_manifest
from data_manifests.files.paths import as_path, files_below
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.annotators import ClickAnnotator
from sparsekit.synthesis.synthesize import synthesize


def sparsekit_(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def dataset_dir(tmp_path):
    """Five images of 8x10 with two classes, below a folder ``store``."""
    root = tmp_path / "store" / "town"
    for number, name in enumerate("abcde"):
        mask = np.full((8, 10), number % 2, np.uint8)
        mask[:, 5:] = 1
        for folder, image in (("masks", mask), ("images", np.zeros((8, 10, 3), np.uint8))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / folder / f"{name}.png")
    return root


@pytest.fixture
def store(dataset_dir):
    """``memory://store`` with the dataset ``town`` in it."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in dataset_dir.rglob("*.png"):
        memory.pipe(f"/store/town/{path.relative_to(dataset_dir).as_posix()}", path.read_bytes())
    yield as_path("memory://store")
    memory.store.clear()


def tree(folder):
    """Every file below a folder, local or remote, with its bytes."""
    paths = files_below(folder) if not hasattr(folder, "__fspath__") else [p for p in folder.rglob("*") if p.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def expected(dataset_dir):
    """What the local command writes, for 3 and for 9 clicks."""
    out = dataset_dir.parent / "out"
    assert sparsekit_("points", "--clicks", 3, "--clicks", 9, dataset_dir, "--out", out).exit_code == 0
    return tree(out)


def remote_run(store, **options):
    return synthesize(open_dataset(store / "town"), ClickAnnotator((3, 9)), store / "out", **options)


@pytest.mark.usefixtures("store")
def test_a_store_gets_the_bytes_that_a_disk_gets(expected):
    for said in ("5 images annotated", "existed already"):
        result = sparsekit_(
            "points", "--clicks", 3, "--clicks", 9, "memory://store/town", "--out", "memory://store/out"
        )
        assert result.exit_code == 0, result.output
        assert said in result.output and "memory://store/out/town-3clicks/manifest.csv" in result.output
    assert tree(as_path("memory://store/out")) == expected
    for command in ("verify", "validate", "info"):
        result = sparsekit_(command, "memory://store/out/town-3clicks/manifest.csv")
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "words",
    [("subset", "--count", 2), ("split", "--val", 0.4), ("merge",), ("render", "--limit", 2)],
    ids=lambda words: words[0],
)
@pytest.mark.usefixtures("expected", "store")
def test_what_is_made_of_a_manifest_may_go_to_a_store(words, dataset_dir):
    sparsekit_("points", "--clicks", 3, "memory://store/town", "--out", "memory://store/out")
    made = []
    for root in ("memory://store", dataset_dir.parent):
        command, *options = words
        result = sparsekit_(command, f"{root}/out/town-3clicks", *options, "--out", f"{root}/made")
        assert result.exit_code == 0, result.output
        made.append(tree(as_path(f"{root}/made")))
    assert made[0] == made[1] and made[0]


def test_file_urls_with_two_processes(expected, dataset_dir, tmp_path):
    out = tmp_path / "store" / "other"
    result = sparsekit_(
        "points", "--clicks", 3, "--clicks", 9, "--workers", 2, dataset_dir.as_uri(), "--out", out.as_uri()
    )
    assert result.exit_code == 0, result.output
    assert tree(out) == expected


def test_a_local_folder_may_name_remote_files(store, expected, tmp_path):
    assert sparsekit_("points", "--clicks", 3, "memory://store/town", "--out", tmp_path / "here").exit_code == 0
    manifest = read_manifest(tmp_path / "here" / "town-3clicks")
    assert manifest.rows[0].image == "memory://store/town/images/a.png"
    result = sparsekit_("verify", manifest.path)
    assert result.exit_code == 0 and "5 annotations" in result.output
    written = tree(manifest.path.parent)
    assert all(written[name] == expected[f"town-3clicks/{name}"] for name in written if name != "manifest.csv")


class TestInterrupted:
    @pytest.fixture
    def cut(self, store, monkeypatch):
        """Run until the image of ``d`` turns out to be missing."""
        monkeypatch.setattr(sparsekit.synthesis.journal, "_PART_SECONDS", 0.0)  # a part for each image
        image = store / "town/images/d.png"
        content = image.read_bytes()
        image.write_bytes(b"")
        with pytest.raises(DataError):
            remote_run(store)
        image.write_bytes(content)

    @pytest.mark.usefixtures("cut")
    def test_is_no_manifest_and_goes_on(self, store, expected, monkeypatch):
        assert not (store / "out/town-3clicks/manifest.csv").exists()
        done = []
        annotate = sparsekit.synthesis.synthesize._annotate_image
        monkeypatch.setattr(
            sparsekit.synthesis.synthesize,
            "_annotate_image",
            lambda task: done.append(task.item.image_id) or annotate(task),
        )
        remote_run(store)
        assert done == ["d", "e"]
        assert tree(store / "out") == expected

    @pytest.mark.usefixtures("cut")
    def test_other_settings_start_anew(self, store):
        remote_run(store, seed=1)
        assert {"run.json", "manifest.csv"} & set(tree(store / "out/town-3clicks")) == {"manifest.csv"}

    @pytest.mark.usefixtures("cut")
    def test_other_shards_are_not_removed(self, store):
        before = tree(store)
        with pytest.raises(AnnotationError, match="part of another run"):
            remote_run(store, shard=(1, 2))
        assert tree(store) == before


def test_shards(store, expected):
    for number in (2, 3, 1):
        summaries = remote_run(store, shard=(number, 3))
        assert (summaries[0].missing_shards == 0) == (number == 1)
    assert tree(store / "out") == expected


def test_what_is_there(store, expected):
    (store / "out/town-3clicks/precious.txt").write_bytes(b"x")
    with pytest.raises(AnnotationError, match=r"^memory://store/out/town-3clicks: exists but holds no manifest.csv"):
        remote_run(store, overwrite=True)
    assert (store / "out/town-3clicks/precious.txt").exists()
    (store / "out/town-3clicks/precious.txt").unlink()
    remote_run(store, seed=1)
    with pytest.raises(AnnotationError, match="made with other settings"):
        remote_run(store)
    remote_run(store, overwrite=True)
    assert tree(store / "out") == expected


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("what://x", "Error: what://x: unknown kind of address 'what://'"),
        ("memory://store/none", "Error: memory://store/none: no such folder"),
        ("file:///none/at/all", "Error: /none/at/all: no such folder"),
    ],
)
def test_errors(dataset, message, tmp_path):
    result = sparsekit_("points", dataset, "--out", tmp_path)
    assert result.exit_code == 1 and result.stderr.startswith(message)


def test_a_missing_remote_mask_is_named(store, tmp_path):
    dataset = open_dataset(store / "town")
    (store / "town/masks/c.png").unlink()
    with pytest.raises(DataError, match=r"^memory://store/town/masks/c.png: no such file.$"):
        synthesize(dataset, ClickAnnotator((3,)), tmp_path)


def test_training_reads_images_by_url(store, tmp_path):
    pytest.importorskip("torch")
    from agmm.config.data import Augmentation
    from agmm.data.dataset import ManifestDataset

    def samples(manifest: Manifest):
        rows = manifest.rows_of("train")
        return list(map(ManifestDataset(manifest, rows, Augmentation(crop_size=(8, 8))).__getitem__, [(0, 0), (0, 4)]))

    sparsekit_("points", "--clicks", 3, "memory://store/town", "--out", tmp_path / "store" / "out")
    by_url = samples(read_manifest(tmp_path / "store/out/town-3clicks"))
    sparsekit_("points", "--clicks", 3, tmp_path / "store" / "town", "--out", tmp_path / "store" / "local")
    by_path = samples(read_manifest(tmp_path / "store/local/town-3clicks"))
    for ours, theirs in zip(by_url, by_path, strict=True):
        assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
