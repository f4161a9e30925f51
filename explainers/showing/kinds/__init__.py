"""A painter for each kind of result, in a file of the kind's name: `drawn` and `in_words`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from PIL import Image

from ...pictures import Framing, Picture
from ...results import Result
from ..render import PaletteName


def drawn(
    result: Result, source: Picture | None, framing: Framing, *, colors: PaletteName | None = None
) -> Image.Image:
    """A result that is not a heat, as a picture with its captions."""
    picture: Image.Image = _painter(result).drawn(result, source, framing, colors)
    return picture


def in_words(result: Result) -> str:
    """What a result shows, in a sentence, for those who cannot see it."""
    sentence: str = _painter(result).in_words(result)
    return sentence


# --- private ---------------------------------------------------------------------------------------------------------


def _painter(result: Result) -> Any:
    return import_module(f".{result.kind}", __name__)
