"""The pictures: 1,797 digits written by 13 people, as scikit-learn carries them, so that nothing is fetched."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
"""The bitmaps were 32 × 32 before they were counted down to 8 × 8 with 17 grays; they are brought back to that."""

MEAN, STD = (0.3, 0.3, 0.3), (0.35, 0.35, 0.35)
"""Of the training pictures: a third of a digit is ink."""

CLASSES = 10
LABELS = tuple(str(digit) for digit in range(CLASSES))

_DARKEST = 16
_HELD_OUT = 450  # the last of them: pictures lie in the order of their writers, so these hands were hardly seen


@cache
def pictures() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Every digit (1797, 32, 32, 3), light on dark, and what it is (1797,); both read-only.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (CC BY 4.0); the test part.
    """
    from sklearn.datasets import load_digits  # takes a second, and only those wait who ask for digits

    counted = load_digits()
    small = np.round(counted.images * (255 / _DARKEST)).astype(np.uint8)  # (1797, 8, 8)
    large = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in small]
    pixels = np.repeat(np.stack(large)[..., None], 3, axis=3)
    labels = counted.target.astype(np.int64)
    pixels.flags.writeable = labels.flags.writeable = False
    return pixels, labels


def held_out() -> NDArray[np.bool_]:
    """Which of them no network was trained on (1797,)."""
    pixels, _ = pictures()
    return np.arange(len(pixels)) >= len(pixels) - _HELD_OUT
