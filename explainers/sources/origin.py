"""What comes out of a source: module, labels, framing and what is worth saying about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import ModelError
from ..images import Framing
from .weights import LOADING_ERRORS

NO_HEAD = "A backbone without a head: it embeds pictures, but has no classes."
NUMBERED = "Labels are numbers, because the checkpoint carries none."


@dataclass(frozen=True, eq=False)
class Source:
    """A network that is ready to look at pictures.

    `module` is in eval mode, float32, on the CPU, and maps pixels (N, 3, H, W) to logits (N, K), or to an embedding
    (N, D) where `labels` is None. `random_weights` is true only when asked for by name. `notes` are sentences for
    the reader.
    """

    name: str
    module: nn.Module
    labels: tuple[str, ...] | None
    framing: Framing
    random_weights: bool
    notes: tuple[str, ...] = ()


def assemble(
    name: str,
    module: nn.Module,
    framing: Framing,
    *,
    labels: Sequence[str] | None,
    backbone: bool = False,
    random_weights: bool = False,
    notes: Sequence[str] = (),
) -> Source:
    """A Source that was tried: one black picture goes through, and the labels fit what comes out.

    `labels` None means that the checkpoint has none; a classifier then gets numbers, a backbone nothing.
    ModelError where the module does not turn pictures into one row of numbers each.
    """
    module = module.eval().float().requires_grad_(False)
    outputs = _outputs(name, module, framing)
    said = list(notes)
    if backbone:
        return Source(name, module, None, framing, random_weights, tuple(said))
    if labels is not None and len(labels) != outputs:
        said.append(f"Labels are numbers, because the checkpoint names {len(labels)} classes and answers {outputs}.")
        labels = numbers(outputs)
    elif labels is None:
        said.append(NUMBERED)
        labels = numbers(outputs)
    return Source(name, module, tuple(labels), framing, random_weights, tuple(said))


def numbers(count: int) -> tuple[str, ...]:
    """Labels for classes that nobody named: class 0, class 1 and so on."""
    return tuple(f"class {index}" for index in range(count))


def told_apart(labels: Sequence[str], marks: Sequence[object]) -> tuple[str, ...]:
    """The labels, each with its mark in brackets where two classes share one name (ImageNet has two cranes)."""
    times = Counter(labels)
    return tuple(f"{label} ({mark})" if times[label] > 1 else label for label, mark in zip(labels, marks, strict=True))


def _outputs(name: str, module: nn.Module, framing: Framing) -> int:
    """How many numbers the module answers to one picture."""
    not_one = ModelError(f"“{name}” is not an image classifier: it does not answer a picture with one row of numbers.")
    try:
        with torch.no_grad():
            answer = module(torch.zeros(1, 3, *framing.size))
    except LOADING_ERRORS as error:
        raise not_one from error
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or answer.shape[0] != 1:
        raise not_one
    return answer.shape[1]
