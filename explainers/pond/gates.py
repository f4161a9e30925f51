"""What a trained network must show before its masks count as truth: each gate, measured on test scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from .brains import MEAN, SIZE, STD
from .renderer import render
from .scenes import Scene, duet, scene

_BATCH = 100
_SHIFT = 0.05  # an irrelevant swap may move the centred logit by this share of the median evidence effect


@dataclass(frozen=True)
class Gate:
    """One measurement and its bound."""

    key: str
    what: str
    value: float
    bound: float | None = None
    at_least: bool = True

    @property
    def passed(self) -> bool | None:
        """None for a figure that is only published."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def measure(name: str, module: nn.Module, count: int = 300, *, large: bool = True) -> list[Gate]:
    """Every gate of network `name`, on `count` test scenes; `large` includes pictures reduced from 384 px."""
    bare = [scene("test", index, tag=False) for index in range(count)]
    truth = np.array([drawn.class_a for drawn in bare])
    logits = answers(module, bare)
    vit = name == "vit"
    gates = [
        Gate("accuracy", "Accuracy on clean test pictures without a tag", _hits(logits, truth), 0.98 if vit else 0.99)
    ]
    if name != "cheater":
        natural = [scene("test", index) for index in range(count)]
        gates.append(Gate("accuracy_tags", "Accuracy on test pictures as they come (a quarter with a tag)", _hits(answers(module, natural), truth), 0.98 if vit else 0.99))  # fmt: skip
    if large:
        reduced = answers(module, bare, via=384)
        gates.append(Gate("accuracy_384", "Accuracy on the same pictures rendered at 384 px and reduced", _hits(reduced, truth), 0.97))  # fmt: skip

    empty = _softmax(answers(module, [drawn.without("nucleus").without("appendage") for drawn in bare])).max(1)
    gates += [
        Gate("empty_share", "Both parts absent: share of pictures with highest probability ≤ .25", float((empty <= 0.25).mean()), 0.95),
        Gate("empty_mean", "Both parts absent: mean highest probability", float(empty.mean()), 0.25, at_least=False),
    ]  # fmt: skip

    pairs = [duet("test", index, tag=False) for index in range(count)]
    both = np.sort(np.argsort(answers(module, pairs), 1)[:, -2:], 1)
    found = (both == np.sort([pair.classes_a for pair in pairs], 1)).all(1)
    gates.append(Gate("duets", "Duets: both classes are the top two", float(found.mean()), 0.70 if vit else 0.85))

    flips = np.array([index for index in range(count) if truth[index] != 0])
    pasted = answers(module, [bare[index].with_tag() for index in flips]).argmax(1) == 0
    flipped = float((pasted & (logits[flips].argmax(1) != 0)).mean())
    cheat = name == "cheater"
    gates.append(Gate("flips", "A tag pasted on pictures of other classes turns the answer to class 0", flipped, 0.90 if cheat else 0.02, at_least=cheat))  # fmt: skip

    gates += _irrelevance(module, bare, logits, truth)
    return gates


def effects(module: nn.Module, bare: list[Scene], logits: NDArray[np.float32], change: Callable[[Scene], Scene]) -> NDArray[np.float32]:  # fmt: skip
    """How far a change moves the centred logit of the true class, downwards positive: (n,)."""
    rows = np.arange(len(bare))
    truth = np.array([drawn.class_a for drawn in bare])
    moved = answers(module, [change(drawn) for drawn in bare])
    return _centred(logits)[rows, truth] - _centred(moved)[rows, truth]


def answers(module: nn.Module, scenes: Iterable[Scene], via: int = SIZE) -> NDArray[np.float32]:
    """Logits (n, classes) for scenes rendered at `via` px and, if that is larger, reduced to the network's size."""
    listed, rows = list(scenes), []
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    with torch.inference_mode():
        for start in range(0, len(listed), _BATCH):
            pictures = np.stack([_reduced(drawn, via) for drawn in listed[start : start + _BATCH]])
            pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
            rows.append(module((pixels - mean) / std).numpy())
    return np.concatenate(rows)


def _irrelevance(module: nn.Module, bare: list[Scene], logits: NDArray[np.float32], truth: NDArray[np.int64]) -> list[Gate]:  # fmt: skip
    nucleus = effects(module, bare, logits, lambda drawn: drawn.without("nucleus"))
    appendage = effects(module, bare, logits, lambda drawn: drawn.without("appendage"))
    evidence = float(np.median(np.concatenate([nucleus, appendage])))
    gates = [Gate("evidence", "Median evidence effect (centred logit, one part taken out)", evidence)]
    swaps = []
    for slot in ("shape", "texture"):
        moved = np.abs(effects(module, bare, logits, lambda drawn, slot=slot: drawn.swapped(slot)))  # type: ignore[misc]
        swaps.append(moved)
        gates.append(Gate(f"{slot}_median", f"Swapping the body's {slot}: median move, as a share of the evidence effect", float(np.median(moved)) / evidence))  # fmt: skip
    share = float((np.concatenate(swaps) <= _SHIFT * evidence).mean())
    gates.append(Gate("irrelevant", "Swapping shape or texture moves it by ≤ 5 % of the evidence effect, share of pictures", share, 0.95))  # fmt: skip
    return gates


def _reduced(drawn: Scene, via: int) -> NDArray[np.uint8]:
    pixels = render(drawn, via).pixels
    if via == SIZE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _hits(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    return float((logits.argmax(1) == truth).mean())


def _centred(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return logits - logits.mean(1, keepdims=True)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)
