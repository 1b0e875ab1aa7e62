from __future__ import annotations

import pytest

from agmm.report.published import official_images, published_iou
from agmm.studies.paper_tables import TABLES
from data_manifests import LabelSpace, known_label_space

ALL = [
    ("cityscapes", "20"),
    ("cityscapes", "50"),
    ("cityscapes", "100"),
    ("pascal_voc", "point"),
    ("pascal_voc", "scribble"),
]


@pytest.mark.parametrize(("space", "annotation"), ALL)
def test_the_mean_of_the_classes_is_the_published_mean(space: str, annotation: str) -> None:
    scores = dict(published_iou(known_label_space(space), annotation))
    mean = scores.pop("mIoU")
    assert tuple(scores) == known_label_space(space).class_names
    assert sum(scores.values()) / len(scores) == pytest.approx(mean, abs=0.1)  # both are rounded


@pytest.mark.parametrize(("space", "annotation"), ALL)
def test_the_means_are_those_of_the_other_tables(space: str, annotation: str) -> None:
    table, name = (2, "L_seg + L_self + L_spar + L_con") if space == "cityscapes" else (1, "lambda = 1.0")
    setting = next(s for s in TABLES[table].settings if s.name == name)
    assert published_iou(known_label_space(space), annotation)["mIoU"] == setting.published[annotation]
    assert TABLES[table].is_published_for(known_label_space(space), official_images(known_label_space(space)) or 0)


def test_nothing_is_published_for_other_data() -> None:
    cityscapes = known_label_space("cityscapes")
    assert not published_iou(cityscapes, "30") and not published_iou(cityscapes, "")
    assert not published_iou(known_label_space("camvid"), "20")
    fewer = LabelSpace("cityscapes", cityscapes.classes[:7])
    assert not published_iou(fewer, "20")
