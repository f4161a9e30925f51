"""Covering on pictures of a few pixels: cells never outnumber pixels, each has some, and linear networks come out."""

import numpy as np
import pytest
import torch
from torch import nn

import explainers as ex
from explainers import scores
from explainers.engine import judge
from explainers.pictures import Framing

SIZES = [(1, 1), (1, 3), (3, 1), (2, 5), (6, 6), (7, 13)]
COVERING = {
    "occlusion": {},
    "rise": {"samples": 64},
    "lime": {"pieces": "grid", "samples": 64},
    "kernel_shap": {"pieces": "grid", "samples": 64},
    "sobol": {"designs": 4},
}


def linear(size, dtype=torch.float64):
    """A network whose logits are weighted sums of the pixels, its trace, and what each pixel adds over gray."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * size[0] * size[1], 2)).to(dtype).eval()
    framing = Framing(size=size, mode="squash", mean=(0.5,) * 3, std=(1.0,) * 3)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    trace = ex.look(ex.wrap(module, framing=framing), picture)
    added = ((trace.pixels - 0.5) * module[1].weight[0].detach().view(3, *size)).sum(0)
    return trace, added.numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_occlusion_of_single_pixels_is_what_each_adds(size):
    trace, added = linear(size)
    e = ex.explain(trace, "occlusion", target=0, score="logit", window=1)
    cells = e.native
    assert all(c <= s for c, s in zip(cells.shape, size, strict=True))
    if cells.shape == size:
        assert np.abs(cells - added).max() <= 1e-6 * np.abs(added).max()  # kept as float32
    assert e.native.sum() == pytest.approx(added.sum(), rel=1e-5, abs=1e-6 * np.abs(added).sum())


@pytest.mark.parametrize("pieces", ["grid", "superpixels"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_fair_shares_of_a_linear_network_are_what_the_pieces_add(size, pieces):
    trace, added = linear(size)
    e = ex.explain(trace, "kernel_shap", target=0, score="logit", pieces=pieces, count=4, samples=64)
    assert e.result.adds_up.whole == pytest.approx(added.sum())
    assert e.native.sum() == pytest.approx(added.sum(), rel=1e-5, abs=1e-6 * np.abs(added).sum())


@pytest.mark.parametrize("name", COVERING)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_method_lays_more_cells_than_pixels(size, name):
    trace, _ = linear(size)
    e = ex.explain(trace, name, target=0, **COVERING[name])
    assert all(c <= s for c, s in zip(e.native.shape, size, strict=True))
    assert e.result.finite
    assert e.heat.shape == size
    superpixels = "pieces" in COVERING[name] and ex.explain(trace, name, target=0, samples=64)
    assert not superpixels or superpixels.result.finite


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_scorecards_cover_cells_that_have_pixels(size):
    trace, _ = linear(size)
    rows, columns = scores.grid(trace.classifier)
    assert 1 <= rows <= size[0]
    assert 1 <= columns <= size[1]
    card = judge(trace, ex.explain(trace, "occlusion", target=0))
    assert card.cells == (rows, columns)


def test_a_grid_finer_than_the_picture_is_cut_down_to_its_pixels():
    """A network that stretches its maps beyond its input has more cells than there are pixels."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Upsample(scale_factor=3)]
    module = nn.Sequential(
        *layers, nn.Conv2d(4, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    trace = ex.look(
        ex.wrap(module.eval(), framing=Framing(size=(6, 5), mode="squash")),
        np.eye(6, dtype=np.uint8)[..., None].repeat(3, 2) * 255,
    )
    e = ex.explain(trace, "occlusion", target=0)
    assert e.native.shape[0] <= 6
    assert e.native.shape[1] <= 5
