"""Where networks come from: an identifier becomes a module, its labels and its framing."""

from .fetching import fetch
from .identifiers import Identifier, parse
from .origin import Source
from .suggested import Suggestion, suggested

__all__ = ["Identifier", "Source", "Suggestion", "fetch", "parse", "suggested"]
