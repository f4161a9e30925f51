"""One picture through one network: every pass is run once, remembered and counted."""

from .attention import Query
from .passes import KEPT_SLOPES, MOST_AT_ONCE, PIXELS, PIXELS_AT_ONCE, Billed, Spent, answering
from .target import Target
from .trace import Asked, Second, Trace

__all__ = [
    "KEPT_SLOPES",
    "MOST_AT_ONCE",
    "PIXELS",
    "PIXELS_AT_ONCE",
    "Asked",
    "Billed",
    "Query",
    "Second",
    "Spent",
    "Target",
    "Trace",
    "answering",
]
