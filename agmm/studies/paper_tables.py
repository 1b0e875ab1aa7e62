"""The ablations of the paper's supplement, and the runs behind its figures 2 and 3, as studies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agmm.config.training import TrainConfig
from agmm.studies.study import Setting, Study


def require_agmm(config: TrainConfig) -> None:
    """Check that a table or figure of the paper, which compares settings of AGMM, starts from that loss.

    Raises:
        ValueError: If the loss is another one.
    """
    if config.loss_kind != "agmm":
        raise ValueError(
            f"The paper's tables and figures compare settings of AGMM, but loss_kind is {config.loss_kind}: add "
            "--loss-kind agmm."
        )


def _terms(*used: str) -> dict[str, Any]:
    return {"loss": {f"use_{term}": term in used for term in ("self", "spar", "con")}}


_SEG = {"loss": {**_terms()["loss"], "absence_weight": 0.0}}


_ALL = _terms("self", "spar", "con")


#: The supplement's ablations, by the table's number.
TABLES: dict[int, Study] = {
    1: Study(
        "Weight of the mixture's terms, lambda (supplement, table 1)",
        tuple(
            Setting(f"lambda = {value}", {"lambda": value}, published={"point": point, "scribble": scribble})
            for value, point, scribble in (
                (0.1, 67.5, 74.0), (0.2, 68.1, 74.8), (0.5, 68.6, 75.9), (0.8, 69.2, 76.3), (1.0, 69.6, 76.4),
                (1.5, 69.3, 76.2),
            )
        ),
        published_in="pascal_voc",
        published_images=1449,
    ),
    2: Study(
        "Contribution of each term (supplement, table 2)",
        tuple(
            Setting(name, changes, stages, published=dict(zip(("20", "50", "100"), scores, strict=True)))
            for name, changes, stages, scores in (
                ("L_seg", _SEG, 1, (53.5, 60.3, 64.2)),
                ("L_seg, MT", _SEG, 2, (59.7, 65.2, 67.8)),
                ("L_seg + L_self", _terms("self"), 1, (59.2, 66.4, 68.3)),
                ("L_seg + L_self + L_spar", _terms("self", "spar"), 1, (60.7, 67.1, 70.2)),
                ("L_seg + L_self + L_spar + L_con", _ALL, 1, (62.1, 68.3, 71.6)),
                ("L_seg + L_self + L_spar + L_con, MT", _ALL, 2, (66.5, 71.7, 73.4)),
            )
        ),
        baseline="L_seg",
        published_in="cityscapes",
        published_images=500,
    ),
}  # fmt: skip

_ROWS = {setting.name: setting for setting in TABLES[2].settings}
_SEG_ROW, _AGMM_ROW = _ROWS["L_seg"], _ROWS["L_seg + L_self + L_spar + L_con"]


def _of_figure(title: str, *settings: Setting) -> Study:
    return replace(TABLES[2], title=title, settings=settings)


#: The runs of the supplement's figures, by the name that ``agmm reproduce`` takes.
FIGURES: dict[str, Study] = {
    "figure-2": _of_figure(
        "Training-set mIoU of segmentation and mixture (supplement, figure 2)",
        *(replace(row, changes={**row.changes, "gmm_images": 50}) for row in (_SEG_ROW, _AGMM_ROW)),
    ),
    "figure-3": _of_figure(
        "Features with and without the gradient into the mixture (supplement, figure 3)",
        _SEG_ROW,
        Setting("AGMM, stop gradient", {"loss": {**_ALL["loss"], "stop_gradient": True}}),
        _AGMM_ROW,
    ),
}
