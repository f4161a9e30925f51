"""Covering parts of a picture: by algebra on games and linear networks, by enumeration, and on the real networks."""

from itertools import pairwise, product
from math import factorial

import numpy as np
import pytest
import torch
from networks import cifar, photo, resnet20, squeezenet
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.pictures import Framing

SIZE = (24, 36)
FRAMING = Framing(size=SIZE, mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
WHITE = np.full((*SIZE, 3), 255, np.uint8)
GRAY = 0.5  # what gray is where a network knows of no mean


class Linear(nn.Module):
    """Three scores, each a weighted sum of the pixels as they come; the weights have a mean of about zero."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weights = nn.Parameter(torch.randn(3, 3, *SIZE, generator=generator) / 10)

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weights)


class Game(nn.Module):
    """Two scores, a game over how bright each cell of a grid is, and another; white over black, 1 is shown and 0 not.

    The cells are those of a `side` × `side` grid, row by row.
    """

    def __init__(self, side, game, other=lambda cells: cells[:, 0] * 0):
        super().__init__()
        self.side, self.games = side, (game, other)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        cells = nn.functional.adaptive_avg_pool2d(x, self.side).mean(1).flatten(1)
        return torch.stack([game(cells) for game in self.games], 1) + self.unused


class Convolutions(nn.Module):
    """Convolutions of which one looks across, and a head that is not linear."""

    def __init__(self, looks_at=slice(None), turned=False):
        super().__init__()
        torch.manual_seed(0)
        self.looks_at, self.turned = looks_at, turned
        self.first, self.second = nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, x):
        x = (x.flip(3) if self.turned else x)[..., self.looks_at]
        maps = self.second(self.first(x).relu()).relu()
        return 20 * self.head(3 * maps.mean((2, 3)))


def traced(module, picture=NOISE):
    """In double precision, where what a game is worth can be told to the last digit of a map."""
    module = module.double().eval()
    labels = [f"class {i}" for i in range(_classes(module))]
    model = ex.wrap(module, labels=labels, framing=FRAMING, name="net")
    return ex.look(model, picture)


def _classes(module):
    with torch.no_grad():
        return module(torch.zeros(1, 3, *SIZE, dtype=torch.float64)).shape[1]


def game(side, play, **question):
    return traced(Game(side, play), WHITE), {"target": 0, "score": "logit", "cover": "black", **question}


def of_cells(values, side):
    """Values (…) of pixels summed over the cells of a grid."""
    rows, columns = np.arange(SIZE[0]) * side // SIZE[0], np.arange(SIZE[1]) * side // SIZE[1]
    summed = np.zeros((side, side))
    np.add.at(summed, (rows[:, None], columns[None, :]), values)
    return summed


def shapley(worth, m):
    """Each player's share by the definition: `worth` (2^m,) of the coalition whose members are the bits of its number.

    The mean over all orders of what a player adds, as a sum over the coalitions without it.
    """
    shares, numbers = np.zeros(m), np.arange(2**m)
    sizes = np.array([bin(n).count("1") for n in numbers])
    counts = np.array([factorial(s) * factorial(m - s - 1) / factorial(m) if s < m else 0 for s in range(m + 1)])
    for i in range(m):
        without = numbers[(numbers >> i) & 1 == 0]
        shares[i] = (counts[sizes[without]] * (worth[without | 1 << i] - worth[without])).sum()
    return shares


def coalitions(m):
    return ((np.arange(2**m)[:, None] >> np.arange(m)) & 1).astype(np.float64)


class Fed:
    """What a network is fed while this lasts, as pixels in [0, 1], and what it says."""

    def __init__(self, model):
        self.model, self.inputs, self.outputs = model, [], []

    def __enter__(self):
        self.handle = self.model.module.register_forward_hook(self._take)
        return self

    def __exit__(self, *_):
        self.handle.remove()

    def _take(self, module, inputs, output):
        mean, std = (
            torch.tensor(each, dtype=torch.float64)[:, None, None]
            for each in (self.model.framing.mean, self.model.framing.std)
        )
        self.inputs += list(inputs[0].detach() * std + mean)
        self.outputs += list(output.detach())

    def shown(self, pixels, cover):
        """How much of the picture each was shown (N, H, W), and where that can be told: (H, W)."""
        apart = (pixels - cover).abs()
        strongest = apart.argmax(0, keepdim=True)
        inputs = torch.stack(self.inputs)
        several = strongest.expand(len(inputs), 1, *strongest.shape[1:])
        part = (inputs.gather(1, several)[:, 0] - cover.gather(0, strongest)) / ((pixels - cover).gather(0, strongest))
        return part, apart.amax(0) > 0.1

    def scores(self, target):
        logits = torch.stack(self.outputs).double()
        return logits[:, target] - logits.mean(1)


# Occlusion -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "overlap"), [(1, True), (2, True), (3, True), (2, False), (5, False), (16, True)])
def test_occlusion_of_a_linear_score_is_the_part_under_the_window(window, overlap):
    trace = traced(Linear())
    e = ex.explain(trace, "occlusion", target=1, score="logit", window=window, overlap=overlap)
    parts = (trace.classifier.module.weights[1] * (trace.pixels - GRAY)).sum(0).detach().double().numpy()
    side = e.native.shape[0]
    assert e.native.shape == (side, side)
    in_cells, total, seen = of_cells(parts, side), np.zeros((side, side)), np.zeros((side, side))
    ends = (range(0, side, window),) * 2 if not overlap else (range(max(1, side - window + 1)),) * 2
    for top, left in product(*ends):
        under = np.s_[top : top + window, left : left + window]
        total[under] += in_cells[under].sum() / in_cells[under].size
        seen[under] += 1
    near = rounding(window**2 + 2, e.native)  # of single precision are the sum over the windows on a cell, and a map
    assert np.abs(e.native - total / seen).max() <= near
    if not overlap or window >= side or window == 1:
        gained = float(trace.logits[1] - trace.logits_at(torch.full((1, 3, *SIZE), GRAY).double())[0, 1])
        assert e.native.sum(dtype=np.float64) == pytest.approx(gained, abs=e.native.size * near)


@pytest.mark.parametrize(
    ("network", "picture", "window", "places"),
    [
        (resnet20, lambda: cifar("cat"), 2, [(0, 0), (3, 4), (7, 7)]),
        (squeezenet, lambda: photo("tree_frog"), 8, [(1, 0)]),
    ],
    ids=["resnet20", "squeezenet"],
)
def test_occlusion_of_a_real_network_window_by_window(network, picture, window, places):
    model = network(torch.float64)
    trace = ex.look(model, picture())
    pixels, cover, target = trace.pixels, trace.baseline("blur"), trace.class_index
    e = ex.explain(trace, "occlusion", window=window, cover="blur", overlap=False)
    cells = {"resnet20": 16, "squeezenet1_0": 13}[model.name]  # the 8 × 8 cells of its last maps halved, and 13 × 13
    assert e.native.shape == (cells, cells)
    cell = torch.arange(pixels.shape[1]) * cells // pixels.shape[1] // window
    before = float(trace.logits[target] - trace.logits.mean())
    for row, column in places:
        under = (cell[:, None] == row) & (cell == column)
        with torch.no_grad():
            logits = model.module(model.framing.normalize(torch.where(under, cover, pixels)[None]))[0]
        lost = before - float(logits[target] - logits.mean())
        there = e.native[row * window : (row + 1) * window, column * window : (column + 1) * window]
        assert there == pytest.approx(np.full(there.shape, lost / there.size), rel=rounding(3))


def test_occlusion_shows_something_of_every_place_from_the_first_batch_on():
    trace = traced(Convolutions())
    first = next(iter(ex.engine.stream(trace, "occlusion", window=1)))
    assert first.result.done < 1
    assert (first.native != 0).mean() > 0.9  # only where a window changes no score at all is it 0


# RISE ----------------------------------------------------------------------------------------------------------------


def spline(apart):
    """What two places so far apart, in cells, have in common: the tent between centers, with itself."""
    apart = np.abs(apart)
    near, far = 2 / 3 - apart**2 + apart**3 / 2, np.clip(2 - apart, 0, None) ** 3 / 6
    return np.where(apart < 1, near, far)


@pytest.mark.parametrize(("cells", "shown"), [(7, 0.5), (4, 0.25)])
def test_rise_of_a_linear_score_is_the_part_of_each_place_as_blurred_by_the_masks(cells, shown):
    trace = traced(Linear())
    e = ex.explain(trace, "rise", target=2, score="logit", cells=cells, shown=shown, samples=8000)
    parts = (trace.classifier.module.weights[2] * (trace.pixels - GRAY)).sum(0).detach().double().numpy()
    down, across = (spline(np.subtract.outer(np.arange(n), np.arange(n)) * cells / n) for n in SIZE)
    expected = (1 - shown) * down @ parts @ across
    off = (e.native - expected) / e.result.error
    assert np.sqrt((off**2).mean()) < 1.6  # a few large blobs of chance: far from as many draws as pixels
    assert np.abs(off).max() < 5
    assert np.corrcoef(e.native.ravel(), expected.ravel())[0, 1] > 0.97


def test_the_standard_error_of_rise_is_how_far_other_seeds_lie_apart():
    trace = traced(Convolutions())
    answers = [ex.explain(trace, "rise", samples=256, seed=seed) for seed in range(24)]
    apart = np.std([e.native for e in answers], axis=0, ddof=1)
    said = np.sqrt(np.mean([e.result.error**2 for e in answers], axis=0))
    assert np.sqrt((apart**2).mean() / (said**2).mean()) == pytest.approx(1, abs=0.2)


def test_rise_shows_as_much_as_asked_at_every_place():
    trace = traced(Linear(), WHITE)
    with Fed(trace.classifier) as fed:
        ex.explain(trace, "rise", samples=8000, shown=0.3, cover="black", cells=5)
    shown = torch.stack(fed.inputs[1:]).mean((0, 1))  # the first is the picture itself
    assert len(fed.inputs) == 8001
    assert shown.mean() == pytest.approx(0.3, abs=0.01)
    assert shown.numpy() == pytest.approx(np.full(SIZE, 0.3), abs=0.03)


def test_rise_is_chance_by_its_seed_only_and_flat_where_the_score_is():
    trace = traced(Convolutions())
    one, same, other = (ex.explain(trace, "rise", samples=64, seed=seed).native for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    flat, question = game(2, lambda cells: cells[:, 0] * 0 + 7.3)
    assert ex.explain(flat, "rise", samples=64, **question).blank


def test_rise_of_the_real_network_mask_by_mask():
    trace = ex.look(resnet20(torch.float64), cifar("frog"))
    pixels, cover, target = trace.pixels, trace.baseline("gray"), trace.class_index
    with Fed(trace.classifier) as fed:
        e = ex.explain(trace, "rise", samples=64, shown=0.4)
    part, told = fed.shown(pixels, cover)
    scores = fed.scores(target)
    assert len(scores) == 64
    by_hand = sum((score - scores.mean()) * each for score, each in zip(scores, part.double(), strict=True)) / 64 / 0.4
    assert e.native[told] == pytest.approx(by_hand[told].numpy(), abs=rounding(1, by_hand))


def test_the_working_of_rise_ends_with_its_answer():
    trace = traced(Convolutions())
    e = ex.explain(trace, "rise", samples=64, working=True)
    assert len(e.working) > 4
    assert np.array_equal(e.working[-1].heat, e.native)


# LIME ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "samples"), [(9, 512), (36, 400)])  # all choices there are, and some of them
def test_lime_finds_the_weights_of_a_linear_score(count, samples):
    trace, side = traced(Linear()), round(count**0.5)
    parts = (trace.classifier.module.weights[0] * (trace.pixels - GRAY)).sum(0).detach().double().numpy()
    e = ex.explain(trace, "lime", target=0, score="logit", pieces="grid", count=count, samples=samples, ridge=0.0)
    assert e.native == pytest.approx(of_cells(parts, side), abs=rounding(1, e.native))
    assert "100%" in e.result.note


def test_lime_paints_each_superpixel_in_its_weight():
    trace = traced(Linear(), ex.pictures.Picture.read("examples/chelsea.jpg"))
    e = ex.explain(trace, "lime", target=0, score="logit", count=12, samples=600, ridge=0.0)
    parts = (trace.classifier.module.weights[0] * (trace.pixels - GRAY)).sum(0).detach().numpy()
    values = np.unique(e.native)
    assert 6 <= len(values) <= 24
    for value in values:
        assert parts[e.native == value].sum() == pytest.approx(value, abs=rounding(1, e.native))


def test_lime_of_the_real_network_is_the_weighted_fit_to_what_it_was_fed():
    trace = ex.look(resnet20(torch.float64), cifar("ship"))
    pixels, cover, target = trace.pixels, trace.baseline("gray"), trace.class_index
    with Fed(trace.classifier) as fed:
        e = ex.explain(trace, "lime", pieces="grid", count=9, samples=48, width=0.4, ridge=0.0)
    part, told = fed.shown(pixels, cover)
    rows = columns = np.arange(32) * 3 // 32
    shown = np.array(
        [
            [
                float(each[(rows[:, None] == r) & (columns == c) & told.numpy()].median())
                for r in range(3)
                for c in range(3)
            ]
            for each in part
        ]
    ).round()
    cosine = np.sqrt(shown.mean(1))
    near = np.sqrt(np.exp(-((1 - cosine) ** 2) / 0.4**2))
    design = np.c_[shown, np.ones(48)] * near[:, None]
    weights = np.linalg.lstsq(design, fed.scores(target).numpy() * near, rcond=None)[0][:-1]
    assert shown[0].all()
    assert e.native.ravel() == pytest.approx(weights, abs=rounding(1, weights))


def test_the_standard_error_of_lime_is_how_far_other_seeds_lie_apart():
    trace = traced(Convolutions())
    question = {"pieces": "grid", "count": 16, "samples": 300}
    answers = [ex.explain(trace, "lime", **question, seed=seed) for seed in range(24)]
    apart = np.std([e.native for e in answers], axis=0, ddof=1)
    said = np.sqrt(np.mean([e.result.error**2 for e in answers], axis=0))
    assert np.sqrt((apart**2).mean() / (said**2).mean()) == pytest.approx(1, abs=0.25)


# Kernel SHAP ---------------------------------------------------------------------------------------------------------


def test_an_additive_game_pays_everybody_what_they_bring():
    worth = torch.tensor([3.0, -1.0, 0.0, 0.5]).double()
    trace, question = game(2, lambda cells: cells @ worth)
    e = ex.explain(trace, "kernel_shap", pieces="grid", count=4, **question)
    assert e.native.ravel() == pytest.approx(worth.numpy(), abs=rounding(1, worth))
    assert e.result.error is None  # all choices were tried: nothing of it is chance


def test_who_adds_nothing_gets_nothing_and_alike_get_alike():
    trace, question = game(2, lambda cells: 6 * cells[:, 0] * cells[:, 1] * cells[:, 3] + cells[:, 0] + cells[:, 1])
    first, second, nobody, third = ex.explain(trace, "kernel_shap", pieces="grid", count=4, **question).native.ravel()
    near = rounding(1, 3)
    assert first == pytest.approx(3, abs=near)  # a third of what three do together, and what is its own
    assert second == pytest.approx(first, abs=near)
    assert third == pytest.approx(2, abs=near)
    assert nobody == pytest.approx(0, abs=near)


@pytest.mark.parametrize("score", ["centered_logit", "log_prob", "probability"])
def test_kernel_shap_of_a_network_is_the_share_over_all_orders(score):
    trace = traced(Convolutions())
    view = trace.ask(ex.trace.Target(1, None, score))
    e = ex.explain(trace, "kernel_shap", target=1, score=score, pieces="grid", count=9, samples=512)
    rows, columns = (torch.arange(n) * 3 // n for n in SIZE)
    shown = torch.tensor(coalitions(9))[:, rows[:, None] * 3 + columns]
    worth = view.score(GRAY + shown[:, None] * (trace.pixels - GRAY)).double().numpy()
    assert e.native.ravel() == pytest.approx(shapley(worth, 9), abs=rounding(1, e.native))
    assert e.result.adds_up.whole == pytest.approx(worth[-1] - worth[0], abs=rounding(8 * 75, 1, torch.float64))
    assert e.result.adds_up.residual < rounding(
        3 * 9, np.abs(e.native).sum() / abs(worth[-1] - worth[0]), torch.float64
    )


def test_kernel_shap_of_the_real_network_is_the_share_over_all_orders():
    trace = ex.look(resnet20(torch.float64), cifar("frog"))
    e = ex.explain(trace, "kernel_shap", pieces="grid", count=4)
    side = torch.arange(32) * 2 // 32
    shown = torch.tensor(coalitions(4))[:, None, side[:, None] * 2 + side]
    pictures = trace.classifier.framing.normalize(torch.lerp(trace.baseline("gray"), trace.pixels, shown))
    with torch.no_grad():
        logits = trace.classifier.module(pictures)
    worth = (logits[:, trace.class_index] - logits.mean(1)).numpy()
    assert e.native.ravel() == pytest.approx(shapley(worth, 4), abs=rounding(1, e.native))


def test_kernel_shap_closes_in_as_samples_grow_always_sums_and_says_how_far_it_is_off():
    m, generator = 36, torch.Generator().manual_seed(0)
    alone = torch.randn(m, generator=generator, dtype=torch.float64)
    pairs = torch.randn(m, m, generator=generator, dtype=torch.float64) / 4

    def play(cells):
        return cells @ alone + torch.einsum("ni,ij,nj->n", cells, pairs, cells) + 9 * cells[:, :4].prod(1)

    # What two do together is halved, and what four do is quartered.
    truth = (alone + (pairs.sum(0) + pairs.sum(1)) / 2 + 9 / 4 * (torch.arange(m) < 4)).numpy()
    trace, question = game(6, play)
    sizes, missed, said = (320, 640, 1280), [], []  # in none of them, all choices of two pieces are taken
    for samples in sizes:
        answers = [
            ex.explain(trace, "kernel_shap", pieces="grid", count=m, samples=samples, seed=seed, **question)
            for seed in range(8)
        ]
        spread = np.abs(answers[0].native).sum() / abs(truth.sum())
        assert all(e.result.adds_up.residual < rounding(3 * m, spread, torch.float64) for e in answers)
        for e in answers:
            assert e.native.sum(dtype=np.float64) == pytest.approx(truth.sum(), abs=rounding(m, e.native))
        missed.append(np.sqrt(np.mean([(e.native.ravel() - truth) ** 2 for e in answers])))
        said.append(np.sqrt(np.mean([e.result.error**2 for e in answers])))
    slope = np.polyfit(np.log(np.array(sizes) - 72), np.log(missed), 1)[0]  # 72 are not drawn, but always taken
    assert slope == pytest.approx(-0.5, abs=0.1)
    assert np.array(said) / missed == pytest.approx(np.ones(3), abs=0.25)


# Sobol ---------------------------------------------------------------------------------------------------------------


def test_sobol_indices_of_a_sum_are_the_squares_of_its_weights():
    weights = torch.tensor([3.0, -2.0, 1.0, 0.0]).double()
    trace, question = game(2, lambda cells: cells @ weights)
    e = ex.explain(trace, "sobol", cells=2, designs=64, **question)
    expected = (weights.square() / 14).numpy()
    assert e.native.ravel() == pytest.approx(expected, abs=0.1)
    assert (np.abs(e.native.ravel() - expected) <= 3 * e.result.error.ravel() + rounding(1)).all()
    assert e.native[1, 1] == 0


def test_sobol_indices_of_a_product_count_what_two_do_together_for_both():
    # Of p·q with both uniform: the mean of q² times the variance of p, over the whole: (1/3)(1/12) / (1/9 − 1/16).
    trace, question = game(2, lambda cells: 5 * cells[:, 1] * cells[:, 2])
    e = ex.explain(trace, "sobol", cells=2, designs=64, **question)
    assert e.native.ravel() == pytest.approx([0, 4 / 7, 4 / 7, 0], abs=0.12)
    assert e.native[0, 0] == e.native[1, 1] == 0


def test_sobol_of_the_real_network_from_what_it_was_fed():
    trace = ex.look(resnet20(torch.float64), cifar("cat"))
    target = trace.class_index
    with Fed(trace.classifier) as fed:
        e = ex.explain(trace, "sobol", cells=3, designs=8)
    scores = fed.scores(target).numpy().reshape(8, 10)
    parts = np.array([np.mean([(s[cell + 1] - s[0]) ** 2 / 2 for s in scores]) for cell in range(9)])
    assert e.native.ravel() == pytest.approx(np.minimum(parts / scores.var(), 1), rel=rounding(2))


def test_no_sobol_index_on_the_way_is_above_all_there_is_or_surer_than_one_draw_can_be():
    trace = traced(Convolutions())
    answers = list(ex.engine.stream(trace, "sobol", cells=12, designs=4))
    assert len(answers) > 2
    for e in answers:
        assert e.native.max() <= 1
        assert (e.result.error is None) == (e.result.done < 0.5)


# All of them ---------------------------------------------------------------------------------------------------------

FEW = {
    "occlusion": {},
    "rise": {"samples": 128},
    "lime": {"pieces": "grid", "count": 16, "samples": 200},
    "kernel_shap": {"pieces": "grid", "count": 16, "samples": 200},
    "sobol": {"designs": 4, "cells": 4},
}
EVERY = pytest.mark.parametrize("method", FEW)


@pytest.mark.parametrize("method", ["occlusion", "rise", "lime", "kernel_shap"])
def test_the_map_of_a_difference_is_the_difference_of_the_maps(method):
    trace = traced(Convolutions())
    one, two = (ex.explain(trace, method, target=i, score="logit", **FEW[method]).native for i in (1, 3))
    both = ex.explain(trace, method, target=1, versus=3, **FEW[method]).native
    assert both == pytest.approx(one - two, abs=rounding(4, np.maximum(abs(one), abs(two))))


@pytest.mark.parametrize(("method", "options"), [("occlusion", {}), ("kernel_shap", {"pieces": "grid", "count": 9})])
def test_a_network_that_mirrors_its_picture_gives_the_mirrored_map_of_the_mirrored_picture(method, options):
    straight = ex.explain(traced(Convolutions()), method, target=0, **options).native
    turned = ex.explain(traced(Convolutions(turned=True), NOISE[:, ::-1].copy()), method, target=0, **options).native
    assert turned[:, ::-1] == pytest.approx(straight, abs=rounding(6, straight))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("occlusion", {"window": 1}),
        ("kernel_shap", {"pieces": "grid", "count": 4}),
        ("sobol", {"cells": 4, "designs": 8}),
    ],
)
def test_nothing_is_laid_where_the_network_is_blind(method, options):  # LIME's fit does lay some where it sees pairs
    trace = traced(Convolutions(looks_at=slice(0, SIZE[1] // 2)))
    heat = np.abs(ex.explain(trace, method, **options).native)
    half = -(-heat.shape[1] // 2)  # a cell over the middle belongs to the seeing half
    assert heat[:, :half].max() > 0
    assert heat[:, half:].max() <= rounding(100, trace.logits, torch.float64)


@EVERY
def test_the_first_map_comes_with_the_first_batch_and_few_maps_cost_little(method):
    trace = traced(Convolutions())
    trace.logits  # noqa: B018 - the pass that finds the winning class
    spent = [e.spent.forwards for e in ex.engine.stream(trace, method, **FEW[method])]
    assert spent[0] <= trace.at_once + 2  # the ends that Kernel SHAP holds, or the picture itself
    assert all(a < b for a, b in pairwise(spent))


@EVERY
def test_a_score_that_never_changes_gives_a_map_of_nothing(method):
    trace, question = game(2, lambda cells: cells[:, 0] * 0 + 7.3)
    assert ex.explain(trace, method, **FEW[method], **question).blank
