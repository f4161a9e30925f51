"""Where a paper and its authors' code differ, an option gives the other: each against its formula, written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.methods.guided_integrated_gradients import _moved
from explainers.pictures import Framing

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
SINGLE = 1e-5
"""Results are kept in single precision: some dozen terms, each to 6e-8 of its size."""


@pytest.fixture(scope="module")
def trace():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12)]
    module = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 6))
    return ex.look(ex.wrap(module.double().eval(), framing=Framing(size=(24, 24), mode="squash")), PICTURE)


def close(a, b):
    return np.abs(a - np.asarray(b)).max() <= SINGLE * max(np.abs(np.asarray(b)).max(), 1e-12)


def maps_and_slopes(trace, score):
    """The last maps (K, h, w), and the slopes there of any function of the logits, by running on from the maps."""
    module, maps = trace.classifier.module, trace.maps().clone().requires_grad_()
    logits = module[-1](maps.mean((1, 2)))
    assert torch.allclose(logits, trace.logits)
    (slopes,) = torch.autograd.grad(score(logits), maps)
    return maps.detach(), slopes


@pytest.mark.parametrize(("strength", "alike"), [(1.0, 3), (0.6, 2)])
def test_finer_cam_by_probability_is_the_authors_weighted_target(trace, strength, alike):
    order = trace.logits.argsort(descending=True)
    best, others = int(order[0]), order[1 : alike + 1]

    def target(logits):
        chances = logits.softmax(0)[others]
        return (chances * (logits[best] - strength * logits[others])).sum() / chances.sum()

    maps, slopes = maps_and_slopes(trace, target)
    heat = torch.einsum("k,khw->hw", slopes.mean((1, 2)), maps).relu()
    asked = {"target": best, "score": "logit", "strength": strength, "alike": alike}
    assert close(ex.explain(trace, "finer_cam", **asked, rivals="by probability").native, heat)
    assert not close(ex.explain(trace, "finer_cam", **asked).native, heat)


def test_refine_cam_may_take_the_minimum_off_first(trace):
    depths = {trace.site(d).point: d for d in ("last", "late", "middle", "early")}.values()  # the same maps count once
    found = [ex.explain(trace, "layer_cam", depth=depth).native.astype(np.float64) for depth in depths]
    size = max(each.shape for each in found)
    lowered = [(each - each.min()) / (each.max() - each.min()) for each in found]
    wide = [F.interpolate(torch.tensor(each)[None, None], size, mode="bilinear")[0, 0].numpy() for each in lowered]
    assert close(ex.explain(trace, "refine_cam", lowest="minimum").native, np.prod(wide, 0))


def test_score_cam_by_softmax_weighs_channels_by_their_shares(trace):
    maps, pixels, gray = trace.maps(), trace.pixels, trace.baseline("gray")
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    varied = (high > low)[:, 0, 0]
    raised = ((maps - low) / (high - low))[varied]
    masks = F.interpolate(raised[None], (24, 24), mode="bilinear")[0][:, None]
    gained = trace.ask(ex.trace.Target(2)).score(gray + masks * (pixels - gray))
    heat = torch.einsum("k,khw->hw", gained.softmax(0), maps[varied]).relu()
    asked = ex.explain(trace, "score_cam", target=2, softmax=True)
    assert close(asked.native, heat)
    assert asked.unit == "activity"


def test_the_lime_packages_kernel_is_that_of_the_paper_at_root_two_of_its_width(trace):
    asked = {"pieces": "grid", "count": 16, "samples": 200, "target": 1}
    package = ex.explain(trace, "lime", **asked, width=0.25, kernel="package")
    assert close(package.native, ex.explain(trace, "lime", **asked, width=0.25 * 2**0.5).native)
    assert not close(package.native, ex.explain(trace, "lime", **asked, width=0.25).native)


@pytest.mark.parametrize("method", ["eigen_cam", "eigen_grad_cam"])
def test_eigen_cam_may_be_centered(trace, method):
    maps = trace.maps()
    values = maps if method == "eigen_cam" else maps * trace.ask(ex.trace.Target(1)).slopes()
    rows = values.flatten(1).T.numpy()
    rows = rows - rows.mean(0)
    projected = (rows @ np.linalg.svd(rows)[2][0]).reshape(maps.shape[1:])
    heat = ex.explain(trace, method, target=1, centered=True).native
    assert close(heat, projected.clip(0)) or close(heat, (-projected).clip(0))  # the vector has no sign of its own
    assert not close(ex.explain(trace, method, target=1).native, heat)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("among", "moves"),
    [
        ("free", [0, 0, 0, 0, 0, 0, 1, 0]),  # a quarter of the two that are free, at least one: that of least slope
        ("all", [0, 0, 0, 0, 0, 0, 1, 1]),  # a quarter of all eight: both
    ],
)
def test_the_fraction_that_moves_is_one_of_the_free_values_or_of_all(among, moves):
    start, end = torch.zeros(8, dtype=torch.float64), torch.ones(8, dtype=torch.float64)
    at = numbers(1, 1, 1, 1, 1, 1, 0.2, 0.2)  # six of eight have arrived
    size = numbers(0, 0, 0, 0, 0, 0, 1, 2)
    moved = _moved(at, start, end, size, 0.9, 1.0, 0.25, among)
    assert ((moved > at) == numbers(*moves).bool()).all()
    assert float((end - moved).sum()) == pytest.approx(0.1 * 8)


def test_guided_integrated_gradients_among_all_still_adds_up_on_a_straight_score(trace):
    one, other = (
        ex.explain(trace, "guided_integrated_gradients", target=1, among=among).native for among in ("free", "all")
    )
    assert not close(one, other)
    assert one.sum() == pytest.approx(other.sum(), rel=0.2)
