"""Options of losses and their terms that no computation can take."""

import pytest

from agmm.config.loss import resolve_options
from agmm.config.terms import term_options


@pytest.mark.parametrize(
    ("term", "options", "message"),
    [
        ("gated_crf", {"sigma_xy": 1e300}, "sigma_xy must be"),  # whose square overflows
        ("tree_energy", {"sigma": 1e300}, "sigma must be"),
        ("absence", {"weight": 10**400}, "weight is a number of 401 digits"),
        ("absence", {"weight": float("nan")}, "weight must be"),
    ],
)
def test_huge_options_of_terms_are_refused(term: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        term_options(term, options)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("absence_weight", "much", "absence_weight must be of type float, got 'much'"),
        ("absence_weight", float("inf"), "absence_weight must be"),
        ("absence_weight", 10**400, "absence_weight is a number of 401 digits"),
        ("fixed_variance", "0.5", "fixed_variance must be of type float"),
        ("fixed_variance", float("nan"), "fixed_variance must be"),
        ("distance", [1], "distance must be of type str"),
        ("use_con", 1, "use_con must be true or false"),
    ],
)
def test_other_options_of_agmm_are_refused(option: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_options("paper", **{option: value})
