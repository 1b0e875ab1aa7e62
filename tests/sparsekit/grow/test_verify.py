"""Grown labels are grown again from their source, and compared."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import ManifestError, read_manifest
from data_manifests.files.masks import read_mask
from sparsekit.errors import AnnotationError
from sparsekit.grow.manifest import grow_manifest
from sparsekit.grow.settings import METHODS, GrowSettings
from sparsekit.synthesis.verify import verify_manifest
from tests.helpers.annotation_folders import voc


@pytest.fixture
def source(tmp_path):
    return voc(tmp_path)


def kinds(manifest, **options):
    return [problem.kind for problem in verify_manifest(manifest, **options)]


def edit(manifest, **settings):
    path = manifest.path.with_suffix(".json")
    data = json.loads(path.read_text())
    data["settings"] |= settings
    path.write_text(json.dumps(data))
    return read_manifest(manifest.path)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_again(source, method):
    grown = read_manifest(grow_manifest(source, GrowSettings(method)).folder)
    assert kinds(grown) == []
    result = CliRunner().invoke(main, ["verify", str(grown.path)])
    assert result.exit_code == 0 and "regenerated, all the same" in result.stdout


def test_what_differs_is_found(source):
    grown = read_manifest(grow_manifest(source).folder)
    path = grown.resolve(next(row.annotation for row in grown.rows if row.annotation))
    values = read_mask(path).copy()
    values[0, 0] = 0 if values[0, 0] else 1
    Image.fromarray(values).save(path)
    assert kinds(grown) == ["file"] == kinds(grown, workers=2)
    path.unlink()
    assert kinds(grown) == ["missing"]
    assert "annotation" in kinds(edit(grown, confidence=0.51, max_distance=90.0))


def test_what_cannot_be_verified_is_one_error(source):
    grown = read_manifest(grow_manifest(source).folder)
    result = CliRunner().invoke(main, ["verify", str(grown.path), "--dataset", "x"])
    assert result.exit_code == 2 and "leave out --dataset" in result.stderr
    for settings, message in (
        ({"method": "magic"}, "by method 'magic', which this version does not have"),
        ({"method": "superpixels", "confidence": 7}, "cannot be understood"),
        ({"confidence": "high"}, "cannot be understood"),
    ):
        with pytest.raises(AnnotationError, match=message):
            verify_manifest(edit(grown, **settings))
    edit(grown, method="superpixels", confidence=0.6)
    source.path.write_text(source.path.read_text() + "\n")
    with pytest.raises(ManifestError, match="was made from .*, which has changed since"):
        verify_manifest(read_manifest(grown.path))
    source.path.unlink()
    result = CliRunner().invoke(main, ["verify", str(grown.path)])
    assert result.exit_code == 1 and result.stderr.count("Error") == 1 and str(source.path.name) in result.stderr
