"""The vocabulary of tensors: their shapes, one picture at a time, so no batch axis; and their precision."""

import torch
from jaxtyping import Float
from torch import Tensor

Pixels = Float[Tensor, "colors height width"]
"""RGB in [0, 1], or gray, or bands, as framed for the network, before its own normalization."""

Maps = Float[Tensor, "channels height width"]
"""What one point of the network puts out, as channels over its grid; prefix tokens dropped."""

Slopes = Float[Tensor, "channels height width"]
"""The gradient of the score with respect to `Maps`: score units per unit of activation."""

Heat = Float[Tensor, "height width"]
"""An attribution for each cell of a grid, or for each pixel."""

Logits = Float[Tensor, "classes"]
"""One number for each class, before any softmax."""

Batch = Float[Tensor, "pictures colors height width"]
"""Several pictures as framed for the network, in [0, 1]: variants of one picture, not a stranger's."""

MapsBatch = Float[Tensor, "pictures channels height width"]
"""Several versions of the maps of one picture."""

Scores = Float[Tensor, "pictures"]
"""The score in question, for each of several pictures."""


def full(tensor: Tensor) -> Tensor:
    """The same numbers in single precision at least: in half, sums of them would go wrong."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
