"""What must hold by algebra: T1, T14, T17, T23, T24, T35, T36, T38, T39 (T27: test_taps, T37: test_untouched)."""

from functools import cache

import numpy as np
import pytest
import torch
from networks import Transformer
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.pictures import Framing

SIDE, CELLS = 32, 8
FRAMING = Framing(size=(SIDE, SIDE), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
TOLD = rounding(8)
"""The networks are in double precision; a map is told in single, in which occlusion adds up the 4 windows on a cell."""


def seeded(network, dtype=torch.float64, seed=0):
    """The network with the same random weights each time, ready to be asked; no bias is zero."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=noise) * (1.5 / p[0].numel()) ** 0.5)
    return network.to(dtype).eval()


def pooled(classes=5, padding_mode="zeros", bias=True):
    """Two strided convolutions, global average pooling, one linear layer: CAM applies exactly."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=bias, padding_mode=padding_mode),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=bias, padding_mode=padding_mode),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


def noise(seed=0, size=(SIDE, SIDE)):
    """A picture (H, W, 3) of noise, exactly as large as the network wants it, so that framing changes nothing."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def ask(network, picture, method, framing=FRAMING, **question):
    return ex.explain(ex.look(ex.wrap(network, framing=framing), picture), method, **question)


def close(a, b, tolerance):
    """Whether two maps agree, relative to the largest value."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-12)


# T1 -----------------------------------------------------------------------------------------------------------------


def test_t1_the_gradient_is_a_finite_difference():
    network, step = seeded(pooled()), 1e-5
    trace = ex.look(ex.wrap(network, framing=FRAMING), noise()).ask(ex.trace.Target(2))
    slopes, pixels = trace.pixel_slopes().double(), trace.pixels.double()

    def centered(x):
        logits = network(x[None])[0]
        return float(logits[2] - logits.mean())

    good = 0
    for seed in range(10):
        v = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        v /= v.norm()
        with torch.no_grad():
            difference = (centered(pixels + step * v) - centered(pixels - step * v)) / (2 * step)
        along = float((slopes * v).sum())
        good += (
            abs(difference - along) <= rounding(200, trace.logits, torch.float64) / step
        )  # but where a kink is passed
    assert good >= 9  # of ten directions one may cross a kink of a ReLU within the step, where no slope is right


# T14 ----------------------------------------------------------------------------------------------------------------


@cache
def shifted():
    plain, moved = seeded(pooled()), seeded(pooled())
    with torch.no_grad():
        moved[-1].weight += torch.randn(8, generator=torch.Generator().manual_seed(9)).double()
    return ex.wrap(plain, framing=FRAMING), ex.wrap(moved, framing=FRAMING)


def shifted_twins():
    """Two networks that give the same probabilities for every picture, and whose bare logits differ."""
    a, b = (ex.look(model, noise()) for model in shifted())
    assert torch.allclose(a.logits.softmax(0), b.logits.softmax(0), rtol=0, atol=rounding(200, a.logits, torch.float64))
    return a, b


@pytest.mark.parametrize("question", [{}, {"versus": 3}, {"score": "log_prob"}, {"score": "probability"}])
@pytest.mark.parametrize("method", [m.id for m in ex.methods() if m.lays_heat and m.class_specific])
def test_t14_what_no_prediction_depends_on_changes_no_map(method, question):
    a, b = shifted_twins()
    if {fit.method.id: fit for fit in ex.methods(a.classifier)}[method].applies:
        best = a.top(1)[0].index
        maps = [ex.explain(t, method, target=best, **question).native for t in (a, b)]
        assert np.abs(maps[0]).max() > 0
        if any(o.name == "fraction" for o in ex.registry.find(method).options):
            # It moves a share of the pixels at a time, by rank; where two rank alike, rounding decides which is first.
            assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.999
        else:
            assert close(*maps, TOLD)


@pytest.mark.parametrize("method", ["cam", "grad_cam", "gradient"])
def test_t14_but_it_does_change_the_map_of_a_bare_logit(method):
    maps = [ex.explain(t, method, target=3, score="logit").native for t in shifted_twins()]
    assert not close(*maps, 0.1)


# T17 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, rounding(200)), (torch.float64, TOLD)])
def test_t17_cam_is_grad_cam_times_the_cells_and_adds_up_to_the_score(dtype, tolerance):
    network = seeded(pooled(), dtype)
    trace = ex.look(ex.wrap(network, framing=FRAMING), noise())
    maps, head = network[:4](trace.pixels[None].to(dtype))[0].detach(), network[-1]
    weight, bias = head.weight.detach(), head.bias.detach()
    cells = maps[0].numel()

    centered = ex.explain(trace, "cam", target=1, signed=True).native
    assert close(centered, torch.einsum("k,khw->hw", weight[1] - weight.mean(0), maps), tolerance)
    assert close(ex.explain(trace, "grad_cam", target=1, signed=True).native * cells, centered, tolerance)
    assert close(centered.mean() + float(bias[1] - bias.mean()), trace.logits[1] - trace.logits.mean(), tolerance)

    bare = ex.explain(trace, "cam", target=1, score="logit", signed=True).native
    assert close(bare, torch.einsum("k,khw->hw", weight[1], maps), tolerance)
    assert close(bare.mean() + float(bias[1]), trace.logits[1], tolerance)

    rather = ex.explain(trace, "cam", target=1, versus=4, signed=True).native
    assert close(rather, torch.einsum("k,khw->hw", weight[1] - weight[4], maps), tolerance)
    assert close(rather.mean() + float(bias[1] - bias[4]), trace.logits[1] - trace.logits[4], tolerance)


# T23 ----------------------------------------------------------------------------------------------------------------


class Brightness(nn.Module):
    """One map, the brightness of each cell of 4 × 4 pixels; its average is the score of class 0."""

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool2d(4)
        self.head = nn.Linear(3, 2, bias=False)
        self.head.weight.data = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])

    def forward(self, x):
        return self.head(self.cells(x).mean((2, 3)))


