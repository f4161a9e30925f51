"""Pictures as they come in, and as a network is fed with them."""

from .framing import IMAGENET_MEAN, IMAGENET_STD, Framing
from .laying import laid
from .picture import (
    BYTES_LIMIT,
    FIRST_FRAME,
    FROM_16_BITS,
    ON_WHITE,
    PIXELS_LIMIT,
    SIDE_LIMIT,
    TO_SRGB,
    Picture,
    PictureSource,
)

__all__ = [
    "BYTES_LIMIT",
    "FIRST_FRAME",
    "FROM_16_BITS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ON_WHITE",
    "PIXELS_LIMIT",
    "SIDE_LIMIT",
    "TO_SRGB",
    "Framing",
    "Picture",
    "PictureSource",
    "laid",
]
