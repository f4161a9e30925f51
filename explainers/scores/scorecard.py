"""How far a heat can be trusted, measured on the very network it is about; knows traces and results, and no method."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.classifier import Classifier
from ..results import Heatmap
from ..shapes import Logits, Pixels
from ..trace import Spent, Trace

Floats = NDArray[np.floating[Any]]
Order = NDArray[np.intp]
Verdict = Literal["above", "within", "below"]

BUDGET = 1.2
"""Seconds that judging may take."""

TOP = 0.2
"""The share of the cells that is kept alone, or covered alone."""

NEAR_ZERO = 0.05
"""A picture whose score differs from that of a gray one by less than this share of either has nothing to share out."""

SAME = 0.95
"""Two classes whose maps agree in rank to this degree have one map."""

SURE = 0.5
"""Below this probability there is little of a decision to explain."""

PACE = 8
"""Pictures in the batch that tells how fast a network is."""

SEED = 0
MOST_BANDS = 256


@dataclass(frozen=True)
class Plan:
    """How finely a map is judged: the shares covered on the way, and how many random orders it is held against.

    Each random order is judged with its reverse, so random maps score zero on average by construction. Where all their
    steps would take too long, each is judged `brief`ly: at one step alone, whose spread tells that of the area if the
    cells count for the score one by one. On real networks it told 0.8 to 1.75 times as much as all steps did.
    """

    shares: tuple[float, ...]
    orders: int
    """4, 8, 16, 32 or 64."""
    brief: bool = False

    @property
    def steps(self) -> int:
        """T: steps from the whole picture to the covered one."""
        return len(self.shares) - 1

    @property
    def forwards(self) -> int:
        """Forward passes that a judgment takes at most."""
        inner = 2 * (self.steps - 1)
        extra = 0 if TOP in self.shares else 1
        return inner + extra + 1 + 2 * self.orders * (1 if self.brief else self.steps - 1)


BRIEF = 0.4
"""The share that a brief random order covers: there, the spread is told too large rather than too small."""

_SIX, _FOUR, _THREE = (0, 0.15, 0.3, 0.45, 0.6, 0.8, 1), (0, 0.2, 0.5, 0.8, 1), (0, 0.2, 0.8, 1)
PLANS = (Plan(_SIX, 16), Plan(_SIX, 8), Plan(_SIX, 8, brief=True), Plan(_FOUR, 4, brief=True))
"""From fine to coarse; the first that fits the budget is taken."""

COARSEST = Plan(_THREE, 4, brief=True)

_STUDENT = {4: 2.132, 8: 1.860, 16: 1.746, 32: 1.694, 64: 1.669}
"""95th percentile of Student's t for so many values whose mean is known to be zero."""


