"""Integrated gradients (Sundararajan, Taly & Yan, ICML 2017), with points where the score bends."""

import math
from bisect import bisect
from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ..baselines import EDGE, Baseline
from ..registry import Family, Need, explainer
from ..results import Heatmap, Sum
from ..trace import Trace

FIRST = 16
"""Points before any is placed by what was seen: the map is then within about 5 % of a fine one, whatever its sum."""

ROUND = 8
"""Points of each further round: enough to fill a batch, few enough to place the next ones well."""

NARROWEST = 1e-5
"""A stretch that is no wider is not halved again."""

TOLD = 6
"""How many points of the path the working shows."""


@explainer(
    title="Integrated gradients",
    family=Family.GRADIENTS,
    needs={Need.SLOPES},
    paper="https://arxiv.org/abs/1703.01365",
    passes=(67, 64),
    sums=True,
    classic=True,
)
def integrated_gradients(
    trace: Trace,
    *,
    baseline: Baseline = "gray",
    steps: Annotated[
        int, Field(ge=8, le=512, description="Points on the way from the baseline to the picture, at most.")
    ] = 64,
    tolerance: Annotated[
        float,
        Field(ge=0, le=0.2, description="Stop when the sum holds to this share; 0 takes all steps, equally spaced."),
    ] = 0.01,
) -> Iterator[Heatmap]:
    """How much does each pixel add to the score of the chosen class, on the way from a baseline to this picture?

    The picture is faded in from the baseline. At points on the way, the slope of the score at each pixel is taken;
    their average, times what the pixel changes by, is the pixel's part. More points go where the score bends.
    Read it as: the parts add up to the score here minus the score of the baseline; blue ones lower it.
    Beware: a pixel like the baseline gets nothing, whatever it means, so the choice of the baseline is half the answer.
    """
    path = _Path(trace, trace.baseline(baseline))
    for done in path.equal(steps) if tolerance == 0 else path.adaptive(steps, tolerance):
        heat, whole = path.heat(), path.ends[1] - path.ends[0]
        if done == 1:
            path.tell(baseline)
        adds_up = Sum(float(heat.double().sum()), whole, path.floor)
        yield Heatmap(heat, signed=True, unit="logit points", adds_up=adds_up, done=done)


class _Path:
    """Points on the straight way from a baseline to the picture, what each pixel is worth there, and the score."""

    def __init__(self, trace: Trace, start: Tensor) -> None:
        self.trace, self.start, self.change = trace, start, trace.pixels - start
        self.floor = 0.05 * float(trace.logits.std(correction=0))
        self.at: list[float] = []
        self.parts: list[Tensor] = []  # (H, W) each: slope times change, over colors
        self.scores: list[float] = []
        first, last = trace.score(torch.stack([self.start, trace.pixels])).tolist()
        self.ends = first, last
        self._sum: Tensor | None = None
        self._share = 0.0  # of a point, where all count alike

    def equal(self, steps: int) -> Iterator[float]:
        """Each point stands for the middle of one of `steps` stretches; keeps no part of a single point."""
        kept = self.trace.working is not None
        rounds, done = math.ceil(steps / self.trace.at_once), 0
        for first in range(rounds):  # each round is spread over the whole way
            points = [(i + 0.5) / steps for i in range(first, steps, rounds)]
            parts, scores = self._visit(points)
            done += len(points)
            self._share = 1 / done
            self._sum = parts.sum(0) if self._sum is None else self._sum + parts.sum(0)
            if kept:
                self._insert(points, parts, scores)
            yield done / steps

    def adaptive(self, steps: int, tolerance: float) -> Iterator[float]:
        """Halves the stretches where slope and score disagree most, until their sum is within the tolerance."""
        first = min(FIRST, steps)
        points = [i / (first - 1) for i in range(first)]
        while points:
            for k in range(0, len(points), self.trace.at_once):
                batch = points[k : k + self.trace.at_once]
                self._insert(batch, *self._visit(batch))
            self.scores[0] = self.ends[0]
            misses = self._misses()
            allowed = tolerance * max(abs(self.ends[1] - self.ends[0]), self.floor)
            # Misses may cancel by luck; those of random signs add up to the root of their squares.
            if max(abs(float(misses.sum())), float(misses.norm())) <= allowed:
                break
            worst = misses.abs().argsort(descending=True, stable=True)[: min(ROUND, steps - len(self.at))]
            # Less than its share of what is allowed needs no closer look, and a jump cannot be halved for ever.
            wide = torch.tensor(self.at).diff() > NARROWEST
            worst = worst[wide[worst] & (misses.abs()[worst] > allowed / len(misses))]
            points = sorted((self.at[i] + self.at[i + 1]) / 2 for i in worst.tolist())
            if points:
                yield min(0.95, len(self.at) / steps)
        yield 1.0

    def heat(self) -> Tensor:
        """The parts (H, W) as they are known by now."""
        if self._sum is not None:
            return self._sum * self._share
        return torch.einsum("k,khw->hw", self._weights(), torch.stack(self.parts))

    def tell(self, baseline: str) -> None:
        """Say at a few points on the way how the parts have grown, and how the score has."""
        if self.trace.working is None:
            return
        weights = self._weights()
        told = 0.0
        wanted = torch.arange(1, TOLD + 1) / TOLD
        for k in sorted({int((torch.tensor(self.at) - share).abs().argmin()) for share in wanted}):
            # What comes before a point counts in full, the point itself up to where it stands.
            before = weights[: k + 1].clone()
            before[k] = self.at[k] - float(weights[:k].sum())
            heat = torch.einsum("k,khw->hw", before, torch.stack(self.parts[: k + 1]))
            total, gained = float(heat.double().sum()), self.scores[k] - self.ends[0]
            self.trace.step(
                f"With the picture faded in to {self.at[k]:.0%} from {baseline}, the score has changed by "
                f"{gained:+.2f}, and the parts so far add up to {total:+.2f}.",
                heat, weight=total - told, total=total,
            )  # fmt: skip
            told = total

    def _visit(self, points: list[float]) -> tuple[Tensor, list[float]]:
        shares = self.change.new_tensor([point or EDGE for point in points])[:, None, None, None]
        slopes, scores = self.trace.slopes_at(self.start + shares * self.change)
        return torch.einsum("nchw,chw->nhw", slopes, self.change), scores.tolist()

    def _insert(self, points: list[float], parts: Tensor, scores: list[float]) -> None:
        for point, part, score in zip(points, parts, scores, strict=True):
            place = bisect(self.at, point)
            self.at.insert(place, point)
            self.parts.insert(place, part)
            self.scores.insert(place, score)

    def _weights(self) -> Tensor:
        """What each point stands for: half of the stretches beside it, or all alike."""
        if self._sum is not None:
            return self.change.new_full((len(self.at),), self._share)
        at = self.change.new_tensor(self.at)
        edges = torch.cat([at[:1], (at[1:] + at[:-1]) / 2, at[-1:]])
        return edges.diff()

    def _misses(self) -> Tensor:
        """For each stretch, what its slopes at both ends miss of the score's change."""
        at, scores = torch.tensor(self.at, dtype=torch.float64), torch.tensor(self.scores, dtype=torch.float64)
        slopes = torch.stack([part.double().sum() for part in self.parts]).cpu()
        return scores.diff() - at.diff() * (slopes[1:] + slopes[:-1]) / 2
