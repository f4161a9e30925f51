"""Two passes held against each other: the multipliers of any function of tensors, and by how much they miss."""

import torch

from explainers.network.rules.differences import Differences


def held(function, x, x0, rule="rescale"):
    """Multipliers of a function that gives one number, what it gives under the rules for both, and the passes."""
    passes = Differences(rule)
    with passes.reference():
        before = function(x0.clone())
    leaf = x.clone().requires_grad_()
    with passes.compared():
        after = function(leaf)
    (multipliers,) = torch.autograd.grad(after, leaf)
    return multipliers, after.detach(), before.detach(), passes


def missed(function, x, x0, rule="rescale"):
    """By how much the parts miss what the function itself gives for both, in shares of all sizes."""
    with torch.no_grad():
        here, there = float(function(x.clone())), float(function(x0.clone()))
    multipliers, _, _, _ = held(function, x, x0, rule)
    assert multipliers.isfinite().all()
    parts = multipliers * (x - x0)
    return abs(float(parts.sum()) - (here - there)) / (float(parts.abs().sum()) + abs(here) + abs(there))
