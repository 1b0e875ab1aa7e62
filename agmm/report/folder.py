"""A folder with the page, and its figures as PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from agmm.report.figures import draw_gmm_predictions, draw_qualitative, draw_training_curves
from agmm.report.page import PageSummary, write_page
from agmm.report.runs import Run
from agmm.report.style import SUFFIXES, check_figure
from agmm.report.tsne import MAX_RUNS, draw_tsne
from data_manifests import DataError, Manifest, ManifestRow

PAGE_NAME = "index.html"
FIGURES_NAME = "figures"

# Pictures in a figure, and pictures that t-SNE takes its pixels from.
_NUM_SHOWN, _NUM_SAMPLED = 4, 30


@dataclass(frozen=True)
class ReportSummary:
    """What came of it.

    Args:
        page: The page.
        figures: Files of the figures.
        problems: What could not be shown or drawn, and why, one line each.
    """

    page: PageSummary
    figures: tuple[Path, ...]
    problems: tuple[str, ...]


def write_report(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    out_dir: Path,
    *,
    split: str = "val",
    protocol: str | None = None,
    thumbnail_size: int = 640,
    device: torch.device | str = "cpu",
    on_image: Callable[[], None] = lambda: None,
) -> ReportSummary:
    """Write ``index.html`` and ``figures/``.

    Args:
        runs: What to show side by side, from ``read_runs``.
        manifest: Where the pictures come from.
        rows: The pictures of the page; the figures show a few of them.
        out_dir: The folder.
        split: Whose scores to show.
        protocol: Start of the protocol's name; the newest scores if not given.
        thumbnail_size: Longer side of the page's pictures, in pixels.
        device: Where to compute.
        on_image: Called after each picture of each run of the page.

    Raises:
        DataError: If the manifest has other classes than the runs, or a package of the extra ``figures`` is missing.
            A figure that cannot be drawn is no error but one of the problems.
    """
    check_figure()
    masked = [row for row in rows if row.full_mask]
    scored = [row for row in masked if row.split == split] or masked
    annotated = [row for row in masked if row.annotation]
    draw: dict[str, Callable[[Sequence[Path]], None]] = {
        "training-curves": lambda paths: draw_training_curves(runs, paths),
        "gmm-predictions": lambda paths: draw_gmm_predictions(runs, manifest, _few(annotated), paths, device=device),
        "qualitative": lambda paths: draw_qualitative(runs, manifest, _few(scored), paths, device=device),
        "tsne": lambda paths: draw_tsne(runs, manifest, _few(scored, _NUM_SAMPLED), paths, device=device),
    }
    if not annotated:
        del draw["gmm-predictions"]
    if not masked or len(runs) > MAX_RUNS:
        del draw["tsne"]
    if not scored:
        del draw["qualitative"]
    written, problems = [], []
    for name, make in draw.items():
        paths = [out_dir / FIGURES_NAME / f"{name}{suffix}" for suffix in SUFFIXES]
        try:
            make(paths)
            written += paths
        except DataError as error:
            problems.append(f"figure {name}: {error}")
    page = write_page(
        runs, manifest, rows, out_dir / PAGE_NAME, split=split, protocol=protocol, thumbnail_size=thumbnail_size,
        device=device, figures=[f"{FIGURES_NAME}/{path.name}" for path in written], on_image=on_image,
    )  # fmt: skip
    return ReportSummary(page, tuple(written), (*page.problems, *problems))


def _few(rows: Sequence[ManifestRow], number: int = _NUM_SHOWN) -> list[ManifestRow]:
    number = min(number, len(rows))
    return [rows[i * len(rows) // number] for i in range(number)]