@dataclass(frozen=True)
class Scorecard:
    """One map, judged on one network and one class: by covering what it calls cold and what it calls warm.

    Scores are in units of the score that is explained, probabilities those of the class in question. The method of
    the two orders is SRG (Blücher, Vielhaben and Strodthoff, TMLR 2024).
    """

    label: str
    probability: float | None
    """Of the class, on the whole picture; None for the number of a regression."""
    score: float
    score_covered: float
    """Of the gray picture that is left when everything is covered."""
    covered: tuple[float, ...]
    """The shares of the cells that are covered, from 0 to 1."""
    coldest_first: tuple[float, ...]
    warmest_first: tuple[float, ...]
    srg: float | None
    """Area between the two curves; None for a blank map, which ranks nothing."""
    spread: float
    """Of ten random maps, nine have an `srg` between −`spread` and `spread`."""
    keep: float | None
    """The probability with the warmest fifth visible alone; None where there is none."""
    drop: float | None
    """The probability with the warmest fifth covered."""
    residual: float | None
    """By how much the parts miss the whole; None where the method makes no such promise."""
    contrast: float | None
    """Rank correlation with the map for the rival class; None where that was not measured."""
    rival: str | None
    gini: float | None
    half: float | None
    """The share of the area that holds half of the heat."""
    cells: tuple[int, int]
    plan: Plan
    against: bool
    """Whether the map is warm where it speaks against the class: covering a warm cell should raise the score."""
    domain: bool
    """Whether the network knows partly covered pictures from its training."""
    spent: Spent = field(compare=False)

    @property
    def blank(self) -> bool:
        """Whether the map ranks nothing: it is the same everywhere."""
        return self.srg is None

    @property
    def span(self) -> float:
        """What there is to share out: the score here less that of the covered picture."""
        return self.score - self.score_covered

    @property
    def share(self) -> float | None:
        """The share of the score that lies between the two orders; None where there is nothing to share out."""
        least = NEAR_ZERO * max(abs(self.score), abs(self.score_covered))
        return None if self.gap is None or self.span <= least else self.gap / self.span

    @property
    def gap(self) -> float | None:
        """`srg` as far as it goes the way the map says."""
        return -self.srg if self.srg is not None and self.against else self.srg

    @property
    def band(self) -> tuple[float, float] | None:
        """Where the shares of nine of ten random maps lie; None where there is no share."""
        return None if self.share is None else (-self.spread / self.span, self.spread / self.span)

    @property
    def verdict(self) -> Verdict | None:
        """Whether the map beats random ones, cannot be told from them, or has it backwards; None if blank."""
        if self.gap is None:
            return None
        return "above" if self.gap > self.spread else "below" if self.gap < -self.spread else "within"

    @property
    def depends_on_class(self) -> bool | None:
        """Whether another class gets another map; None where that was not measured."""
        return None if self.contrast is None else self.contrast < SAME

    @property
    def says(self) -> str:
        """The judgment in a sentence."""
        if self.srg is None:
            return "The map is the same everywhere, so there is nothing to judge."
        if self.share is None or self.band is None:
            return f"The picture hardly raises {self.label} above what plain gray gives it: no score to share out."
        low, high = (_percent(edge) for edge in self.band)
        told = {
            "above": "more than random maps reach",
            "within": "no more than random maps reach",
            "below": "less than random maps reach: the map has it backwards",
        }[self.verdict or "within"]
        orders = "warmest and the coldest" if self.against else "coldest and the warmest"
        return (
            f"{_percent(self.share)} of the score of {self.label} lies between covering the {orders} cells first, "
            f"{told} ({low} to {high})."
        )

    @property
    def caveats(self) -> tuple[str, ...]:
        """What has to be known before believing the number, each a sentence."""
        told = []
        if self.probability is not None and self.probability < SURE:
            told.append(
                f"The network gives {self.label} only {_percent(self.probability)}: "
                "there is little of a decision to explain."
            )
        if self.depends_on_class is False:
            told.append(f"The map does not depend on the class: that for {self.rival} is nearly the same.")
        if not self.domain and not self.blank:
            told.append("A partly gray picture is nothing that this network was trained on.")
        if self.plan.brief and not self.blank:
            told.append("What random maps reach is estimated from a few of them, at one step.")
        return tuple(told)

    def payload(self) -> dict[str, Any]:
        """The card as JSON."""
        return {
            "label": self.label,
            "probability": self.probability,
            "score": self.score,
            "score_covered": self.score_covered,
            "covered": list(self.covered),
            "coldest_first": list(self.coldest_first),
            "warmest_first": list(self.warmest_first),
            "srg": self.srg,
            "spread": self.spread,
            "share": self.share,
            "against": self.against,
            "band": None if self.band is None else list(self.band),
            "verdict": self.verdict,
            "says": self.says,
            "keep": self.keep,
            "drop": self.drop,
            "residual": self.residual,
            "contrast": self.contrast,
            "rival": self.rival,
            "depends_on_class": self.depends_on_class,
            "gini": self.gini,
            "half": self.half,
            "blank": self.blank,
            "caveats": list(self.caveats),
            "cells": list(self.cells),
            "steps": self.plan.steps,
            "random_orders": 2 * self.plan.orders,
            "spent": {
                "forwards": self.spent.forwards,
                "backwards": self.spent.backwards,
                "seconds": round(self.spent.seconds, 4),
            },
        }


def judge(
    trace: Trace,
    result: Heatmap,
    *,
    rival: Heatmap | None = None,
    rival_label: str | None = None,
    against: bool = False,
    plan: Plan | None = None,
    stop: Callable[[], bool] | None = None,
) -> Scorecard:
    """The scorecard of a map about the target of `trace`; `rival` is the same method's map for another class.

    `against` says that the map is warm where it speaks against the class.

    Cells are covered with the mean color of the training pictures, coldest first and warmest first. `plan` is by
    default the finest that the network's speed allows, found once for each network. Raises `DoesNotApply` for a
    backbone, and `Stopped`.
    """
    view = trace.ask(trace.target, stop=stop)
    index, cells = view.class_index, grid(view.classifier)
    size = np.abs(result.heat, dtype=np.float64)
    plan = plan or plan_for(view)
    target, fill = replace(view.target, index=index), view.baseline("gray")
    gray = view.logits_at(fill[None])[0]
    warmth = cell_means(result.heat, cells).ravel()
    curves = _curves(view, fill, gray, cells, warmth, plan) if np.ptp(warmth) else _NOTHING
    _noted(view.classifier, view.spent.seconds / max(view.spent.forwards, 1))
    return Scorecard(
        label=view.classifier.labels[index],
        probability=view.classifier.head.prediction("", index, view.logits).probability,
        score=float(target.of(view.logits)),
        score_covered=float(target.of(gray)),
        **curves,
        residual=result.adds_up.residual if result.adds_up else None,
        contrast=None if rival is None else spearman(result.heat, rival.heat),
        rival=rival_label,
        gini=gini(size),
        half=share_of_area(size, 0.5) if size.any() else None,
        cells=cells,
        plan=plan,
        against=against,
        domain=(world := view.classifier.world) is not None and world.covered,
        spent=view.spent,
    )


