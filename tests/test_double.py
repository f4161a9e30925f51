"""The identities of class activation maps in double precision, read off a trace before results become float32."""

import numpy as np
import pytest
import torch
from tolerance import close, operations, rounding
from torch import nn

import explainers as ex
from explainers.network.anatomy import _Functions
from explainers.pictures import Framing
from explainers.trace import Target

PICTURE = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
NEAR = rounding(10_000, 1, torch.float64)
"""Of fewer than 200 operations there and back, on logits to which up to fifty times what tells them apart is added."""


def network(shift: float = 0.0) -> nn.Module:
    """Two convolutions, average pooling and a linear head, to whose rows one common vector is added."""
    torch.manual_seed(0)
    head = nn.Linear(8, 5)
    layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    module = nn.Sequential(*layers, nn.Flatten(), head).double().eval()
    with torch.no_grad():
        head.weight += shift * torch.linspace(-1, 1, 8, dtype=torch.float64)
    return module


def view(module: nn.Module, target: Target) -> ex.Trace:
    model = ex.wrap(module, framing=Framing(size=(40, 40), mode="squash"))
    return ex.look(model, PICTURE).ask(target)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))


def test_t17_three_class_activation_maps_are_one_on_a_linear_head():
    trace = view(network(), Target(2, score="logit"))
    head = trace.classifier.anatomy.head
    maps, slopes = trace.maps("last"), trace.slopes("last")
    assert maps.dtype == torch.float64
    cells = maps.shape[1] * maps.shape[2]
    cam = torch.einsum("k,khw->hw", head.weight[2], maps)
    grad_cam = torch.einsum("k,khw->hw", slopes.mean((1, 2)), maps)
    hires_cam = (slopes * maps).sum(0)
    assert relative(cells * grad_cam, cam) <= NEAR
    assert relative(cells * hires_cam, cam) <= NEAR
    assert relative(cam.mean() + head.bias[2], trace.logits[2]) <= NEAR


@pytest.mark.parametrize("target", [Target(1), Target(1, versus=3), Target(1, score="log_prob")])
def test_t14_one_vector_added_to_every_row_of_the_head_changes_nothing(target):
    plain, shifted = view(network(), target), view(network(shift=3.0), target)
    assert relative(plain.logits.softmax(0), shifted.logits.softmax(0)) <= NEAR
    assert relative(shifted.slopes("last"), plain.slopes("last")) <= NEAR
    assert relative(shifted.pixel_slopes(), plain.pixel_slopes()) <= NEAR


def test_t14_but_the_map_of_a_bare_logit_does_change():
    bare = Target(1, score="logit")
    plain, shifted = view(network(), bare), view(network(shift=3.0), bare)
    assert relative(shifted.slopes("last"), plain.slopes("last")) > 0.1


def test_t27_watching_attention_changes_no_bit_and_leaves_gradients_alone():
    import timm

    torch.manual_seed(0)
    module = timm.create_model("test_vit", num_classes=4).eval()
    pixels = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def forward() -> tuple[torch.Tensor, torch.Tensor]:
        output = module(pixels)
        return output.detach(), torch.autograd.grad(output[0, 1], pixels)[0]

    before = forward()
    seen = _Functions()
    with seen:
        watched = forward()
    after = forward()
    assert seen.attention
    for plain, other in ((before, watched), (before, after)):
        assert torch.equal(plain[0], other[0])
        assert torch.equal(plain[1], other[1])


def test_t36_answers_do_not_depend_on_who_else_is_in_a_batch():
    module = network()
    model = ex.wrap(module, framing=Framing(size=(40, 40), mode="squash"))
    pictures = [np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8) for i in range(3)]
    leaf = torch.stack([ex.look(model, picture).pixels for picture in pictures]).requires_grad_()
    (slopes,) = torch.autograd.grad(Target(2).of(module(model.framing.normalize(leaf))).sum(), leaf)
    for picture, together in zip(pictures, slopes, strict=True):
        alone = ex.look(model, picture).ask(Target(2)).pixel_slopes()
        assert relative(alone, together) <= NEAR


# What a double network is given is double ----------------------------------------------------------------------------


def linear(**framing):
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2)).double().eval()
    return ex.look(ex.wrap(module, framing=Framing(size=(8, 8), mode="squash", **framing)), PICTURE[:8, :8])


def test_pixels_are_whole_steps_of_255_to_the_last_digit():
    trace = linear()
    whole = torch.from_numpy(PICTURE[:8, :8].astype(np.float64)).permute(2, 0, 1)
    assert torch.equal(trace.pixels, whole / 255)
    assert trace.elsewhere(trace.pixels).pixels.dtype == torch.float64


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_the_gray_reference_is_what_normalizing_takes_to_zero(channels):
    trace = linear(channels=channels, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    for name in ("gray", "black", "white", "blur", "noise"):
        assert trace.baseline(name).dtype == torch.float64
    assert float(trace.classifier.framing.normalize(trace.baseline("gray")).abs().max()) == 0


@pytest.fixture(scope="module")
def untrained():
    """A network of norms without a bias: on plain gray all is zero, and the least noise there would be the score."""
    import timm

    torch.manual_seed(0)
    module = timm.create_model("convnext_atto", num_classes=6).double().eval()
    return ex.look(ex.wrap(module, framing=Framing(size=(64, 64), mode="squash")), PICTURE)


def test_an_untrained_network_has_no_score_on_plain_gray_and_deeplift_sums(untrained):
    assert float(untrained.ask(Target(1)).score(untrained.baseline("gray")[None])) == 0
    adds_up = ex.explain(untrained, "deeplift", target=1).result.adds_up
    assert abs(adds_up.parts - adds_up.whole) <= rounding(
        operations(untrained.classifier.module), adds_up.whole, torch.float64
    )
    assert adds_up.whole == pytest.approx(float(untrained.ask(Target(1)).score(untrained.pixels[None])), rel=NEAR)


def test_fair_shares_of_an_untrained_network_are_those_of_every_order(untrained):
    """Four pieces, so that what each adds can be averaged over all 24 orders."""
    from itertools import permutations

    view = untrained.ask(Target(1))
    labels = torch.from_numpy(np.arange(64)[:, None] // 32 * 2 + np.arange(64) // 32)
    gray, pixels = view.baseline("gray"), view.pixels

    def score(shown):
        mask = torch.isin(labels, torch.tensor(shown, dtype=torch.long))
        return float(view.score(torch.where(mask, pixels, gray)[None]))

    known = {bits: score([i for i in range(4) if bits >> i & 1]) for bits in range(16)}
    shares = np.zeros(4)
    for order in permutations(range(4)):
        bits = 0
        for piece in order:
            shares[piece] += (known[bits | 1 << piece] - known[bits]) / 24
            bits |= 1 << piece
    e = ex.explain(untrained, "kernel_shap", target=1, pieces="grid", count=4)
    assert close(e.native.ravel(), shares, rounding(1, shares))  # told in single precision, worked out in double
