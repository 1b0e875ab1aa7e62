"""Outputs of trained networks: exports, tables and figures."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

ExportFormat = Literal["onnx", "torchscript"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

TableFormat = Literal["markdown", "latex", "csv", "json"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)

#: Tables by name: the function of ``agmm.report.tables``, or of ``agmm.report.budget``, that makes each.
TABLES: dict[str, str] = {
    "per-class": "per_class_table",
    "ablation": "ablation_table",
    "lambda": "lambda_table",
    "budget": "budget_table",
}


class FigureKind(NamedTuple):
    """Images that a figure shows by default."""

    split: str
    num_images: int


#: Runs that the t-SNE figure shows at most.
MAX_TSNE_RUNS = 3

#: Figures by name; None where a figure shows no images.
FIGURES: dict[str, FigureKind | None] = {
    "gmm-predictions": FigureKind("train", 4),
    "training-curves": None,
    "tsne": FigureKind("val", 30),
    "qualitative": FigureKind("val", 4),
    "budget": None,
}
