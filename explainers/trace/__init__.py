"""One picture through one network: every pass is run once, remembered and counted."""

from .trace import KEPT_SLOPES, MOST_AT_ONCE, PIXELS, PIXELS_AT_ONCE, Asked, Query, Second, Spent, Target, Trace

__all__ = [
    "KEPT_SLOPES",
    "MOST_AT_ONCE",
    "PIXELS",
    "PIXELS_AT_ONCE",
    "Asked",
    "Query",
    "Second",
    "Spent",
    "Target",
    "Trace",
]
