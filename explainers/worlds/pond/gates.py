"""What a trained network must show before its masks count as truth: each gate, measured on test scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .album import reduced
from .brains import MEAN, SIZE, STD
from .renderer import render
from .scenes import Scene, duet, scene

WORDS = {
    "accuracy": "right answers on clean pictures without a tag",
    "accuracy_tags": "right answers on pictures as they come, a quarter of them with a tag",
    "accuracy_384": "right answers on clean pictures rendered at 384 px and reduced to 96 (300 of them at most)",
    "empty_share": "both parts absent: share of pictures with a highest probability ≤ .25",
    "empty_mean": "both parts absent: mean of the highest probability",
    "duets": "duets: both classes are the top two",
    "flips": "a tag pasted on other classes turns the answer to class 0",
    "evidence": "median evidence effect: centred logit, one of the two parts taken out",
    "shape_median": "another body shape: median move, as a share of the evidence effect",
    "texture_median": "another body texture: median move, as a share of the evidence effect",
    "irrelevant": "another shape or texture: share of pictures moved by ≤ 5 % of the evidence effect",
}

_BATCH = 100
_SHIFT = 0.05  # an irrelevant swap may move the centred logit by this share of the median evidence effect


@dataclass(frozen=True)
class Gate:
    """One measurement and its bound."""

    key: str
    value: float
    bound: float | None = None
    at_least: bool = True

    @property
    def passed(self) -> bool | None:
        """Whether the bound holds; None for a figure that is only published."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def measure(name: str, module: nn.Module, count: int = 300, *, large: int = 300) -> list[Gate]:
    """Every gate of network `name`, on `count` test scenes; `large` of them also reduced from 384 px."""
    vit, cheater = name == "vit", name == "cheater"
    right = 0.98 if vit else 0.99
    bare = [scene("test", index, tag=False) for index in range(count)]
    truth = np.array([drawn.class_a for drawn in bare])
    logits = answers(module, bare)
    gates = [Gate("accuracy", _hits(logits, truth), right)]
    if not cheater:
        natural = [scene("test", index) for index in range(count)]
        gates.append(Gate("accuracy_tags", _hits(answers(module, natural), truth), right))
    if large:
        gates.append(Gate("accuracy_384", _hits(answers(module, bare[:large], via=384), truth[:large]), 0.97))

    empty = _softmax(answers(module, [drawn.without("nucleus").without("appendage") for drawn in bare])).max(1)
    gates.append(Gate("empty_share", float((empty <= 0.25).mean()), 0.95))
    gates.append(Gate("empty_mean", float(empty.mean()), 0.25, at_least=False))

    pairs = [duet("test", index, tag=False) for index in range(count)]
    top = np.sort(np.argsort(answers(module, pairs), 1)[:, -2:], 1)
    both = (top == np.sort([pair.classes_a for pair in pairs], 1)).all(1)
    gates.append(Gate("duets", float(both.mean()), 0.70 if vit else 0.85))

    others = np.flatnonzero((truth != 0) & (logits.argmax(1) != 0))
    pasted = answers(module, [bare[index].with_tag() for index in others])
    flips = float((pasted.argmax(1) == 0).mean())
    gates.append(Gate("flips", flips, 0.90 if cheater else 0.02, at_least=cheater))
    return [*gates, *_irrelevance(module, bare, logits)]


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


def _irrelevance(module: nn.Module, bare: list[Scene], logits: NDArray[np.float32]) -> list[Gate]:
    """How far the body moves the answer, against how far the evidence does."""

    def moved(change: Callable[[Scene], Scene]) -> NDArray[np.float32]:
        return _true_scores(logits, bare) - _true_scores(answers(module, [change(drawn) for drawn in bare]), bare)

    taken = [moved(lambda drawn: drawn.without("nucleus")), moved(lambda drawn: drawn.without("appendage"))]
    evidence = float(np.median(np.concatenate(taken)))
    shape = np.abs(moved(lambda drawn: drawn.swapped("shape"))) / evidence
    texture = np.abs(moved(lambda drawn: drawn.swapped("texture"))) / evidence
    return [
        Gate("evidence", evidence),
        Gate("shape_median", float(np.median(shape))),
        Gate("texture_median", float(np.median(texture))),
        Gate("irrelevant", float((np.concatenate([shape, texture]) <= _SHIFT).mean()), 0.95),
    ]


def _true_scores(logits: NDArray[np.float32], scenes: list[Scene]) -> NDArray[np.float32]:
    """Centred logit of each picture's own class: (n,)."""
    centred = logits - logits.mean(1, keepdims=True)
    return np.asarray(centred[np.arange(len(scenes)), [drawn.class_a for drawn in scenes]])


@lru_cache(maxsize=4096)  # 113 MB: networks are measured one after another on the same pictures
def _reduced(drawn: Scene, via: int) -> NDArray[np.uint8]:
    return reduced(render(drawn, via).pixels)


def _hits(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    return float((logits.argmax(1) == truth).mean())


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)
