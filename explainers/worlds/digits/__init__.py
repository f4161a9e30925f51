"""Real handwritten digits, and a small network that reads them: beside the pond, the second built-in world."""

from __future__ import annotations

from .declared import WORLD
from .drawn import CLASSES, LABELS, SIDE, held_out, pictures

__all__ = ["CLASSES", "LABELS", "SIDE", "WORLD", "held_out", "pictures"]