def plan_for(trace: Trace) -> Plan:
    """The finest plan that fits the budget at this network's speed.

    A score may so depend on how fast a machine is, and says by its steps and orders how it was measured.
    """
    took = seconds_per_forward(trace)
    return next((plan for plan in PLANS if plan.forwards * took <= BUDGET), COARSEST)


def seconds_per_forward(trace: Trace) -> float:
    """How long the network takes for one picture: measured once, and the best of what judging has seen since."""
    with _lock:
        known = _paces.get(trace.classifier)
    if known is not None:
        return known
    one = trace.baseline("gray")[None]
    took = min(_timed(trace, one), _timed(trace, one))  # the first pass of a process warms up
    if took < BUDGET / 60:  # small networks gain from batches, and large ones need no third look
        took = min(took, _timed(trace, one.expand(PACE, -1, -1, -1)))
    return _noted(trace.classifier, took)


def grid(model: Classifier) -> tuple[int, int]:
    """The cells that are covered: 14 on the shorter side, 7 for coarse networks, 8 for small pictures; about square."""
    height, width = model.framing.size
    shorter = min(height, width)
    last = model.anatomy.sites.get("last")
    coarse = last is not None and min(last.grid) < 10
    count = min(8, shorter) if shorter < 128 else 7 if coarse else 14
    return round(count * height / shorter), round(count * width / shorter)


def cell_means(heat: Floats, cells: tuple[int, int]) -> Floats:
    """The mean of a signed map (h, w) over each of rows × columns cells; it ranks them as their sums do.

    Values that lie in two cells count for each by the area in it, and values that are equal stay exactly equal.
    """
    (height, width), (rows, columns) = heat.shape, cells
    down, across = _overlaps(height, rows), _overlaps(width, columns)
    means: Floats = down @ heat.astype(np.float64) @ across.T / (height * width)
    return means


def coldest_first(warmth: Floats, noise: Floats | None = None) -> Order:
    """The cells (n,) in order of their warmth, ties in the order of `noise`, by default a fixed random one."""
    if noise is None:
        noise = np.random.default_rng(SEED).random(warmth.size)
    return np.lexsort((noise, warmth))


def area_between(covered: Floats, coldest: Floats, warmest: Floats) -> float:
    """SRG: the area under the scores with the coldest covered first, less that with the warmest first."""
    return float(np.trapezoid(np.asarray(coldest) - np.asarray(warmest), covered))


def spearman(one: Floats, other: Floats) -> float | None:
    """Rank correlation of two arrays of one shape, ties averaged; None where either is the same everywhere."""
    ranks = [_ranks(np.asarray(each).ravel()) for each in (one, other)]
    a, b = (each - each.mean() for each in ranks)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else None


def gini(heat: Floats) -> float | None:
    """Gini coefficient of a map's sizes: 0 where all are equal, 1 − 1/n for a single one; None for a map of zeros."""
    ordered = np.sort(np.abs(heat), axis=None).astype(np.float64)
    count, total = ordered.size, ordered.sum()
    if not total:
        return None
    return float(2 * (np.arange(1, count + 1) @ ordered) / (count * total) - (count + 1) / count)


def share_of_area(heat: Floats, mass: float) -> float:
    """The smallest share of the area that holds a share `mass` of the heat's size; 0 for a map of zeros."""
    ordered = np.sort(np.abs(heat), axis=None)[::-1].astype(np.float64)
    total = ordered.sum()
    if not total:
        return 0.0
    held = int(np.searchsorted(np.cumsum(ordered), mass * total)) + 1
    return min(held, ordered.size) / ordered.size  # the two sums differ in rounding


# --- private ---------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_paces: WeakKeyDictionary[Classifier, float] = WeakKeyDictionary()
_bands: WeakKeyDictionary[Classifier, OrderedDict[Any, float]] = WeakKeyDictionary()
"""For each network, what random maps reach, by picture, target and plan: every method is held against the same."""


def _timed(trace: Trace, pictures: Tensor) -> float:
    began = time.perf_counter()
    trace.logits_at(pictures)
    return (time.perf_counter() - began) / len(pictures)


def _noted(model: Classifier, took: float) -> float:
    """The best time for one picture so far: what else a machine does can only make it longer."""
    with _lock:
        best: float = min(took, _paces.get(model, took))
        _paces[model] = best
    return best


