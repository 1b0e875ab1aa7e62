"""Export a run as a single ONNX or TorchScript file."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agmm.config.outputs import ExportFormat
from agmm.errors import TrainingError
from agmm.models.network import SegmentationModel
from agmm.requirements import require_package
from agmm.runs.checkpoint import load_run
from agmm.runs.files import require_utf8, require_writable
from data_manifests.files.atomic import atomic_path, write_atomically
from data_manifests.files.paths import as_path

SUFFIXES: dict[ExportFormat, str] = {"onnx": ".onnx", "torchscript": ".pt"}

_OPSET = 17
_AXES = {0: "batch", 2: "height", 3: "width"}


@dataclass(frozen=True)
class ExportReport:
    """Result of ``export_run``.

    Args:
        path: The network; ``PATH.json`` beside it describes input, output and classes.
        any_size: Whether it accepts images of any size; otherwise only ``size``.
        size: Height and width used for tracing.
        max_difference: Largest absolute difference of its logits from the original's, on random images; None if
            onnxruntime is not installed to run the file.
    """

    path: Path
    any_size: bool
    size: tuple[int, int]
    max_difference: float | None


class _LogitsOnly(nn.Module):
    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images).logits
        return logits


def export_run(
    run: str | Path, format_: ExportFormat, *, path: str | Path | None = None, size: tuple[int, int] | None = None
) -> ExportReport:
    """Write the network of a run to one file, and verify it against the original.

    The file maps ``images`` (RGB in 0..1, float32, shape (N, 3, H, W)) to ``logits`` (float32, shape
    (N, num_classes, H, W)); normalisation is included. Convolutional networks accept any size and batch; transformers
    are exported for one size and a batch of one, as tracing fixes their windows and position embeddings.

    Args:
        run: Run folder, or a weights file.
        format_: ``onnx`` or ``torchscript``.
        path: Output file; None means ``model.onnx`` or ``model.pt`` beside the weights.
        size: Height and width for tracing; None means the training crop size.

    Raises:
        DataError: If the run cannot be loaded, the format cannot express it, the file's results differ, its path is
            not UTF-8, or its folder cannot be written to.
        ValueError: If the format is unknown or the size is not positive.
    """
    if format_ not in SUFFIXES:
        raise ValueError(f"Unknown format '{format_}'. Choose from: {', '.join(SUFFIXES)}.")
    loaded = load_run(run)
    height, width = size or tuple(loaded.info.config.crop_size)
    if min(height, width) < 1:
        raise ValueError(f"size must be a height and a width of at least 1, got {height} {width}.")
    path = loaded.path.with_name(f"model{SUFFIXES[format_]}") if path is None else as_path(path)
    require_utf8(path, "PyTorch")
    require_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    network, any_size = _LogitsOnly(loaded.model).eval(), loaded.model.encoder.dilated
    channels = loaded.info.model.in_channels
    example = torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))
    with atomic_path(path) as partial:
        _export(network, example, partial, format_, any_size)
        probes = [example, torch.rand(2, channels, height + 5, width + 9)] if any_size else [example]
        max_difference = _max_difference(network, partial, format_, probes)
        if max_difference is not None and max_difference > 1e-3:
            raise TrainingError(
                f"{path}: the exported network's logits differ from the original's by {max_difference:.3g}; "
                "nothing was written. Try the other format."
            )
    num_classes, bands = loaded.label_space.num_classes, loaded.info.config.bands
    meaning = f"bands {', '.join(map(str, bands))} in 0..1, float32" if bands else "RGB in 0..1, float32"
    description = {
        "input": {"name": "images", "meaning": meaning, "shape": ["N", channels, "H", "W"]},
        "output": {"name": "logits", "meaning": "argmax is the train id", "shape": ["N", num_classes, "H", "W"]},
        "size": "any" if any_size else [height, width],
        "label_space": loaded.label_space.to_dict(),
    }  # fmt: skip
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path.with_name(path.name + ".json"), text.encode())
    return ExportReport(path, any_size, (height, width), max_difference)


def _export(network: nn.Module, example: Tensor, path: Path, format_: ExportFormat, any_size: bool) -> None:
    if format_ == "onnx":
        install = "pip install onnx onnxruntime (which checks the file)"
        require_package("onnx", "Writing ONNX needs onnx", install)
    # Both exporters trace. Torch recommends their successors; the one for ONNX takes ten times as long, needs another
    # package, and writes the paths of this machine's source files into every node.
    with warnings.catch_warnings(), torch.no_grad(), _without_printed_graphs():
        warnings.simplefilter("ignore")
        try:
            if format_ == "torchscript":
                traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
                path.write_bytes(traced.save_to_buffer())  # to a full disk, torch would end the process
            else:
                torch.onnx.export(
                    network, (example,), str(path), dynamo=False, opset_version=_OPSET,
                    input_names=["images"], output_names=["logits"],
                    dynamic_axes={"images": _AXES, "logits": _AXES} if any_size else None,
                )  # fmt: skip
        except RuntimeError as error:
            first_line = str(error).strip().splitlines()[0][:200]
            raise TrainingError(
                f"This network cannot be exported as {format_} ({first_line}). Try the other format."
            ) from error


@contextmanager
def _without_printed_graphs() -> Iterator[None]:
    """Keep torch from dumping hundreds of lines on stdout for a network that ONNX cannot express."""
    # C++ prints it, bypassing sys.stdout, and torch 2.11 ignores the option against it.
    sys.stdout.flush()
    try:
        stdout = os.dup(1)
    except OSError:  # stdout is closed: nothing to silence
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _max_difference(network: nn.Module, path: Path, format_: ExportFormat, probes: list[Tensor]) -> float | None:
    if format_ == "torchscript":
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # TorchScript's deprecation
            exported = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
            return max(float((exported(images) - network(images)).abs().max()) for images in probes)
    try:
        import onnxruntime
    except ImportError:
        return None
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        return max(
            float(np.abs(session.run(None, {"images": images.numpy()})[0] - network(images).numpy()).max())
            for images in probes
        )
