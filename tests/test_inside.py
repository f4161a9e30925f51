"""Inside the network: filters, maps, what excites a channel, and what is imagined, on networks known by hand."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import photo, squeezenet
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.imagining import RECIPES, ClassScore, imagine
from explainers.imagining.exemplars import Field, cut, exemplars, receptive_field
from explainers.pictures import Framing
from explainers.trace import Target


def wrapped(module, size=(64, 64), **given):
    torch.manual_seed(0)
    return ex.wrap(module.eval(), framing=Framing(size=size, mode="squash"), **given)


class Strided(nn.Module):
    """Three convolutions of 3 × 3 with stride 2: a place of the last maps sees 3 + 2·2 + 4·2 = 15 pixels."""

    def __init__(self, *between):
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in ((3, 4), (4, 5), (5, 6))
        )
        self.between = nn.Sequential(*between)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.between(self.third(self.second(self.first(x).relu()).relu()).relu())
        return self.head(x.mean((2, 3)))


# The receptive field -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "side"), [("first", 3), ("second", 7), ("third", 15)])
def test_a_field_is_what_arithmetic_says(path, side):
    model = wrapped(Strided())
    site = model.anatomy.site(path)
    field = receptive_field(model, site)
    stride = 64 // site.grid[0]
    assert field.size == (side, side)
    assert field.stride == (stride, stride)
    # With padding 1, the field of cell (i, j) is centered on pixel (i, j) times the stride.
    middle = field.middle[0] * stride
    assert field.rows == (middle - side // 2, middle + side // 2 + 1)
    assert field.of((0, 0)) == (-(side // 2), -(side // 2), side // 2 + 1, side // 2 + 1)


def test_a_field_is_no_smaller_than_what_the_slopes_reach():
    model = wrapped(Strided(nn.MaxPool2d(3, 1, 1)), size=(48, 64))
    site = model.anatomy.site("last")
    field = receptive_field(model, site)
    trace = ex.look(model, np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    pixels = trace.pixels[None].clone().requires_grad_()
    from explainers.network.taps import run

    maps = run(model.module, model.framing.normalize(pixels), taps=[site.point]).taps[site.point]
    maps[0, :, field.middle[0], field.middle[1]].sum().backward()
    rows, columns = (pixels.grad[0].abs().sum((0, 2)) > 0).nonzero(), (pixels.grad[0].abs().sum((0, 1)) > 0).nonzero()
    assert field.rows[0] <= int(rows.min()) <= int(rows.max()) < field.rows[1]
    assert field.columns[0] <= int(columns.min()) <= int(columns.max()) < field.columns[1]


def test_attention_and_squeezing_see_the_whole_picture():
    vit = ex.load("pond:vit")
    assert receptive_field(vit, vit.anatomy.site("early")).size == (96, 96)
    squeezed = wrapped(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Gate(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert receptive_field(squeezed, squeezed.anatomy.site("0")).size == (3, 3)
    assert receptive_field(squeezed, squeezed.anatomy.site("1")).size == (64, 64)


class Gate(nn.Module):
    """Squeeze and excite: each channel times something that all of the picture has a say in."""

    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(channels, channels)

    def forward(self, x):
        return x * self.linear(x.mean((2, 3))).sigmoid()[:, :, None, None]


def test_a_cut_that_reaches_out_of_the_picture_is_filled():
    picture = torch.arange(12.0).view(1, 3, 4).expand(3, 3, 4)
    found = cut(picture, (-1, 2, 2, 6), torch.full((3, 1, 1), 9.0))
    assert found[0].tolist() == [[9, 9, 9, 9], [2, 3, 9, 9], [6, 7, 9, 9]]
    assert Field((4, 7), (4, 7), (2, 2), (2, 2)).of((0, 1)) == (0, 2, 3, 5)


# What excites a channel ----------------------------------------------------------------------------------------------


def test_exemplars_are_those_with_the_highest_peak():
    model = wrapped(Strided())
    site = model.anatomy.site("second")
    pictures = torch.rand(7, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = torch.stack([ex.look(model, p.permute(1, 2, 0).numpy()).maps("second") for p in pictures])
    for channel, found in zip([0, 3], exemplars(model, site, pictures, [0, 3], count=3), strict=True):
        peaks = maps[:, channel].amax((1, 2))
        assert [e.picture for e in found] == peaks.argsort(descending=True)[:3].tolist()
        for e in found:
            assert e.activation == pytest.approx(float(maps[e.picture, channel].max()), abs=0.02)  # rounded to 8 bits


def test_what_excites_a_pond_channel_is_shown_with_its_field():
    answer = ex.explain(ex.load("pond:cnn"), "max_activating", depth="early", channel=3, count=4)
    values = [tile.value for tile in answer.result.tiles]
    assert values == sorted(values, reverse=True)
    assert "of 64" in answer.result.note or "of 32" in answer.result.note
    cuts = ex.explain(ex.load("pond:cnn"), "max_activating", depth="early", channel=3, count=4, crops=True)
    height, width = cuts.result.tiles[0].values.shape[:2]
    assert f"{height} × {width} pixels" in answer.result.note


# Filters and maps ----------------------------------------------------------------------------------------------------


def test_a_filter_is_shown_in_its_own_colors():
    module = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = wrapped(module)
    with torch.no_grad():
        module[0].weight.zero_()
        module[0].weight[0, 0] = 2.0  # red
        module[0].weight[1, 2, 1, 1] = -1.0  # against blue, in the middle
    tiles = ex.explain(model, "filters").result.tiles
    assert [tile.caption for tile in tiles] == ["0", "1"]  # by strength: 2 · 3 against 1
    assert [tile.value for tile in tiles] == [6, 1]
    assert (tiles[0].values == [255, 128, 128]).all()
    assert tiles[1].values[1, 1].tolist() == [128, 128, 0]
    assert tiles[1].values[0, 0].tolist() == [128, 128, 128]


def test_a_smooth_kernel_lets_the_mean_through_and_a_striped_one_a_frequency():
    module = nn.Sequential(nn.Conv2d(3, 2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = wrapped(module)
    with torch.no_grad():
        module[0].weight[0] = 1.0
        module[0].weight[1] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    smooth, striped = ex.explain(model, "filters", frequencies=True, order="number").result.tiles
    assert np.unravel_index(smooth.values.argmax(), (32, 32)) == (16, 16)
    assert np.unravel_index(striped.values.argmax(), (32, 32)) == (16, 0)  # the finest stripes there are


def test_kernels_that_are_alike_stand_side_by_side():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = wrapped(module)
    with torch.no_grad():
        module[0].weight[2] = module[0].weight[0] * 5
        module[0].weight[3] = -module[0].weight[1] * 4
    order = [tile.caption for tile in ex.explain(model, "filters", order="likeness").result.tiles]
    assert order == ["2", "0", "3", "1"] or order[:2] == ["2", "0"]


def test_a_network_without_convolutions_has_no_filters():
    model = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)), size=(8, 8))
    with pytest.raises(DoesNotApply, match="no convolution"):
        ex.explain(model, "filters")


def test_maps_are_those_of_the_network_and_silent_ones_are_called_so():
    model = wrapped(Strided())
    with torch.no_grad():
        model.module.second.bias[1] = -100.0
    trace = ex.look(model, np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    maps = trace.maps("middle")
    (alone,) = ex.explain(trace, "feature_maps", depth="middle", channel=len(maps) + 1).result.tiles
    assert alone.facts["channel"] == 1  # past the last one, it counts on from the first
    assert np.array_equal(alone.values, maps[1].numpy())
    result = ex.explain(trace, "feature_maps", depth="middle", order="number").result
    assert len(result.tiles) == len(maps)
    for tile, own in zip(result.tiles, maps, strict=True):
        assert np.array_equal(tile.values, own.numpy())
        assert ("silent" in tile.caption) == (not own.any())


def test_the_channels_of_a_class_add_up_to_its_map():
    trace = ex.look(ex.load("pond:cnn"), np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8))
    channels = ex.explain(trace, "channels", most=256, target=3).result
    summed = np.sum([tile.values for tile in channels.tiles], 0)
    whole = ex.explain(trace, "grad_cam", signed=True, target=3).native
    assert close(summed, whole, rounding(256, np.sum([np.abs(tile.values) for tile in channels.tiles], 0)))
    sizes = [abs(tile.value) for tile in channels.tiles]
    assert sizes == sorted(sizes, reverse=True)


# Imagined pictures ---------------------------------------------------------------------------------------------------


def test_a_class_is_imagined_with_natural_pictures_beside_it_and_a_second_opinion():
    answer = ex.explain(ex.load("pond:cnn"), "imagine_class", target=3, steps=48, pictures=2)
    made, beside = answer.result.tiles[:2], answer.result.tiles[2:]
    assert len(beside) == 3
    assert all("natural" in tile.caption for tile in beside)
    assert min(tile.value for tile in made) > 5
    assert "of 90 natural ones" in answer.result.note
    assert "as the 9 best natural ones" in answer.result.note
    assert "pond:vit, trained apart from it, calls" in answer.result.note


def test_a_class_rather_than_another_raises_the_difference():
    model = ex.load("pond:cnn")
    answer = ex.explain(model, "imagine_class", target=0, versus=1, steps=24, pictures=1)
    logits = ex.look(model, np.array(answer.result.tiles[0].values)).logits
    assert float(logits[0] - logits[1]) == pytest.approx(answer.result.tiles[0].value, abs=0.5)
    assert float(logits[0] - logits[1]) > 3


def test_an_early_layer_gives_the_picture_back_and_a_late_one_less():
    trace = ex.look(squeezenet(), photo("goldfinch"))
    early, late = (
        ex.explain(trace, "invert", depth=depth, steps=24, pictures=1).result.tiles[0].values.astype(float)
        for depth in ("early", "last")
    )
    picture = (trace.pixels.permute(1, 2, 0).numpy() * 255).ravel()
    alike = [np.corrcoef(found.ravel(), picture)[0, 1] for found in (early, late)]
    assert alike[0] > 0.6 > alike[1]  # over .6 more than a third of the variance is the picture's, and less below


def test_memory_stays_flat_over_twenty_runs():
    model = ex.load("pond:cnn")

    def run(seed):
        *_, last = imagine(model, ClassScore(Target(seed % 9)), RECIPES["fourier"], steps=2, seed=seed)
        assert last.done == 1

    def tensors():
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    run(0)
    before, held = tensors(), _resident()
    for seed in range(20):
        run(seed)
    assert tensors() <= before + 5
    assert _resident() - held < 20e6


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
