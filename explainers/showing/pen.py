"""What drawings share: colors, sizes, type, and how a text is cut to fit."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw, ImageFont

GAP, LINE = 12, 18
WIDE, HIGH = 720, 420
GROUND, INK, SOFT, RULE = "#ffffff", "#191b1a", "#5f6562", "#e2e5e2"
COLORS = ("#0b7559", "#c4622d", "#3c6fb0", "#8a5aa8", "#a88a00", "#b0406a", "#4a8a94", "#6a6f6c", "#7a4a2a", "#2f3f8f")
"""Told apart with common color blindness; after the tenth they start anew."""
ON_DARK = (
    "#4fc9a2", "#ef8f58", "#7aa9ea", "#c196df", "#d8bd3e", "#e67ba2", "#7fc4cf", "#a3a9a6", "#c08c66", "#8b9bf0",
)  # fmt: skip
"""The same on a dark ground."""


def legend(pen: ImageDraw.ImageDraw, names: Sequence[str], x: float, y: float) -> None:
    """Names with their colors, in a row from (x, y) on; what finds no room is a sign that there is more."""
    for number, name in enumerate(names):
        width = pen.textlength(name, font(12)) + 30
        if x + width > WIDE:
            pen.text((x, y), "…", SOFT, font(12))
            return
        pen.rectangle((x, y + 3, x + 10, y + 13), COLORS[number % len(COLORS)])
        pen.text((x + 15, y), name, INK, font(12))
        x += width


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The type of all drawings."""
    return ImageFont.load_default(size)


def cut(text: str, width: int) -> str:
    """As much of a text as fits, with a sign that it was more."""
    type_ = font(12)
    if type_.getlength(text) <= width:
        return text
    while text and type_.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def counted(number: int, what: str) -> str:
    """“1 tile”, “2 tiles”."""
    return f"{number} {what}{'' if number == 1 else 's'}"
