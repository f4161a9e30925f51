"""What comes out of a source: module, labels, framing and what is worth saying about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ...errors import ModelError
from ...pictures import Framing
from ...worlds import World
from ..labels import Labels, numbers, read
from ..outputs import adapted
from .weights import LOADING_ERRORS

NO_HEAD = "A backbone without a head: it embeds pictures, but has no classes."
NUMBERED = "Labels are numbers, because the checkpoint carries none."


@dataclass(frozen=True, eq=False)
class Source:
    """A network that is ready to look at pictures.

    `module` is in eval mode, float32, on the CPU, and maps pixels (N, C, H, W) to logits (N, K), or to an embedding
    (N, D) where `labels` is None. `random_weights` is true only when asked for by name. `notes` are sentences for
    the reader.
    """

    name: str
    module: nn.Module
    labels: tuple[str, ...] | None
    framing: Framing
    random_weights: bool
    notes: tuple[str, ...] = ()
    world: World | None = None
    """The built-in world that it comes from."""


def assemble(
    name: str,
    module: nn.Module,
    framing: Framing,
    *,
    labels: Labels | None,
    backbone: bool = False,
    random_weights: bool = False,
    notes: Sequence[str] = (),
) -> Source:
    """A Source that was tried: one black picture goes through, and the labels fit what comes out.

    `labels` are anything that `labels.read` takes, or None where the checkpoint has none. Without labels that fit, a
    classifier gets numbers; a backbone gets nothing.
    ModelError where the module does not turn pictures into one row of numbers each.
    """
    module = module.eval().float().requires_grad_(False)
    module, outputs = _tried(name, module, framing)
    if backbone:
        return Source(name, module, None, framing, random_weights, tuple(notes))
    named: tuple[str, ...] = numbers(outputs)
    told: tuple[str, ...] = (NUMBERED,) if outputs > 1 else ()  # one alone is named by what it means
    if labels is not None:
        try:
            named, told = read(labels, outputs, f"“{name}”")
        except ModelError as error:
            told = (f"Labels are numbers, because those of the checkpoint do not fit: {error}",)
    return Source(name, module, named, framing, random_weights, (*notes, *told))


def _tried(name: str, module: nn.Module, framing: Framing) -> tuple[nn.Module, int]:
    """The module as one that answers a picture with one row of numbers, and how many they are."""
    not_one = ModelError(f"“{name}” is not an image classifier: it does not answer a picture with one row of numbers.")
    try:
        with torch.no_grad():
            module, answer = adapted(module, torch.zeros(1, framing.channel_count, *framing.size), None, None)
    except LOADING_ERRORS as error:
        raise not_one from error
    return module, answer.shape[1]
