"""How far a heat can be trusted, measured on the very network it is about; knows traces and results, and no method."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..network.classifier import Classifier
from ..results import Heatmap
from ..shapes import Logits, Pixels
from ..trace import Spent, Trace
from .plan import PLAN, TOP, Plan, noted
from .statistics import SEED, Floats, Order, area_between, cell_means, coldest_first, gini, share_of_area, spearman

Verdict = Literal["above", "within", "below"]
REACHES: dict[Verdict, str] = {
    "above": "more than random maps reach",
    "within": "no more than random maps reach",
    "below": "less than random maps reach: the map has it backwards",
}

CLEAR = 2
"""How many times what random maps reach the score and that of the covered picture have to lie apart for a share of it
to be told: closer, and the share would say more of chance than of the map."""

SAME = 0.95
"""Two classes whose maps agree in rank to this degree have one map."""

SURE = 0.5
"""Below this probability there is little of a decision to explain."""

MOST_BANDS = 256

_STUDENT = {4: 2.132, 8: 1.860, 16: 1.746, 32: 1.694, 64: 1.669}
"""95th percentile of Student's t for so many values whose mean is known to be zero."""


@dataclass(frozen=True)
class Scorecard:
    """One map, judged on one network and one class: by covering what it calls cold and what it calls warm.

    Scores are in units of the score that is explained, probabilities those of the class in question. The method of
    the two orders is SRG (Blücher, Vielhaben and Strodthoff, TMLR 2024).
    """

    label: str
    versus: str | None
    """The class at the other end of the score, where one was asked about."""
    unit: str
    """What scores are counted in."""
    probability: float | None
    """Of the class, on the whole picture; None for the number of a regression."""
    score: float
    score_covered: float
    """Of the gray picture that is left when everything is covered."""
    covered: tuple[float, ...]
    """The shares of the cells that are covered, from 0 to 1."""
    coldest_first: tuple[float, ...]
    warmest_first: tuple[float, ...]
    chances: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    """The probabilities that belong to the two curves, coldest first; None where there are none."""
    order: tuple[int, ...]
    """The cells, row by row from 0, in the order in which the coldest go first."""
    fill: tuple[float, ...]
    """The color (C,) that covers, each channel from 0 to 1."""
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
    def gap(self) -> float | None:
        """`srg` as far as it goes the way the map says, in points of score."""
        return -self.srg if self.srg is not None and self.against else self.srg

    @property
    def share(self) -> float | None:
        """The share of the score that lies between the two orders; None where there is nothing to share out.

        That is where the score stands between two classes, and none of them is nothing, or where the whole and the
        covered picture lie closer than `CLEAR` times what random maps reach.
        """
        shared = self.versus is None and self.span > CLEAR * self.spread
        return self.gap / self.span if shared and self.gap is not None else None

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
    def big(self) -> str | None:
        """The number that stands for the judgment: a share, or points of score; None for a blank map."""
        if self.gap is None:
            return None
        return _points(self.gap) if self.share is None else _percent(self.share)

    @property
    def between(self) -> str:
        """What `big` counts, as words that follow it."""
        first, last = ("warmest", "coldest") if self.against else ("coldest", "warmest")
        if self.versus is not None:
            return f"{self.unit} nearer to {self.label} than to {self.versus}: {first} cells covered first, less {last}"
        whose = f"of the score of {self.label} lies" if self.share is not None else f"{self.unit} lie"
        return f"{whose} between covering the {first} and the {last} cells first"

    @property
    def reaches(self) -> str | None:
        """The verdict in words; None if blank."""
        return None if self.verdict is None else REACHES[self.verdict]

    @property
    def random(self) -> str:
        """Where nine of ten random maps lie, counted as `big` is."""
        return " to ".join(map(_percent, self.band) if self.band else map(_points, (-self.spread, self.spread)))

    @property
    def says(self) -> str:
        """The judgment in a sentence."""
        if self.gap is None:
            return "The map is the same everywhere, so there is nothing to judge."
        return f"{self.big} {self.between}, {self.reaches} ({self.random})."

    @property
    def depends_on_class(self) -> bool | None:
        """Whether another class gets another map; None where that was not measured."""
        return None if self.contrast is None else self.contrast < SAME

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
        if self.gap is not None and self.share is None and self.versus is None:
            told.append(
                f"The whole picture and plain gray lie {_points(self.span)} {self.unit} apart, and random maps "
                f"move the score by up to {_points(self.spread, sign=False)}: too close to tell a share of it."
            )
        return tuple(told)

    def payload(self) -> dict[str, Any]:
        """The card as JSON."""
        return {
            "label": self.label,
            "versus": self.versus,
            "unit": self.unit,
            "probability": self.probability,
            "score": self.score,
            "score_covered": self.score_covered,
            "covered": list(self.covered),
            "coldest_first": list(self.coldest_first),
            "warmest_first": list(self.warmest_first),
            "chances": [list(each) for each in self.chances],
            "order": list(self.order),
            "fill": list(self.fill),
            "srg": self.srg,
            "gap": self.gap,
            "spread": self.spread,
            "share": self.share,
            "against": self.against,
            "band": None if self.band is None else list(self.band),
            "verdict": self.verdict,
            "big": self.big,
            "between": self.between,
            "reaches": self.reaches,
            "random": self.random,
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
    plan: Plan = PLAN,
    stop: Callable[[], bool] | None = None,
) -> Scorecard:
    """The scorecard of a map about the target of `trace`; `rival` is the same method's map for another class.

    `against` says that the map is warm where it speaks against the class.

    Cells are covered with the mean color of the training pictures, coldest first and warmest first. Steps, orders and
    seeds are the same on every machine. Raises `DoesNotApply` for a backbone, and `Stopped`.
    """
    view = trace.ask(trace.target, stop=stop)
    index, cells = view.class_index, grid(view.classifier)
    size = np.abs(result.heat, dtype=np.float64)
    target, fill = replace(view.target, index=index), view.baseline("gray")
    gray = view.logits_at(fill[None])[0]
    warmth = cell_means(result.heat, cells).ravel()
    curves = _curves(view, fill, gray, cells, warmth, plan) if np.ptp(warmth) else _NOTHING
    noted(view.classifier, view.spent.seconds / max(view.spent.forwards, 1))
    return Scorecard(
        label=view.classifier.labels[index],
        versus=None if target.versus is None else view.classifier.labels[target.versus],
        unit=target.points,
        probability=view.classifier.head.prediction("", index, view.logits).probability,
        score=float(target.of(view.logits)),
        score_covered=float(target.of(gray)),
        fill=tuple(fill.mean((1, 2)).tolist()),
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


def grid(model: Classifier) -> tuple[int, int]:
    """The cells that are covered: 14 on the shorter side, 7 for coarse networks, 8 for small pictures; about square."""
    height, width = model.framing.size
    shorter = min(height, width)
    last = model.anatomy.sites.get("last")
    coarse = last is not None and min(last.grid) < 10
    count = min(8, shorter) if shorter < 128 else 7 if coarse else 14
    return round(count * height / shorter), round(count * width / shorter)


# --- private ---------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_bands: WeakKeyDictionary[Classifier, OrderedDict[Any, float]] = WeakKeyDictionary()
"""For each network, what random maps reach, by picture, target and plan: every method is held against the same."""


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
    seen = torch.stack([view.logits, gray, *logits])
    read = head.readings(seen)[:, view.class_index].tolist() if head.probable else [None] * len(seen)
    first, last, *chances = read
    scores = target.of(logits).tolist()
    whole, end = float(target.of(view.logits)), float(target.of(gray))
    steps = len(inner)
    covered = np.array(counts) / order.size
    coldest, warmest = ((whole, *scores[at : at + steps], end) for at in (0, steps))
    return {
        "covered": tuple(covered.tolist()),
        "coldest_first": coldest,
        "warmest_first": warmest,
        "chances": tuple((first, *chances[at : at + steps], last) for at in (0, steps)),
        "order": tuple(order.tolist()),
        "srg": area_between(covered, np.array(coldest), np.array(warmest)),
        "spread": _spread(view, fill, cells, plan),
        "keep": chances[steps - 1],
        "drop": chances[steps + inner.index(top)] if top in inner else chances[-1],
    }


_NOTHING: dict[str, Any] = {
    "covered": (),
    "coldest_first": (),
    "warmest_first": (),
    "chances": ((), ()),
    "order": (),
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
    counts = [round(share * count) for share in plan.sparse]
    covers = []
    for _ in range(plan.orders):
        order = draw.permutation(count)
        covers += [order[:some] for some in counts] + [order[::-1][:some] for some in counts]
    scores = target.of(_logits(view, fill, cells, covers)).double().cpu().numpy()
    coldest, warmest = scores.reshape(plan.orders, 2, len(counts)).transpose(1, 0, 2)
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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")


def _points(score: float, *, sign: bool = True) -> str:
    two = float(f"{score:.2g}") + 0.0  # of −0, 0
    return f"{two:{'+' if sign else ''}g}".replace("-", "−")
