"""The bill: for every method, the passes told are those that ran, and the seconds those that went by."""

import time
from functools import cache

import numpy as np
import pytest
import torch
from networks import Transformer, galleries_of, small
from torch import nn

import explainers as ex
from explainers.pictures import Framing
from explainers.trace import Spent, Trace

SIZE = (32, 48)
FRAMING = Framing(size=SIZE, mode="squash")
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
LABELS = ("crane", "heron", "newt")
SPENT = ("steps", "samples", "designs", "draws", "pictures", "points")  # options by which an answer costs more
TRIES = 3
"""On a machine that others use, too, one time in three is undisturbed."""
NEAR, LEAST = 0.1, 0.02
"""Seconds told lie within a tenth, or 20 ms, of those that went by."""


class Tally:
    """What ran. It lies beside the network, which would otherwise be one that writes into itself, and run on copies."""

    forwards = backwards = arrived = 0


class Counted(torch.autograd.Function):
    """The same numbers; tells how many pictures the way back is for."""

    @staticmethod
    def forward(ctx, x, pictures):
        ctx.pictures = pictures
        return x.clone()

    @staticmethod
    def backward(ctx, arriving):
        Tally.arrived = ctx.pictures
        return arriving, None


class Probe(nn.Module):
    """A network that counts the pictures it runs for, forward, and backward.

    What runs on from tensors instead of pictures sees pictures without values, one for each version; where there is a
    way back from it, what comes in are readings of one picture, all at once.
    """

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        out = self.inside(x)
        pictures = 1 if x.is_meta and out.requires_grad else len(x)
        Tally.forwards += pictures
        return Counted.apply(out, pictures) if out.requires_grad else out


def counting(module, grad=torch.autograd.grad):
    """In the place of `torch.autograd.grad`: counts the pictures it is for; one, where it begins inside the network."""
    parameters = {id(p) for p in module.parameters()}

    def counted(outputs, *rest, **how):
        Tally.arrived, through = 0, reaches(outputs, parameters)
        found = grad(outputs, *rest, **how)
        Tally.backwards += Tally.arrived or int(through)
        return found

    return counted


def reaches(outputs, parameters):
    """Whether there are some of these parameters in a graph."""
    outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
    seen, waiting = set(), [each.grad_fn for each in outputs]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if id(getattr(node, "variable", None)) in parameters:
            return True
        seen.add(node)
        waiting.extend(before for before, _ in node.next_functions)
    return False


@cache
def models():
    opened = []
    for name, inside in (("convolutions", small(classes=3)), ("transformer", seeded(Transformer))):
        model = ex.wrap(Probe(inside).eval(), labels=LABELS, framing=FRAMING, name=name)
        opened.append(model)
    return opened


def seeded(kind):
    torch.manual_seed(0)
    return kind(SIZE, len(LABELS)).eval()


@pytest.fixture(autouse=True, scope="module")
def galleries():
    with galleries_of(models()):
        yield


@pytest.mark.parametrize("method", ex.methods(), ids=lambda m: m.id)
def test_it_tells_the_passes_that_ran_and_the_seconds_that_went_by(method, monkeypatch):
    suited = [model for model in models() if not method.why_not(model)]
    few = {o.name: int(o.minimum) for o in method.options if o.name in SPENT}
    for model in suited:
        monkeypatch.setattr(torch.autograd, "grad", counting(model.module))
        for trial in range(TRIES + 1):  # before the first, what is made once and kept is made
            about = ex.look(model, PICTURE) if Trace in method.given else model
            question = few if Trace in method.given else few | {"target": 0}
            Tally.forwards = Tally.backwards = 0
            began = time.perf_counter()
            spent = ex.explain(about, method.id, **question).spent
            took = time.perf_counter() - began
            if trial:
                assert (spent.forwards, spent.backwards) == (Tally.forwards, Tally.backwards)
            if trial and abs(took - spent.seconds) <= max(NEAR * took, LEAST):
                break
        else:
            pytest.fail(f"{method.id} told {spent.seconds:.3f} s of {took:.3f} s")


def test_time_within_time_counts_once_and_time_between_answers_not_at_all():
    spent = Spent()
    with spent.passing(forwards=2):
        time.sleep(0.02)
        with spent.passing(backwards=1):
            time.sleep(0.02)
    assert (spent.forwards, spent.backwards) == (2, 1)
    first = spent.seconds
    assert first >= 0.04
    time.sleep(0.02)
    with spent.passing():
        pass
    assert spent.seconds < first + 0.02


def test_a_pass_that_fails_is_none():
    spent = Spent()
    with pytest.raises(TypeError), spent.passing(forwards=1):
        time.sleep("long")
    assert spent.forwards == 0
    assert spent.seconds > 0
