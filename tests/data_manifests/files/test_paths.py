"""Paths and URLs; a dataset and a manifest in an object store, for which fsspec's memory:// stands."""

import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

from data_manifests import DataError, ManifestError, open_dataset, read_manifest, read_marks, write_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.csv import write_table
from data_manifests.files.images import list_images, read_image
from data_manifests.files.paths import (
    absolute,
    as_path,
    files_below,
    inside,
    is_remote,
    name_fault,
    name_from,
    name_in_full,
    named_by,
    reaching,
    remove_tree,
    replace_tree,
)
from data_manifests.layouts import LAYOUTS
from data_manifests.manifest.derive import derive_manifest
from data_manifests.manifest.io import write_manifest
from data_manifests.manifest.rows import read_row_annotation, read_row_image
from data_manifests.manifest.validate import check_manifest
from tests.helpers.miniature_datasets import make_cityscapes, make_voc
from tests.sparsekit.conftest import tiny_manifest


@pytest.fixture
def store():
    """An empty folder ``memory://store``."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    yield as_path("memory://store")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def put(source, target):
    """Copy a local folder into the store."""
    for path in source.rglob("*"):
        if path.is_file():
            (target / path.relative_to(source).as_posix()).write_bytes(path.read_bytes())
    return target


class TestAsPath:
    @pytest.mark.parametrize("text", ["data/x.png", "/data", "C:/data", "C://data", ".", "a:b", "odd:/name"])
    def test_words_without_a_scheme_are_local(self, text):
        assert as_path(text) == Path(text) and not is_remote(as_path(text))

    def test_file_urls_are_local(self, tmp_path):
        folder = tmp_path / "a folder, 100%"
        assert as_path(folder.as_uri()) == folder == as_path("FILE" + folder.as_uri()[4:])

    @pytest.mark.parametrize("text", ["memory://a/b.png", "s3://bucket/a/b.png", "http://host/a/b.png"])
    def test_urls_are_remote_and_read_as_written(self, text):
        path = as_path(text)
        assert is_remote(path) and str(path) == text
        assert (path.name, path.stem, path.suffix, str(path.parent)) == ("b.png", "b", ".png", text[:-6])
        assert path == pickle.loads(pickle.dumps(path))

    def test_unknown_scheme(self):
        with pytest.raises(DataError, match=r"^what://x/y: unknown kind of address 'what://'.*s3://bucket/folder"):
            as_path("what://x/y")

    def test_missing_package_of_a_bucket(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "s3fs", None)
        with pytest.raises(DataError, match=r"^s3a://bucket/x: .*not installed: pip install 'sparsekit-agmm\[s3\]'$"):
            as_path("s3a://bucket/x")  # the other name of s3://, which fsspec has not loaded

    def test_local_paths_import_no_fsspec(self):
        code = "import sys; from cli.options import PathType; PathType()('x'); print('fsspec' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


class TestNames:
    @pytest.mark.parametrize(
        ("folder", "path", "name"),
        [
            ("/out/a", "/data/x.png", "../../data/x.png"),
            ("memory://s/out/a", "memory://s/data/x.png", "../../data/x.png"),
            ("s3://b/out", "s3://b/out/x.png", "x.png"),
            ("s3://b/out", "s3://other/x.png", "s3://other/x.png"),
            ("s3://b/out", "/data/x.png", "/data/x.png"),
            ("/out", "s3://b/x.png", "s3://b/x.png"),
            ("memory://s/out", "s3://s/x.png", "s3://s/x.png"),
        ],
    )
    def test_a_name_leads_back(self, folder, path, name):
        assert name_from(as_path(folder), as_path(path)) == name
        assert str(absolute(named_by(as_path(folder), name))) == path

    @pytest.mark.parametrize("given", ["absolute", "relative", "with dots"])
    @pytest.mark.parametrize("linked", ["the folder", "one above it", "the data", "home"])
    def test_a_name_leads_back_through_links(self, linked, given, tmp_path, monkeypatch):
        for folder in ("disk/deep/down", "home/work", "home/data"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "home/data/x.png").touch()
        (tmp_path / "house").symlink_to("home")
        (tmp_path / "home/link").symlink_to("data")
        (tmp_path / "home/out").symlink_to("../disk/deep")
        (tmp_path / "home/work/out").symlink_to("../../disk/deep/down")
        folder = {"the folder": "work/out", "one above it": "out/down", "the data": "work", "home": "work"}[linked]
        path = Path("link" if linked == "the data" else "data") / "x.png"
        monkeypatch.chdir(tmp_path / ("house" if linked == "home" else "home"))
        start = {"absolute": Path.cwd(), "relative": Path(), "with dots": Path("out/down/../../../home")}[given]
        folder, path = tmp_path / ("house" if linked == "home" else "home") / folder, start / path
        name = name_from(folder, path)
        assert named_by(folder, name).samefile(tmp_path / "home/data/x.png")
        assert not Path(name).is_absolute() and ("link" in name) == (linked == "the data")

    def test_a_link_above_both_does_not_lengthen_the_name(self, tmp_path):
        (tmp_path / "disk/data").mkdir(parents=True)
        (tmp_path / "home").symlink_to("disk")
        assert name_from(tmp_path / "home/out", tmp_path / "home/data/x.png") == "../data/x.png"

    def test_names_that_are_not_utf8_are_refused(self, tmp_path):
        path = Path(os.fsdecode(b"/caf\xe9/x.png"))
        for name in (lambda: name_from(tmp_path, path), lambda: name_in_full(path)):
            with pytest.raises(DataError, match=r"caf\\udce9/x.png': .*UTF-8"):
                name()

    def test_in_full(self):
        assert name_in_full(as_path("s3://b/x.png")) == "s3://b/x.png"
        assert name_in_full(Path("x.png")) == (Path.cwd() / "x.png").as_posix()

    def test_dots_are_resolved(self):
        assert str(absolute(as_path("s3://b/out/../data/./x.png"))) == "s3://b/data/x.png"


@pytest.mark.skipif(os.sep == "\\", reason="Windows takes both")
def test_backslashes_of_windows_part_folders(tmp_path):
    assert named_by(tmp_path / "m", "..\\data\\a.png") == tmp_path / "m" / "../data/a.png"
    (tmp_path / "odd\\name.png").touch()  # unless a file is called so
    assert named_by(tmp_path, "odd\\name.png") == tmp_path / "odd\\name.png"


class TestPlainNames:
    @pytest.mark.parametrize(
        "name",
        ["a", "train/a b", "a.b", "...a", "Console", "nullable.x", "12:30", "ä:b", "a~", "%2e%2e", "=x", "ü/日本"],
    )
    def test_names_below_a_folder(self, name):
        assert name_fault(name) == ""

    @pytest.mark.parametrize(
        "name",
        [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", "a/./b", "a/ /b", "a/.. /b", "...",
            "C:", "c:a", "C:/a", "\\\\host\\a", "a\\b", "..\\a", "CON", "aux.png", "a/Nul .x", "COM1", "lpt9.a",
            "com\u00b2", "a\0", "a\nb", "\x1b[2J", "\x7f", "\x85", "\udc80",
        ],
    )  # fmt: skip
    def test_others(self, name):
        assert name_fault(name)


class TestInside:
    """The one check of every writer."""

    @pytest.mark.parametrize("name", ["a", "a/b.png", "a/../b", "..a", "a:b", "a\\b", "link/b", "out"])
    def test_names_in_the_folder(self, tmp_path, name):
        out = tmp_path / "out"
        (out / "there").mkdir(parents=True)
        (out / "link").symlink_to("there")  # a link within the folder
        (out / "out").symlink_to(tmp_path / "elsewhere")  # writing replaces it
        (tmp_path / "linked").symlink_to(out)
        assert inside(out, name) == out / name
        assert inside(tmp_path / "linked", name) == tmp_path / "linked" / name  # the folder may be a link itself

    @pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../../a", "/a", "link/a", "link/a/b", "a/..", "a\0"])
    def test_names_that_lead_out(self, tmp_path, name):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "link").symlink_to("..")
        with pytest.raises(DataError, match="outside"):
            inside(tmp_path / "out", name)

    def test_a_folder_whose_name_begins_alike_is_another(self, tmp_path):
        with pytest.raises(DataError, match="outside"):
            inside(tmp_path / "out", f"{tmp_path}/out2/a")

    def test_folders_that_are_not_there_yet(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert inside(Path("out"), "a/b") == Path("out/a/b")
        with pytest.raises(DataError):
            inside(Path("out"), "../b")
        assert inside(Path("/"), "b") == Path("/b")

    def test_in_a_store(self, store):
        assert inside(store, "a/b").as_posix().endswith("store/a/b")
        for name in ("../a", "a/../../b", ".."):
            with pytest.raises(DataError, match="outside"):
                inside(store, name)


class TestFiles:
    def test_images_below_are_those_that_a_disk_shows(self, tmp_path, store):
        names = ("b.PNG", "x/a.jpeg", "x/y/c.tiff", ".hidden.png", ".ipynb_checkpoints/b.png", "x/._a.jpg", "x/n.txt")
        for name in names:
            write_atomically(tmp_path / name, b"x")
        there = put(tmp_path, store / "set")
        put(tmp_path, store / "settings")  # a neighbour whose name begins alike
        found = [path.relative_to(there).as_posix() for path in list_images(there)]
        assert found == [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)] and len(found) == 3
        assert list_images(store / "none") == []

    def test_remove_tree(self, store):
        write_atomically(store / "a/b/c.txt", b"x")
        write_atomically(store / "d.txt", b"x")
        remove_tree(store / "a")
        assert [str(path) for path in files_below(store)] == ["memory://store/d.txt"]

    def test_replace_tree(self, tmp_path, monkeypatch):
        def make(name):
            write_atomically(tmp_path / name / "file", name.encode())
            return tmp_path / name

        def be_killed(folder):
            raise KeyboardInterrupt

        replace_tree(make("first"), tmp_path / "place")
        assert (tmp_path / "place/file").read_text() == "first"
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", be_killed)
            with pytest.raises(KeyboardInterrupt):
                replace_tree(make("second"), tmp_path / "place")
        assert (tmp_path / "place/file").read_text() == "second"
        replace_tree(make("third"), tmp_path / "place")
        assert (tmp_path / "place/file").read_text() == "third"
        (tmp_path / "place").rename(tmp_path / "elsewhere")
        (tmp_path / "place").symlink_to("nowhere")  # leads nowhere
        replace_tree(tmp_path / "elsewhere", tmp_path / "place")
        assert (tmp_path / "place/file").read_text() == "third"
        assert [path.name for path in tmp_path.iterdir()] == ["place"]

    def test_a_table_that_breaks_off_leaves_nothing(self, store):
        def rows():
            yield ("1",)
            raise RuntimeError

        with pytest.raises(RuntimeError):
            write_table(store / "t.csv", ("a",), rows())
        assert files_below(store) == []

    def test_what_a_store_raises_is_reported(self, store):
        with pytest.raises(DataError, match=r"^memory://store: cannot be reached \(no key\). Check"), reaching(store):
            raise RuntimeError("no key")
        with pytest.raises(RuntimeError), reaching(Path("local")):
            raise RuntimeError("a mistake of ours")


@pytest.mark.parametrize("make", [make_cityscapes, make_voc], ids=["cityscapes", "pascal_voc"])
def test_a_dataset_is_the_same_in_a_store(make, tmp_path, store):
    local = open_dataset(make(tmp_path / "data"))
    remote = open_dataset(put(tmp_path / "data", store / "data"))
    assert remote.layout == local.layout in LAYOUTS

    def listed(dataset):
        return [
            (i.image_id, i.split, *(p and p.relative_to(dataset.root).as_posix() for p in
             (i.image_path, i.mask_path, i.instance_path)))
            for i in dataset.items
        ]  # fmt: skip

    assert listed(remote) == listed(local)


def test_missing_folder_in_a_store(store):
    with pytest.raises(DataError, match=r"^memory://store/none: no such folder"):
        open_dataset(store / "none")


class TestManifest:
    @pytest.fixture
    def pair(self, tmp_path, store):
        """The same manifest on disk and in the store."""
        local = tiny_manifest(tmp_path / "tiny")
        put(tmp_path / "tiny", store / "tiny")
        return local, read_manifest(store / "tiny")

    def test_rows_marks_and_files(self, pair):
        local, remote = pair
        assert remote.rows == local.rows and remote.info == local.info
        assert dict(read_marks(remote.marks_path)) == dict(read_marks(local.marks_path))
        for row in local.rows:
            assert (read_row_image(remote, row) == read_row_image(local, row)).all()
            assert (read_row_annotation(remote, row) == read_row_annotation(local, row)).all()
        assert check_manifest(remote) == []

    def test_writes_the_same_bytes(self, pair, store):
        local, remote = pair
        write_manifest(replace(remote, path=store / "copy/manifest.csv"))
        for name in ("manifest.csv", "manifest.json"):
            assert (store / "copy" / name).read_bytes() == local.path.with_name(name).read_bytes()

    def test_parquet(self, pair, store):
        pytest.importorskip("pyarrow")
        local, _ = pair
        write_marks(store / "marks.parquet", read_marks(local.marks_path))
        assert dict(read_marks(store / "marks.parquet")) == dict(read_marks(local.marks_path))

    def test_local_manifest_of_remote_files(self, pair, tmp_path):
        _, remote = pair
        derive_manifest(remote, remote.rows, tmp_path / "subset", {"command": "subset"}).write()
        here = read_manifest(tmp_path / "subset")
        assert here.rows[0].image == "memory://store/tiny/data/images/image_0.png"
        assert np.array_equal(read_row_image(here, here.rows[0]), read_row_image(remote, remote.rows[0]))

    def test_marks_of_a_replaced_manifest_do_not_stay(self, pair, store):
        local, remote = pair
        derive_manifest(remote, remote.rows, store / "new", {"command": "subset"}).write()
        (store / "new/marks.csv").rename(store / "new/marks.parquet")  # which is read instead of marks.csv
        derive_manifest(remote, remote.rows[:1], store / "new", {"command": "subset"}).write(overwrite=True)
        expected = [marks for marks in read_marks(local.marks_path) if marks[0] == local.rows[0].image_id]
        assert list(read_marks(read_manifest(store / "new").marks_path)) == expected
        remote.marks_path.unlink()
        derive_manifest(remote, remote.rows, store / "new", {"command": "subset"}).write(overwrite=True)
        assert not read_manifest(store / "new").marks_path.exists()

    def test_missing_files(self, pair, store):
        _, remote = pair
        with pytest.raises(ManifestError, match=r"^memory://store/none.csv: no such manifest"):
            read_manifest(store / "none.csv")
        with pytest.raises(DataError, match=r"^memory://store/tiny/none.png: no such file.$"):
            read_image(remote.resolve("none.png"))
        remote.resolve(remote.rows[0].image).unlink()
        assert [problem.kind for problem in check_manifest(remote)] == ["missing"]
