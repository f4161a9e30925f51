"""How far a map can be trusted: what covering its warm and its cold cells does, beside maps drawn at random."""

from .scorecard import (
    COARSEST,
    PLANS,
    Plan,
    Scorecard,
    cell_means,
    coldest_first,
    gini,
    grid,
    judge,
    plan_for,
    seconds_per_forward,
    share_of_area,
    spearman,
)

__all__ = [
    "COARSEST",
    "PLANS",
    "Plan",
    "Scorecard",
    "cell_means",
    "coldest_first",
    "gini",
    "grid",
    "judge",
    "plan_for",
    "seconds_per_forward",
    "share_of_area",
    "spearman",
]
