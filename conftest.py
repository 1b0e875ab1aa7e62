"""Skips tests that need a package of an absent extra, and names it; switches off the time limits of Hypothesis."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

# No test measures time: a busy machine takes seconds to draw an example.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")

# A shell starts background jobs with SIGINT ignored, and children inherit that: commands under test would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Packages by extra, which a core installation lacks.
_EXTRAS = {
    "train": ("torch", "torchvision", "timm", "safetensors"), "tensorboard": ("tensorboard",), "wandb": ("wandb",),
    "mlflow": ("mlflow",), "figures": ("jinja2", "matplotlib", "sklearn"), "metrics": ("torchmetrics",),
    "parquet": ("pyarrow",), "export": ("onnx", "onnxruntime"), "crf": ("pydensecrf",), "hdf5": ("h5py",),
    "dask": ("distributed",), "s3": ("s3fs",), "geo": ("rasterio",), "medical": ("nibabel",),
}  # fmt: skip
#: Packages of no extra, with which tests read the results of others.
_OTHERS = ("pandas", "pycocotools", "datasets")
_ABSENT = [name for name in (*sum(_EXTRAS.values(), ()), *_OTHERS) if find_spec(name) is None]
_LACKING = [extra for extra, names in _EXTRAS.items() if any(name in _ABSENT for name in names)]
#: An import that fails, or a command that says what to install.
_NEEDED = re.compile(
    rf"No module named '({'|'.join(_ABSENT)})[.']|pip install ['\"]?(sparsekit[\w-]*\[(?:{'|'.join(_LACKING)})\])"
)


def _skip_what_is_absent(report: pytest.CollectReport | pytest.TestReport, path: object) -> None:
    if not (_ABSENT and report.failed):
        return
    # The error alone: the code shown around it may name any package.
    crash = getattr(report.longrepr, "reprcrash", None)
    if needed := _NEEDED.search(crash.message if crash else str(report.longrepr)):
        report.outcome = "skipped"
        report.longrepr = (str(path), 0, f"Skipped: needs {needed[1] or needed[2]}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Pass over modules that cannot be imported."""
    report = yield
    _skip_what_is_absent(report, collector.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Pass over tests that need more than their module does."""
    report = yield
    _skip_what_is_absent(report, item.path)
    return report
