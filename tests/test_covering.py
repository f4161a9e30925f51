"""What the methods that cover a picture share: masks, pieces, grids, choices, batches, and what changes no map."""

import itertools
import math

import numpy as np
import pytest
import torch
from networks import photo, squeezenet
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.errors import Stopped
from explainers.ingredients.covering import Covered, InPieces
from explainers.methods import kernel_shap, lime, occlusion, rise, sobol
from explainers.pictures import Framing
from explainers.trace import Target

SIDE = 16
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
FEW = {
    "occlusion": {},
    "rise": {"samples": 64},
    "lime": {"samples": 64, "pieces": "grid", "count": 16},
    "kernel_shap": {"samples": 64, "pieces": "grid", "count": 16},
    "sobol": {"designs": 4, "cells": 3},
}
each_method = pytest.mark.parametrize("method", FEW)


class Of(nn.Module):
    """Two logits: the first is any function of the pixels, the second zero."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        y = self.function(x)
        return torch.stack([y, torch.zeros_like(y)], 1)


class Grid(nn.Module):
    """Patches of so many pixels, mixed and averaged."""

    def __init__(self, patch):
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.mix = nn.Conv2d(3, 6, patch, stride=patch), nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.mix(self.patches(x).relu()).relu().mean((2, 3)))


def look(network, side=SIDE, picture=NOISE):
    framing = Framing(size=(side, side), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
    return ex.look(ex.wrap(network.eval(), framing=framing), picture)


def bare(network, **more):
    return look(network, **more).ask(Target(0, score="logit"))


def brightness(x):
    return x.mean((1, 2, 3))


# Masks and pieces ----------------------------------------------------------------------------------------------------


def test_a_mask_shows_covers_and_mixes():
    trace = bare(Of(brightness))
    covered, here = Covered(trace, "white"), float(trace.pixels.mean())
    masks = torch.stack([torch.ones(SIDE, SIDE), torch.zeros(SIDE, SIDE), torch.full((SIDE, SIDE), 0.25)])
    assert covered.scores(masks).tolist() == pytest.approx([here, 1, 0.25 * here + 0.75])
    assert covered.ends() == pytest.approx((1, here))


def test_what_is_shown_or_covered_whole_is_so_to_the_bit():
    picture = torch.from_numpy(NOISE).permute(2, 0, 1) / 255

    def which(x):
        return sum(sign * (x == like).all(-1).all(-1).all(-1).float() for sign, like in ((1, picture), (-1, 1)))

    covered = Covered(bare(Of(lambda x: which(x) + 0 * brightness(x))), "white")
    assert covered.scores(torch.stack([torch.ones(SIDE, SIDE), torch.zeros(SIDE, SIDE)])).tolist() == [1, -1]


def test_pieces_are_painted_as_they_are_or_spread_so_that_the_map_adds_up():
    trace = look(Of(brightness), 60, photo("tabby"))
    covered = InPieces(trace, "gray", "superpixels", 6)
    values = torch.arange(1.0, covered.count + 1)
    assert torch.equal(covered.painted(values), values[covered.labels])
    assert float(covered.spread(values).sum()) == pytest.approx(float(values.sum()))
    on_grid = InPieces(trace, "gray", "grid", 9)
    assert on_grid.spread(torch.arange(9.0)).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_scores_are_told_when_there_are_enough_more_of_them():
    covered = InPieces(bare(Of(brightness)), "gray", "grid", 16)
    shown = torch.rand(2000, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    told = list(covered.scored(shown))
    sizes = [len(scores) for scores in told]
    assert sizes[0] == covered.trace.at_once
    assert sizes[-1] == 2000
    assert all(torch.equal(a, b[: len(a)]) for a, b in itertools.pairwise(told))
    expected = brightness(torch.lerp(covered.cover, covered.pixels, shown[:, covered.labels][:, None].float()))
    assert told[-1].numpy() == pytest.approx(expected.numpy(), abs=rounding(3 * SIDE**2))


# Grids and windows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("patch", "grid", "cells"), [(4, 4, 16), (4, 7, 14), (2, 12, 12), (1, 48, 16), (1, 20, 10)])
def test_cells_are_those_of_the_network_or_parts_of_them_or_several_whole(patch, grid, cells):
    trace = look(Grid(patch), patch * grid)
    assert trace.classifier.anatomy.sites["last"].layout.grid == (grid, grid)
    assert ex.explain(trace, "occlusion", window=1).native.shape == (cells, cells)
    edges = torch.nonzero(occlusion._cells(patch * grid, grid).diff())[:, 0] + 1
    own = {patch * k for k in range(grid)}
    assert set(edges.tolist()) <= own or own <= {0, *edges.tolist()}


def test_tokens_are_never_cut():
    assert occlusion._cells(16, 4, whole=True).tolist() == [k // 4 for k in range(16)]
    assert occlusion._cells(20, 20, whole=True).tolist() == [k // 2 for k in range(20)]
    trace = ex.look(ex.load("pond:vit"), "examples/pond_1.png")
    assert trace.classifier.anatomy.sites["last"].layout.grid == (8, 8)
    assert ex.explain(trace, "occlusion").native.shape == (8, 8)


def test_each_window_is_tried_once_and_far_apart_ones_first():
    for grid, window, step in (((12, 12), 2, 1), ((7, 9), 3, 3), ((5, 5), 9, 1)):
        ends = (max(1, side - window + 1) if step == 1 else side for side in grid)
        wanted = itertools.product(*(range(0, end, step) for end in ends))
        assert sorted(occlusion._corners(grid, window, step).tolist()) == sorted(map(list, wanted))
    assert occlusion._corners((12, 12), 2, 1).tolist()[:4] == [[0, 0], [0, 8], [8, 0], [8, 8]]


def test_a_cell_that_no_window_has_covered_shows_what_the_nearest_one_says():
    corners, losses = torch.tensor([[0, 0], [0, 2]]), torch.tensor([3.0, 5.0])
    assert occlusion._nearest(losses, corners, 2, torch.zeros(2, 4)).tolist() == [[3, 3, 5, 5], [3, 3, 5, 5]]


# Random masks and choices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [0.5, 0.2])
def test_soft_masks_vary_alike_everywhere(shown):
    masks = rise._masks(20000, 5, shown, Covered(bare(Of(brightness)), "gray"), torch.Generator().manual_seed(0))
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert float(masks.mean()) == pytest.approx(shown, abs=0.01)
    # Along each side, a pixel has shares u and 1 − u of two cells, u uniform, and E(u² + (1 − u)²) = 2/3.
    assert masks.var(0).numpy() == pytest.approx(shown * (1 - shown) * (2 / 3) ** 2, rel=0.06)


@pytest.mark.parametrize(("m", "samples"), [(2, 32), (4, 32), (5, 65), (9, 510), (9, 300), (16, 512), (200, 33)])
def test_choices_come_in_pairs_of_opposites_and_weigh_as_the_kernel_does(m, samples):
    shown, weights, drawn = kernel_shap._choices(m, samples, 0)
    sizes, whole = shown.sum(1), len(shown) - drawn
    assert torch.equal(shown[::2], ~shown[1::2])
    assert len(shown) == min(samples - samples % 2, 2**m - 2)
    assert 0 < sizes.min() <= sizes.max() < m
    assert len({tuple(row) for row in shown[:whole].tolist()}) == whole
    for size in {int(s) for s in sizes[:whole]}:
        these = weights[:whole][sizes[:whole] == size]
        assert len(these) == math.comb(m, size)
        assert these.numpy() == pytest.approx(1 / (math.comb(m, size) * size * (m - size)))
    assert float(weights.sum()) == pytest.approx(sum(1 / (s * (m - s)) for s in range(1, m)))
    assert (drawn == 0) == (2**m - 2 <= samples)


def test_the_fit_is_exact_in_double_precision():
    """Three do together what they share in thirds; the fourth adds by itself."""
    shown, weights, drawn = kernel_shap._choices(4, 32, 0)
    gained = 6.0 * shown[:, :3].all(1) - 2.0 * shown[:, 3]
    shares, error = kernel_shap._fair(shown.double(), gained.double(), weights, 4.0, (drawn, drawn))
    assert shares.numpy() == pytest.approx([2, 2, 2, -2], abs=rounding(1000, 4, torch.float64))
    assert not error.any()


def test_a_picture_in_one_piece_has_one_share():
    shown, weights, drawn = kernel_shap._choices(1, 32, 0)
    assert shown.shape == (0, 1)
    shares, _ = kernel_shap._fair(shown.double(), torch.zeros(0).double(), weights, 2.5, (drawn, drawn))
    assert shares.tolist() == [2.5]


def test_shares_of_superpixels_are_spread_over_them_and_add_up():
    trace = ex.look(squeezenet(torch.float64), photo("goldfinch"))
    e = ex.explain(trace, "kernel_shap", samples=32, count=8)
    view = trace.ask(Target(trace.class_index))
    covered = InPieces(view, "gray", "superpixels", 8)
    assert e.native.shape == (227, 227)
    for piece in range(covered.count):
        assert len(np.unique(e.native[(covered.labels == piece).numpy()])) == 1
    nothing, everything = covered.ends()
    assert float(e.native.sum(dtype=np.float64)) == pytest.approx(
        everything - nothing, abs=rounding(1, np.abs(e.native).sum())
    )
    assert "pixel" in e.result.unit


def test_lime_says_when_it_cannot_tell_pieces_apart_and_when_no_linear_rule_accounts_for_the_scores():
    def parity(x):  # of the four quarters
        return x.unfold(2, 8, 8).unfold(3, 8, 8).mean((1, 4, 5)).sub(0.25).sign().flatten(1).prod(1)

    assert "too few" in ex.explain(look(Grid(4)), "lime", pieces="grid", count=144, samples=100).result.note
    note = ex.explain(look(Of(parity)), "lime", pieces="grid", count=4, cover="black", width=5.0).result.note
    assert note == "The linear rule accounts for 0% of how the scores vary."
    *_, explained = lime._fitted(torch.eye(3).double(), torch.arange(3.0).double(), torch.ones(3).double(), 0.0)
    assert explained is None


def test_each_design_of_sobol_changes_one_cell_at_a_time_and_all_of_them_fill_the_square():
    masks = sobol._designs(16, 49, 0)
    assert masks.shape == (16, 50, 49)
    changed = masks[:, 1:] != masks[:, :1]
    assert torch.equal(changed, torch.eye(49, dtype=torch.bool).expand(16, 49, 49))
    own, other = masks[:, 0], masks[:, 1:].diagonal(dim1=1, dim2=2)  # (16, 49) each
    for each in (own, other):  # each sixteenth of the way is there once
        assert torch.equal((each * 16).long().sort(0).values, torch.arange(16)[:, None].expand(16, 49))
    assert (own - other).square().mean(0).numpy() == pytest.approx(1 / 6, rel=0.15)


# What must not change a map, and batches -----------------------------------------------------------------------------


@each_method
def test_twice_the_score_is_twice_the_map_and_a_constant_on_every_logit_changes_nothing(method):
    network = Grid(4).double()
    own = ex.explain(look(network), method, target=1, **FEW[method]).native
    with torch.no_grad():
        network.head.weight *= 2
        network.head.bias.copy_(2 * network.head.bias + 5)
    again = ex.explain(look(network), method, target=1, **FEW[method]).native
    times = 1 if method == "sobol" else 2  # a share of the variance stays what it is
    assert again == pytest.approx(times * own, abs=rounding(6, own))  # occlusion adds 4 windows up in single precision


@each_method
def test_it_runs_in_full_batches_and_shows_a_map_after_the_first(method):
    trace, sizes, seen = look(Grid(8), 96), [], []
    trace.logits  # noqa: B018 - the pass that finds the winning class
    handle = trace.classifier.module.register_forward_pre_hook(lambda m, given: sizes.append(len(given[0])))
    options = {**FEW[method], **({"samples": 300} if "samples" in FEW[method] else {})}
    for e in ex.engine.stream(trace, method, **options):
        seen.append([size for size in sizes if size > 2])  # without the picture and the cover themselves
        if method != "sobol":  # which asks about one cell after the other
            assert (e.native != 0).mean() > 0.9  # a cell that no mask of a batch has told apart stays 0
    handle.remove()
    assert len(seen[0]) == 1
    assert set(seen[-1][:-1]) <= {trace.at_once}


@each_method
def test_it_can_be_stopped_at_the_next_batch(method):
    trace, maps = look(Grid(8), 224), []
    answers = ex.engine.stream(trace, method, stop=lambda: bool(maps), **FEW[method])
    maps.append(next(answers))
    with pytest.raises(Stopped):
        next(answers)