def _curves(
    view: Trace, fill: Pixels, gray: Logits, cells: tuple[int, int], warmth: Floats, plan: Plan
) -> dict[str, Any]:
    """What comes of covering the cells (n,) in both orders: the fields of a scorecard that tell of it."""
    target, order = replace(view.target, index=view.class_index), coldest_first(warmth)
    counts = [round(share * order.size) for share in plan.shares]
    inner, top = counts[1:-1], round(TOP * order.size)
    orders = (order, order[::-1])
    # The warmest fifth visible alone is one of the steps, the last; covered alone it may be none.
    covers = [each[:count] for each in orders for count in inner]
    logits = _logits(view, fill, cells, covers if top in inner else [*covers, order[::-1][:top]])
    head = view.classifier.head
    chances = head.readings(logits)[:, view.class_index].tolist() if head.probable else [None] * len(logits)
    scores = target.of(logits).tolist()
    whole, end = float(target.of(view.logits)), float(target.of(gray))
    steps = len(inner)
    covered = np.array(counts) / order.size
    coldest, warmest = ((whole, *scores[at : at + steps], end) for at in (0, steps))
    return {
        "covered": tuple(covered.tolist()),
        "coldest_first": coldest,
        "warmest_first": warmest,
        "srg": area_between(covered, np.array(coldest), np.array(warmest)),
        "spread": _spread(view, fill, cells, plan),
        "keep": chances[steps - 1],
        "drop": chances[steps + inner.index(top)] if top in inner else chances[-1],
    }


_NOTHING: dict[str, Any] = {
    "covered": (),
    "coldest_first": (),
    "warmest_first": (),
    "srg": None,
    "spread": 0.0,
    "keep": None,
    "drop": None,
}
"""The same fields of a map that is the same everywhere: it ranks no cell, so nothing is covered."""


def _spread(view: Trace, fill: Pixels, cells: tuple[int, int], plan: Plan) -> float:
    """What bounds the SRG of nine of ten random maps of this picture; measured once for all methods."""
    target = replace(view.target, index=view.class_index)
    digest = hashlib.blake2b(view.pixels.cpu().numpy().tobytes(), digest_size=16).hexdigest()
    key = (digest, target, plan)
    with _lock:
        known = _bands.setdefault(view.classifier, OrderedDict()).get(key)
    if known is not None:
        return known
    count = cells[0] * cells[1]
    draw = np.random.default_rng(SEED + 1)
    counts = [round(BRIEF * count)] if plan.brief else [round(share * count) for share in plan.shares[1:-1]]
    covers = []
    for _ in range(plan.orders):
        order = draw.permutation(count)
        covers += [order[:some] for some in counts] + [order[::-1][:some] for some in counts]
    scores = target.of(_logits(view, fill, cells, covers)).double().cpu().numpy()
    coldest, warmest = scores.reshape(plan.orders, 2, len(counts)).transpose(1, 0, 2)
    if plan.brief:
        areas = (coldest - warmest)[:, 0] / np.sqrt(6 * BRIEF)  # as if the score were a sum over the cells
    else:
        between = np.pad(coldest - warmest, ((0, 0), (1, 1)))  # the ends are shared
        areas = np.trapezoid(between, np.array([0, *counts, count]) / count, axis=1)
    spread = float(_STUDENT[plan.orders] * np.sqrt(np.mean(areas**2)))
    with _lock:
        kept = _bands[view.classifier]
        kept[key] = spread
        while len(kept) > MOST_BANDS:
            kept.popitem(last=False)
    return spread


def _logits(view: Trace, fill: Pixels, cells: tuple[int, int], covers: Sequence[Order]) -> Tensor:
    """Logits (N, C) of the picture with each of N sets of cells covered."""
    height, width = fill.shape[-2:]
    rows = ((torch.arange(height) + 0.5) * cells[0] / height).long()
    columns = ((torch.arange(width) + 0.5) * cells[1] / width).long()
    cell = (rows[:, None] * cells[1] + columns).to(fill.device)  # (H, W)
    parts = []
    for start in range(0, len(covers), view.at_once):
        some = covers[start : start + view.at_once]
        hidden = torch.zeros(len(some), cells[0] * cells[1], dtype=torch.bool)
        for row, cover in zip(hidden, some, strict=True):
            row[torch.from_numpy(cover.copy())] = True
        mask = hidden.to(fill.device)[:, cell][:, None]  # (N, 1, H, W)
        parts.append(view.logits_at(torch.where(mask, fill, view.pixels)))
    return torch.cat(parts)


def _overlaps(count: int, cells: int) -> Floats:
    """How much of each of `count` values lies in each of `cells` cells: (cells, count), in whole numbers."""
    first, last = np.arange(cells)[:, None] * count, np.arange(count) * cells
    shared = np.minimum(first + count, last + cells) - np.maximum(first, last)
    return shared.clip(0).astype(np.float64)


def _ranks(values: Floats) -> Floats:
    """Ranks (n,), those of equal values averaged."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")
