"""Where networks come from: an identifier becomes a module, its labels and its framing."""

from .fetching import fetch
from .identifiers import HERE, Identifier, parse
from .origin import Source
from .packaged import SCHEME
from .suggested import Suggestion, suggested

__all__ = ["HERE", "SCHEME", "Identifier", "Source", "Suggestion", "fetch", "parse", "suggested"]
