"""Prompts for Segment Anything, and its masks as an annotation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Dataset, Manifest, Mark, open_dataset, read_manifest, read_row_annotation
from sparsekit.errors import AnnotationError
from sparsekit.formats.export import export_manifest
from sparsekit.formats.import_ import ImportOptions, import_annotations
from tests.helpers.sam_masks import write_masks
from tests.sparsekit.formats.test_export_marks import CLICKS, MARKS, SHAPE, manifest_of

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    made = manifest_of(tmp_path / "m", MARKS, CLICKS)
    (tmp_path / "m/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    return made


@pytest.fixture
def dataset(manifest: Manifest, tmp_path: Path) -> Dataset:
    return open_dataset(tmp_path / "m/data")


@pytest.fixture
def folder(manifest: Manifest, tmp_path: Path) -> Path:
    return export_manifest(manifest, "sam", tmp_path / "to_sam", lossy=True).folder


def prompts_of(folder: Path, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / f"prompts/{name}.json").read_text())
    return data


def test_prompts_of_each_kind_of_mark(folder: Path) -> None:
    data = prompts_of(folder, "image_0")
    assert (data["height"], data["width"]) == SHAPE and (folder / data["image"]).is_file()
    pad = [-10, -10]
    assert data["points"]["input_points"] == [
        [
            [[3, 3], [12, 6], [20, 4]],
            [[0, 0], pad, pad],
            [[29, 19], pad, pad],
            [[8, 5], [8, 15], pad],
        ]
    ]
    assert data["points"]["input_labels"] == [[[1, 1, 1], [1, -10, -10], [1, -10, -10], [1, 1, -10]]]
    assert data["boxes"]["input_boxes"] == [[[20, 12, 28, 18], [12, 10, 17, 16], [22, 0, 28, 8]]]
    assert data["classes"] == {
        "points": ["class_2", "class_0", "class_1", "class_1"], "boxes": ["class_2", "class_0", "class_1"],
    }  # fmt: skip
    clicks = prompts_of(folder, "image_1")
    assert clicks["points"] == {"input_points": [[[[0, 0]], [[29, 19]]]], "input_labels": [[[1], [1]]]}
    assert "boxes" not in clicks and clicks["classes"] == {"points": ["class_0", "class_1"]}


def test_what_is_lost_is_said(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="1 block as boxes; 1 polygon as boxes; 2 strokes as points"):
        export_manifest(manifest, "sam", tmp_path / "out")
    only = manifest_of(tmp_path / "clicks", CLICKS, (Mark("box", 1, 2, 3, ((2, 3), (5, 9))),))
    assert export_manifest(only, "sam", tmp_path / "out").losses == ()


def by_the_book(data: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Pixel by pixel: the class of a point there, else of the mask with the highest score, else nothing."""
    label_map = np.full(SHAPE, 255)
    candidates = []
    for kind, names in data["classes"].items():
        for name, masks, scores in zip(names, arrays[f"{kind}_masks"], arrays[f"{kind}_scores"], strict=True):
            best = list(scores).index(max(scores))
            candidates.append((float(scores[best]), masks[best], int(name[-1])))
    for row, col in np.ndindex(SHAPE):
        here = [(score, class_id) for score, mask, class_id in candidates if mask[row, col]]
        if here:
            highest = max(score for score, _ in here)
            label_map[row, col] = next(class_id for score, class_id in here if score == highest)
    points, labels = data["points"]["input_points"][0], data["points"]["input_labels"][0]
    named = list(zip(data["classes"]["points"], points, labels, strict=True))
    for name, of_prompt, kinds in reversed(named):
        for (x, y), kind in zip(of_prompt, kinds, strict=True):
            if kind == 1:
                label_map[y, x] = int(name[-1])
    return label_map


