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

#: What the extras install, and `test` for reading the results of others; a core installation has none of it.
_OPTIONAL = (
    "torch", "torchvision", "timm", "safetensors", "tensorboard", "jinja2", "matplotlib", "sklearn", "pyarrow",
    "onnx", "onnxruntime", "h5py", "distributed", "s3fs", "pandas", "pycocotools", "torchmetrics", "nibabel", "wandb",
    "mlflow", "datasets",
)  # fmt: skip
_ABSENT = [name for name in _OPTIONAL if find_spec(name) is None]
#: An import that fails, or a command that says what to install.
_NEEDED = re.compile(rf"No module named '({'|'.join(_ABSENT)})[.']|pip install ['\"]?(sparsekit[\w-]*\[\w+\])")


def _skip_what_is_absent(report: pytest.CollectReport | pytest.TestReport, path: object) -> None:
    if _ABSENT and report.failed and (needed := _NEEDED.search(str(report.longrepr))):
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
