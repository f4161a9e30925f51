"""How far a map can be trusted: what covering its warm and its cold cells does, beside maps drawn at random."""

from .plan import PLAN, Plan, seconds_per_forward
from .scorecard import Scorecard, grid, judge
from .statistics import cell_means, coldest_first, gini, share_of_area, spearman

__all__ = [
    "PLAN",
    "Plan",
    "Scorecard",
    "cell_means",
    "coldest_first",
    "gini",
    "grid",
    "judge",
    "seconds_per_forward",
    "share_of_area",
    "spearman",
]
