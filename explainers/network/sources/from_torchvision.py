"""Networks of torchvision's classification collection, with the labels and the preset of their published weights."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import models

from ...errors import ModelError
from ...pictures import Framing
from .identifiers import Identifier
from .origin import Source, assemble
from .web import download
from .weights import LOADING_ERRORS, check_size, do_not_fit, seeded, weigh, weights_file

# These two build another module when they are told that trained weights follow: with the input transform and without
# the auxiliary heads, which the published weights carry all the same.
_WITH_AUXILIARIES = ("googlenet", "inception_v3")


def load(identifier: Identifier, limit: int, *, local: bool) -> Source:  # noqa: ARG001 - every kind takes the same
    """A network with its default weights, random ones, or those of a file."""
    asked, name = identifier.title, identifier.name
    known = models.list_models(module=models)
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.4)
        raise ModelError(
            f"torchvision knows no classifier “{name}”" + (f"; nearest are {', '.join(near)}." if near else ".")
        )
    published = models.get_model_weights(name).DEFAULT
    check_size(asked, weigh(lambda: _build(name)), limit)
    with seeded():
        module = _build(name)
    if not identifier.random:
        if "weights" in identifier.options:
            file = weights_file(identifier.options["weights"])
            check_size(asked, file.stat().st_size, limit)
        else:
            file = download(asked, published.url, limit)
        try:
            module.load_state_dict({_today(key): tensor for key, tensor in _tensors(file).items()})
        except LOADING_ERRORS as error:
            raise do_not_fit(asked, file.name, error) from error
    return assemble(
        asked,
        module,
        Framing.from_torchvision(published.transforms()),
        labels=published.meta["categories"],
        random_weights=identifier.random,
    )


def _build(name: str) -> nn.Module:
    settings: dict[str, Any] = {"transform_input": True, "init_weights": False} if name in _WITH_AUXILIARIES else {}
    module = models.get_model(name, weights=None, **settings)
    assert isinstance(module, nn.Module)
    return module


def _today(key: str) -> str:
    """The published DenseNets have keys from when the name of a module could have a dot."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """The weights by key, from safetensors or through the unpickler that admits tensors only."""
    safe = file.suffix == ".safetensors"
    loaded: dict[str, Any] = load_file(file) if safe else torch.load(file, map_location="cpu", weights_only=True)
    within = [loaded[key] for key in ("state_dict", "model") if isinstance(loaded.get(key), dict)]
    return within[0] if within else loaded  # training scripts save the weights beside the state of their optimizer
