"""Passes beside the one on the picture itself: batches, passes that begin at the maps, second derivatives."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.methods.shapley_cam import slope_changes
from explainers.network.taps import Point, resume
from explainers.pictures import Framing
from explainers.trace import Target

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
FRAMING = Framing(size=(64, 64), mode="squash")
NEAR = rounding(100_000, 1, torch.float64)
"""Of scores and slopes of about 1: no network here takes so many operations in a row."""


def classifier(name, **options):
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=6, **options).double().eval()
    return ex.wrap(module, framing=FRAMING, name=name)


NETWORKS = {
    "convolutions": lambda: classifier("resnet10t"),
    "class token": lambda: classifier("vit_tiny_patch16_224", img_size=64, depth=3),
    "windows": lambda: classifier("swin_tiny_patch4_window7_224", img_size=64, window_size=2),
    "channels last": lambda: classifier("convnext_atto"),
}
each_network = pytest.mark.parametrize("network", NETWORKS)


@each_network
def test_a_batch_gives_what_each_picture_gives_alone(network):
    trace = ex.look(NETWORKS[network](), PICTURE).ask(Target(2))
    others = torch.stack([trace.pixels, trace.pixels.flip(-1), trace.pixels * 0.5])
    together, alone = trace.score(others), torch.cat([trace.score(one[None]) for one in others])
    assert close(together, alone, NEAR)
    assert float(together[0]) == pytest.approx(float(Target(2).of(trace.logits)), abs=NEAR)
    assert trace.spent.forwards == 6 + 1  # one of them for the logits
    slopes, scores = trace.slopes_at(others)
    assert close(scores, together, NEAR)
    assert close(slopes[0], trace.pixel_slopes(), NEAR)
    assert trace.spent.backwards == 3 + 1


@each_network
def test_a_pass_from_the_maps_gives_what_the_whole_pass_gives(network):
    trace = ex.look(NETWORKS[network](), PICTURE)
    for depth in ("middle", "last"):
        maps = trace.maps(depth)
        trials = torch.stack([maps, maps * 0.5, torch.zeros_like(maps)])
        scores = trace.score_from(trials, depth)
        target, site, model = trace.asked, trace.site(depth), trace.classifier
        like = trace.passes.framed(trace.pixels)
        own = trace.passes.through(site).taps[site.point].detach()
        whole = resume(model.module, like, {site.point: site.layout.put(own, trials)}, skip=False)
        assert close(scores, target.of(whole).detach(), NEAR)
        assert float(scores[0]) == pytest.approx(float(target.of(trace.logits)), abs=NEAR)


@pytest.mark.parametrize(("network", "first"), [("convolutions", "layer1"), ("class token", "blocks.0")])
def test_what_comes_before_the_maps_is_not_computed(network, first):
    model = NETWORKS[network]()  # where a class token goes around the maps, the pass begins before them
    trace = ex.look(model, PICTURE)
    trace.score_from(trace.maps()[None])
    computed = []
    handle = model.module.get_submodule(first).register_forward_hook(lambda m, i, out: computed.append(not out.is_meta))
    scores = trace.score_from(trace.maps()[None] * torch.tensor([1, 0.5])[:, None, None, None])
    handle.remove()
    assert computed
    assert not computed[-1]
    assert float(scores[0]) == pytest.approx(float(trace.asked.of(trace.logits)), abs=NEAR)


class Beside(nn.Module):
    """What the maps at `maps` hold is not all: the mean brightness goes around them."""

    def __init__(self):
        super().__init__()
        self.maps, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(5, 3)

    def forward(self, x):
        pooled = F.relu(self.maps(x)).mean((2, 3))
        return self.head(torch.cat([pooled, x.mean((1, 2, 3))[:, None]], 1))


def test_where_something_goes_around_the_maps_the_pass_is_whole():
    torch.manual_seed(0)
    module, pixels = Beside().double().eval(), torch.rand(1, 3, 8, 8, dtype=torch.float64)
    maps = module.maps(pixels).detach()
    with pytest.raises(LookupError, match="depends on the pictures"):
        resume(module, pixels, {Point("maps"): maps})
    output = resume(module, pixels, {Point("maps"): torch.cat([maps, 0 * maps])}, skip=False)
    assert close(output[0], module(pixels)[0], NEAR)
    assert not torch.allclose(output[0], output[1])


def test_the_change_of_slopes_is_the_hessian_times_the_direction():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    module = nn.Sequential(*module, nn.Linear(16, 5), nn.Softplus(), nn.Linear(5, 3)).double().eval()
    trace = ex.look(ex.wrap(module, framing=Framing(size=(8, 8), mode="squash")), PICTURE).ask(Target(1))
    maps = trace.maps("0")
    along = torch.randn_like(maps)

    def slopes(at):
        leaf = at.clone().requires_grad_()
        score = trace.asked.of(module[1:](leaf[None])[0])
        return torch.autograd.grad(score, leaf)[0]

    step = 1e-6
    expected = (slopes(maps + step * along) - slopes(maps - step * along)) / (2 * step)
    # What the steps leave of the third derivative, and what rounding of the slopes comes to over so short a way.
    near = step**2 + rounding(200, expected, torch.float64) / step
    assert close(slope_changes(trace, along, "0"), expected, near)


def test_slopes_of_any_weighted_sum_of_logits():
    trace = ex.look(NETWORKS["convolutions"](), PICTURE)
    weights = torch.randn(6, dtype=torch.float64)
    each = [trace.slopes(of=lambda z, one=one: z @ one) for one in torch.eye(6, dtype=torch.float64)]
    assert close(trace.slopes(of=lambda z: z @ weights), sum(w * s for w, s in zip(weights, each, strict=True)), NEAR)


def test_a_question_about_other_pixels_stands_on_the_same_bill():
    trace = ex.look(NETWORKS["class token"](), PICTURE).ask(Target(1))
    mirrored = trace.elsewhere(trace.pixels.flip(-1))
    assert not torch.allclose(mirrored.maps(), trace.maps())
    assert mirrored.spent is trace.spent
    assert trace.spent.forwards == 2