@pytest.mark.parametrize("num_masks", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_masks_become_an_annotation(folder: Path, dataset: Dataset, tmp_path: Path, seed: int, num_masks: int) -> None:
    written = write_masks(folder, seed, num_masks)
    summary = import_annotations(folder, "sam", dataset, tmp_path / "back")
    assert (summary.num_images, summary.num_marks, summary.notes) == (2, None, ())
    made = read_manifest(summary.folder)
    assert made.info.settings["format"] == "sam"
    for row in made.rows:
        expected = by_the_book(prompts_of(folder, row.image_id), written[row.image_id])
        np.testing.assert_array_equal(read_row_annotation(made, row), expected)


def test_one_mask_for_each_prompt_may_lack_its_dimension(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    arrays = write_masks(folder, 0, 1)
    import_annotations(folder, "sam", dataset, tmp_path / "a")
    for name, found in arrays.items():
        np.savez(folder / f"masks/{name}.npz", **{key: array[:, 0] for key, array in found.items()})
    import_annotations(folder, "sam", dataset, tmp_path / "b")
    for row in read_manifest(tmp_path / "a").rows:
        assert (tmp_path / "a" / row.annotation).read_bytes() == (tmp_path / "b" / row.annotation).read_bytes()


def test_classes_left_out_and_images_without_masks(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    write_masks(folder)
    (folder / "masks/image_1.npz").unlink()
    options = ImportOptions(class_names={"class_0": "", "class_1": "class_2"})
    summary = import_annotations(folder, "sam", dataset, tmp_path / "back", options=options)
    assert summary.num_images == 1 and "images without masks: left out (1)" in summary.notes
    (row,) = read_manifest(summary.folder).rows
    assert row.classes_labelled == (2,)


def replaced(folder: Path, **arrays: Any) -> None:
    path = folder / "masks/image_1.npz"
    with np.load(path) as found:
        data = {name: array for name, array in {**found, **arrays}.items() if array is not None}
    np.savez(path, **data)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points_masks": None}, "points_masks is missing"),
        ({"points_scores": None}, "points_scores is missing"),
        ({"points_masks": np.zeros((2, 3, 5, 5), bool)}, r"points_masks.npy must be masks of shape \(2, 3, 20, 30\)"),
        ({"points_masks": np.zeros((2, 3, *SHAPE))}, "must be masks .* got float64"),
        ({"points_scores": np.zeros((3, 3))}, "points_scores.npy must be numbers of shape"),
        ({"points_scores": np.full((2, 3), np.nan)}, "scores that are no numbers"),
        ({"points_scores": np.array([{}] * 2)}, "plain array"),
    ],
)
def test_masks_of_something_else(
    folder: Path, dataset: Dataset, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    write_masks(folder)
    replaced(folder, **arrays)
    with pytest.raises(AnnotationError, match=message) as raised:
        import_annotations(folder, "sam", dataset, tmp_path / "back")
    assert "image_1.npz" in str(raised.value) and not (tmp_path / "back").exists()


def test_damaged_and_missing_files(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    def fails(message: str) -> None:
        with pytest.raises(AnnotationError, match=message):
            import_annotations(folder, "sam", dataset, tmp_path / "back")

    fails(r"expected masks/, one NAME.npz for each of prompts/, found none")
    write_masks(folder)
    path = folder / "masks/image_0.npz"
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:100], whole[:-30], whole[:60] + bytes(40) + whole[100:]):
        path.write_bytes(content)
        fails("image_0.npz: not masks and scores of SAM")
    path.write_bytes(whole)
    prompts = folder / "prompts/image_0.json"
    text = prompts.read_text()
    for wrong in ("{}", "[]", text.replace('"height": 20', '"height": 21'), text.replace("[[3, 3]", "[[300, 3]")):
        prompts.write_text(wrong)
        fails("image_0.json")


def test_a_prompt_without_points_draws_none(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    write_masks(folder)
    data = prompts_of(folder, "image_0")
    data["points"]["input_labels"][0][0] = [-10] * len(data["points"]["input_labels"][0][0])
    (folder / "prompts/image_0.json").write_text(json.dumps(data))
    assert import_annotations(folder, "sam", dataset, tmp_path / "back").num_images == 2


#: A network small enough for a test, under the names that a reader would download.
TINY = """
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

torch.manual_seed(0)
config = SamConfig(
    vision_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "mlp_dim": 16,
                   "patch_size": 16, "output_channels": 16, "window_size": 2, "global_attn_indexes": [0],
                   "num_pos_feats": 8},
    prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
                           "image_embedding_size": 4},
    mask_decoder_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16,
                         "iou_head_depth": 2, "iou_head_hidden_dim": 16},
)
SamModel.from_pretrained = lambda name: SamModel(config).eval()
small = SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
SamProcessor.from_pretrained = lambda name: SamProcessor(small)
"""


def test_the_code_of_the_page_takes_the_prompts_and_makes_the_masks(
    folder: Path, dataset: Dataset, tmp_path: Path
) -> None:
    """The processors and the model of Hugging Face, with random weights."""
    pytest.importorskip("transformers", reason="needs transformers, which no extra installs")
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "formats.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "import torch\n" in code
    before, after = code.split("\nmodel = ")
    (tmp_path / "script.py").write_text(f"{before}\n{TINY}\nmodel = {after}", encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "masks/image_0.npz") as arrays:
        assert arrays["points_masks"].shape == (4, 3, *SHAPE) and arrays["boxes_scores"].shape == (3, 3)
    words = ["import", folder, "--from", "sam", "--dataset", dataset.root, "--out", tmp_path / "back"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert len(read_manifest(tmp_path / "back").rows) == 2
