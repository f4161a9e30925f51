"""A network that has learned nothing: a copy of a classifier with its weights drawn anew; the original stays."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from .classifier import Classifier, wrap

PICTURES = 16
"""Pictures of noise that tell a copy's batch norms what to expect."""


def randomized(model: Classifier, seed: int = 0) -> Classifier:
    """The same architecture, labels and framing with weights that know nothing (Adebayo et al., NeurIPS 2018).

    Every weight is drawn from a normal distribution as wide as the trained ones of its layer, so that the copy computes
    on the same scale; norms start afresh, and batch norms are told the statistics of the copy itself. The same seed
    gives the same copy. Raises `ModelError` where the copy is no classifier any more.
    """
    module = copy.deepcopy(model.module)
    draw = torch.Generator().manual_seed(seed)
    norms = {id(p) for m in module.modules() if _is_norm(m) for p in m.parameters(recurse=False)}
    with torch.inference_mode(False), torch.no_grad():
        for name, parameter in module.named_parameters():
            if id(parameter) in norms:
                parameter.fill_(0 if name.rpartition(".")[2] == "bias" else 1)
            else:
                parameter.copy_(_drawn(parameter, draw))
        _settle(module, model, draw)
    return wrap(
        module,
        labels=model.labels,
        framing=model.framing,
        head=model.head,
        name=f"{model.name}, weights drawn anew",
        random_weights=True,
    )


# --- private ---------------------------------------------------------------------------------------------------------


def _is_norm(module: nn.Module) -> bool:
    """Whether a module's weight scales what it normalized: every norm, of torch or not, bears that in its name."""
    return "norm" in type(module).__name__.lower()


def _drawn(parameter: Tensor, draw: torch.Generator) -> Tensor:
    """Values like those of a parameter, from a normal distribution: around zero where it mixes channels."""
    values = parameter.detach().double().cpu()
    mean = 0.0 if values.ndim > 1 else float(values.mean())
    spread = float(values.std(correction=0))
    if values.ndim > 1 and not spread:
        spread = 1 / math.sqrt(values[0].numel())
    return (torch.randn(values.shape, generator=draw, dtype=torch.float64) * spread + mean).to(parameter)


def _settle(module: nn.Module, model: Classifier, draw: torch.Generator) -> None:
    """Give the copy's batch norms the mean and variance of what reaches them, on pictures of smooth noise."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not norms:
        return
    height, width = model.framing.size
    coarse = torch.rand(PICTURES, model.framing.channel_count, 8, 8, generator=draw)
    noise = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # take what is seen, forget what was learned
        norm.train()
    module(model.framing.normalize(noise).to(model.device, model.dtype))
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
        norm.eval()