@pytest.mark.parametrize("size", [(64, 64), (96, 96), (32, 32)])
def test_t23_an_impulse_keeps_its_center_and_a_constant_stays_constant(size):
    picture = np.zeros((*size, 3), np.uint8)
    side = size[0] // CELLS
    picture[2 * side : 3 * side, 5 * side : 6 * side] = 255
    e = ask(Brightness().eval(), picture, "cam", target=0)
    assert np.argwhere(e.native == e.native.max()).tolist() == [[2, 5]]
    rows, columns = np.indices(size) + 0.5
    assert abs((rows * e.heat).sum() / e.heat.sum() - 2.5 * side) <= 0.5
    assert abs((columns * e.heat).sum() / e.heat.sum() - 5.5 * side) <= 0.5

    flat = ask(Brightness().eval(), np.full((*size, 3), 100, np.uint8), "cam", target=0).heat
    assert close(flat, np.full(size, flat[0, 0]), TOLD)
    assert flat[0, 0] > 0


def test_t23_heat_can_be_laid_on_with_its_sum_kept():
    native = np.random.default_rng(0).random((CELLS, CELLS))
    heat = FRAMING.unframe(native, (96, 64), keep_sum=True)
    assert heat.sum(dtype=np.float64) == pytest.approx(native.sum(), rel=TOLD)


# T24 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cam", "grad_cam"])
def test_t24_a_map_that_only_lowers_the_score_is_zero_and_says_so(method):
    network, picture = Brightness().eval(), np.full((SIDE, SIDE, 3), 200, np.uint8)
    e = ask(network, picture, method, target=1)
    assert e.blank
    assert not e.heat.any()
    assert "zero everywhere" in " ".join(e.notes)
    assert e.picture().tobytes() == picture.tobytes()
    assert e.alt.endswith("The map is zero everywhere.")

    signed = ask(network, picture, method, target=1, signed=True)
    assert not signed.blank
    assert signed.native.max() < 0
    assert not any("zero everywhere" in note for note in signed.notes)


@pytest.mark.parametrize("method", [m.id for m in ex.methods() if m.lays_heat])
def test_t24_a_head_of_zeros_gives_a_blank_map_and_a_note(method):
    network = seeded(pooled())
    nn.init.zeros_(network[-1].weight)
    model = ex.wrap(network, framing=FRAMING)
    if {fit.method.id: fit for fit in ex.methods(model)}[method].applies:
        e = ex.explain(ex.look(model, noise()), method, target=0)
        if e.method.class_specific:
            assert e.blank
            assert "zero everywhere" in " ".join(e.notes)
        assert np.isfinite(e.heat).all()


# T35 ----------------------------------------------------------------------------------------------------------------


class After(nn.Module):
    """The network behind a change of its input."""

    def __init__(self, change, network):
        super().__init__()
        self.change, self.network = change, network

    def forward(self, x):
        return self.network(self.change(x))


@pytest.mark.parametrize("channels", ["strongest", "sum"])
@pytest.mark.parametrize(
    ("change", "on_picture"),
    [
        (lambda x: x.flip(-1), lambda a: a[:, ::-1]),
        (lambda x: x.flip(-2), lambda a: a[::-1]),
        (lambda x: x.rot90(1, (-2, -1)), lambda a: np.rot90(a, -1)),
    ],
    ids=["flip", "upside down", "turn"],
)
def test_t35_a_network_behind_a_turn_sees_the_turned_picture_so(change, on_picture, channels):
    network = seeded(pooled())
    plain = ask(network, noise(), "gradient", target=0, channels=channels).native
    turned = ask(
        After(change, network).eval(),
        np.ascontiguousarray(on_picture(noise())),
        "gradient",
        target=0,
        channels=channels,
    )
    assert close(turned.native, on_picture(plain), TOLD)
    assert not close(turned.native, plain, 0.1)


