"""Robustness to one transform, swept from end to end (after Hendrycks & Dietterich, ICLR 2019)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..augmenting import SWEEPS, Sweep, Trial, find_sweep, put
from ..registry import Family, Need, explainer
from ..results import Curve, Curves, Mark
from ..trace import Trace

PICTURES = 5
"""So many places along the way show their picture, beside those where the decision flips."""


@explainer(
    title="Robustness",
    family=Family.AUGMENTATION,
    needs={Need.NO_BANDS},
    paper="https://arxiv.org/abs/1903.12261",
    passes=(26, 0),
    fills="augment.curve",
)
def robustness(
    trace: Trace,
    *,
    transform: Annotated[
        str, Field(description="What is swept.", json_schema_extra={"choices": list(SWEEPS)})
    ] = "rotation",
    points: Annotated[int, Field(ge=3, le=61, description="How many values are tried.")] = 25,
    seeds: Annotated[
        int, Field(ge=1, le=8, description="How often each is tried, where something is drawn: a place, or noise.")
    ] = 3,
) -> Iterator[Curves]:
    """How much of a transform does the chosen class stand?

    Sweep one parameter from end to end, put each picture to the network, and follow the probability of the class (or
    the number of a regression) and one over its rank (1 while it wins). Where something is drawn at random, the band
    spans the lowest and highest.
    Read it as: the wider the plateau, the more of this transform the answer stands; a mark shows where it flips.
    Beware: turning and moving bring in black edges, which are a change of their own.
    """
    sweep = find_sweep(transform)
    repeats = seeds if sweep.random else 1
    values, size = sweep.values(points), (trace.pixels.shape[-2], trace.pixels.shape[-1])
    recipes = [sweep.recipe(value, size, seed) for value in values for seed in range(repeats)]
    trials: list[Trial] = []
    for batch in put(trace, recipes):
        trials += batch
        whole = len(trials) // repeats
        if whole > 1:
            yield _curves(trace, sweep, values[:whole], trials[: whole * repeats], len(trials) / len(recipes))


def _curves(trace: Trace, sweep: Sweep, values: list[float], trials: list[Trial], done: float) -> Curves:
    head = trace.classifier.head
    logits = torch.stack([trial.logits for trial in trials])  # (P · seeds, C)
    reading = head.readings(logits)[:, trace.class_index].view(len(values), -1)
    curves = [_curve(head.reading, reading)]
    if head.probable and not head.single:
        ranks = (logits > logits[:, trace.class_index, None]).sum(1) + 1
        curves.append(_curve("1 / rank", (1 / ranks).view(len(values), -1)))
    stations = tuple(
        Mark(value, str(trial.recipe), trial.colors, trial.facts(trace))
        for value, trial in zip(values, trials[:: reading.shape[1]], strict=True)
    )
    return Curves(
        np.array(values, np.float32),
        tuple(curves),
        along_unit=f"{sweep.title} ({sweep.unit})" if sweep.unit else sweep.title,
        unit="share" if head.probable else head.points("output"),
        marks=tuple(_marks(trace, stations)),
        stations=stations,
        done=done,
    )


def _curve(label: str, each: Tensor) -> Curve:
    if each.shape[1] == 1:
        return Curve(label, each[:, 0].numpy())
    return Curve(label, each.mean(1).numpy(), each.amin(1).numpy(), each.amax(1).numpy())


def _marks(trace: Trace, stations: tuple[Mark, ...]) -> Iterator[Mark]:
    """Some stations on the way, evenly spread, and each where another class takes over."""
    said, count = [station.facts for station in stations], len(stations)
    flips = {n for n in range(1, count) if said[n]["label"] != said[n - 1]["label"]}
    spread = {round(n) for n in np.linspace(0, count - 1, min(PICTURES, count))}
    for n in sorted(flips | spread):
        words = said[n]["label" if trace.classifier.head.probable else "told"]
        yield replace(stations[n], caption=f"flips to {words}" if n in flips else words)
