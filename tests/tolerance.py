"""How far rounding may carry two ways to the same number apart: from the arithmetic, never from what a run showed."""

import numpy as np
import torch


def rounding(terms, magnitude=1.0, dtype=torch.float32):
    """What `terms` operations, one on the other, can be off by at numbers no larger than `magnitude` (any array).

    An operation rounds by half an eps of its result at most, and the errors add up; both sides of a comparison may
    round so, and in another order: a whole eps for each term. For a sum, `magnitude` bounds the sum of sizes.
    """
    return terms * float(np.abs(_double(magnitude)).max()) * torch.finfo(dtype).eps


def operations(network):
    """How many multiplications and additions follow one on the other from a network's input to its scores."""
    return sum(p[0].numel() for p in network.parameters() if p.ndim > 1)


def close(one, other, near):
    """Whether two arrays of one shape differ nowhere by more than `near`, a number or an array of them."""
    one, other = _double(one), _double(other)
    assert one.shape == other.shape, (one.shape, other.shape)
    return bool((np.abs(one - other) <= near).all())


def _double(values):
    return np.asarray(values.detach().double() if isinstance(values, torch.Tensor) else values, np.float64)