def test_t35_a_network_behind_swapped_colors_sees_the_swapped_picture_so():
    network = seeded(pooled())
    swapped = After(lambda x: x[:, [2, 0, 1]], network).eval()
    inverse = np.ascontiguousarray(noise()[:, :, [1, 2, 0]])
    for channels in ("strongest", "sum"):
        plain = ask(network, noise(), "gradient", target=0, channels=channels).native
        assert close(ask(swapped, inverse, "gradient", target=0, channels=channels).native, plain, TOLD)


@pytest.mark.parametrize("method", ["cam", "grad_cam"])
def test_t35_flipped_kernels_see_the_flipped_picture_so(method):
    # With 33 pixels and padding 1, strided sampling is symmetric: 33 → 17 → 9.
    odd = Framing(size=(33, 33), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
    network, mirrored = seeded(pooled()), seeded(pooled())
    with torch.no_grad():
        for i in (0, 2):
            mirrored[i].weight.copy_(network[i].weight.flip(-1))
    picture = noise(size=(33, 33))
    plain = ask(network, picture, method, odd, target=0, signed=True).native
    flipped = ask(mirrored, np.ascontiguousarray(picture[:, ::-1]), method, odd, target=0, signed=True).native
    assert plain.shape == (9, 9)
    assert close(flipped, plain[:, ::-1], TOLD)
    assert not close(flipped, plain, 0.1)


@pytest.mark.parametrize(("method", "stride"), [("cam", 4), ("grad_cam", 4), ("gradient", 1)])
def test_t35_a_network_on_a_ring_rolls_its_map_with_the_picture(method, stride):
    network = seeded(pooled(padding_mode="circular"))
    options = {} if method == "gradient" else {"signed": True}
    plain = ask(network, noise(), method, target=0, **options).native
    rolled = ask(network, np.roll(noise(), (8, -4), (0, 1)), method, target=0, **options).native
    assert close(rolled, np.roll(plain, (8 // stride, -4 // stride), (0, 1)), TOLD)
    assert not close(rolled, plain, 0.1)


# T36 ----------------------------------------------------------------------------------------------------------------


def two_kinds():
    """A network with pooling, and one with attention."""
    torch.manual_seed(0)
    for module in (seeded(pooled(), torch.float32), Transformer((SIDE, SIDE), 5).eval()):
        yield ex.wrap(module, framing=FRAMING)


@pytest.mark.parametrize("method", [m.id for m in ex.methods() if m.lays_heat])
def test_t36_a_picture_has_its_map_whatever_was_asked_before(method):
    model = next(model for model in two_kinds() if not ex.registry.find(method).why_not(model))

    def maps(order):
        answers = {i: ex.explain(ex.look(model, noise(i)), method, target=1).native for i in order}
        return [answers[i] for i in range(3)]

    for one, other in zip(maps([0, 1, 2]), maps([2, 0, 1]), strict=True):
        assert np.array_equal(one, other)


def test_t36_answers_do_not_depend_on_the_order_of_questions():
    model = ex.wrap(seeded(pooled(), torch.float32), framing=FRAMING)
    questions = [(m.id, c) for m in ex.methods() if m.lays_heat and not m.why_not(model) for c in (0, 3)]

    def answers(order):
        trace = ex.look(model, noise())
        return {q: ex.explain(trace, q[0], target=q[1]).native for q in order}

    forward, backward = answers(questions), answers(reversed(questions))
    for question in questions:
        assert close(forward[question], backward[question], TOLD), question


# T38 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cam", "grad_cam", "gradient"])
def test_t38_a_louder_network_has_a_louder_map_and_a_constant_changes_nothing(method):
    plain, louder = seeded(pooled()), seeded(pooled())
    with torch.no_grad():
        louder[-1].weight *= 3
        louder[-1].bias.mul_(3).add_(7)
    one, three = (ask(n, noise(), method, target=2) for n in (plain, louder))
    assert close(three.native, 3 * one.native, TOLD)
    assert three.prediction.logit == pytest.approx(3 * one.prediction.logit + 7, rel=TOLD)


# T39 ----------------------------------------------------------------------------------------------------------------


class LeftOnly(nn.Module):
    """The right half is cut off after the first convolution, and another 3 × 3 convolution follows."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 4, stride=4, bias=False)
        self.second = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.first(x).relu()
        x = torch.cat([x[..., : CELLS // 2], torch.zeros_like(x[..., CELLS // 2 :])], -1)
        return self.head(self.second(x).mean((2, 3)))


def test_t39_what_is_not_connected_gets_no_heat():
    network, half = seeded(LeftOnly()), SIDE // 2
    slopes = ask(network, noise(), "gradient", target=0).native
    assert slopes[:, :half].max() > 0
    assert slopes[:, half:].max() == 0
    for method in ("cam", "grad_cam"):
        heat = np.abs(ask(network, noise(), method, target=0, signed=True).native)
        assert heat.shape == (CELLS, CELLS)
        assert heat[:, : CELLS // 2].max() > 0
        assert heat[:, CELLS // 2 + 1 :].max() == 0  # one cell of spill, by the 3 × 3 convolution
