"""Gradients and paths by algebra (T2, T4, T5, T6, T13, T15, T35, T39), by brute force, and as captum has them."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from networks import cifar, photo, resnet20, squeezenet
from tolerance import rounding
from torch import nn

import explainers as ex
from explainers.ingredients.running_mean import RunningMean
from explainers.methods import expected_gradients as expected
from explainers.methods import xrai
from explainers.pictures import Framing
from explainers.trace import Target

SIDE = 16
PLAIN = Framing(size=(SIDE, SIDE), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
EQUAL = {"tolerance": 0.0}
TOLD = rounding(4)
"""The networks are in double precision; a map is told in single, and few of them are put together here."""


def seeded(network, seed=0):
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=noise) * (1.5 / p[0].numel()) ** 0.5)
    return network.double().eval()


def convolutions(bend=nn.ReLU, bias=True):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=bias), bend(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, bias=bias), bend(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(128, 4, bias=bias),
    )  # fmt: skip


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4))


class Tokens(nn.Module):
    """A small transformer with GELU, pooled."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, stride=4)
        self.norm, self.up, self.down = nn.LayerNorm(12), nn.Linear(12, 24), nn.Linear(24, 12)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        x = x + nn.functional.scaled_dot_product_attention(*(self.norm(x)[:, None],) * 3)[:, 0]
        x = x + self.down(nn.functional.gelu(self.up(self.norm(x))))
        return self.head(x.mean(1))


def look(network, picture=NOISE, framing=PLAIN):
    return ex.look(ex.wrap(network.eval(), framing=framing), picture)


def ask(network, method, picture=NOISE, framing=PLAIN, **question):
    return ex.explain(look(network, picture, framing), method, **{"target": 1, **question})


def close(a, b, tolerance=TOLD):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-12)


def by_hand(score, start, end, steps):
    """Integrated gradients (H, W) by the midpoint rule, one point after the other."""
    total = torch.zeros_like(end)
    for k in range(steps):
        x = (start + (k + 0.5) / steps * (end - start)).clone().requires_grad_()
        total += torch.autograd.grad(score(x), x)[0] / steps
    return (total * (end - start)).sum(0)


def centered(network, index=1):
    def score(x):
        logits = network(x[None])[0]
        return logits[index] - logits.mean()

    return score


# T2: input × gradient ------------------------------------------------------------------------------------------------


def test_t2_without_any_bias_the_parts_add_up_to_the_score():
    framing = Framing(size=(SIDE, SIDE), mode="squash", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    network = seeded(convolutions(bias=False))
    trace = look(network, framing=framing)
    for question in ({"target": 0}, {"target": 3, "versus": 1}, {"target": 2, "score": "logit"}):
        e = ex.explain(trace, "input_x_gradient", **question)
        logits = trace.logits
        whole = logits[question["target"]]
        whole = whole - (logits[question["versus"]] if "versus" in question else 0)
        whole = whole - (logits.mean() if question == {"target": 0} else 0)
        assert close(e.native.sum(dtype=np.float64), whole)
    assert not close(ex.explain(trace, "input_x_gradient", baseline="black").native.sum(), trace.logits[0], 1e-2)
    assert not ex.registry.find("input_x_gradient").sums  # with biases it does not hold


# T4: completeness ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "tolerance"), [(convolutions, 1e-2), (Tokens, 5e-3)])
@pytest.mark.parametrize("baseline", ["gray", "black", "white", "blur", "noise"])
def test_t4_the_parts_add_up_to_what_the_score_gains(build, tolerance, baseline):
    network = seeded(build())
    for steps, within in ((EQUAL, tolerance), ({"tolerance": 0.01, "steps": 256}, 0.01)):
        e = ask(network, "integrated_gradients", baseline=baseline, **{"steps": 64, **steps})
        start = look(network).baseline(baseline)
        with torch.no_grad():
            gained = float(centered(network)(look(network).pixels) - centered(network)(start))
        assert e.result.adds_up.whole == pytest.approx(gained, abs=rounding(1000, 1, torch.float64))
        assert e.result.adds_up.residual <= within
        assert e.result.adds_up.parts == pytest.approx(
            float(e.native.sum(dtype=np.float64)), abs=rounding(1, np.abs(e.native).sum())
        )


@pytest.mark.parametrize("steps", [8, 9, 100])
def test_t4_a_linear_network_takes_any_number_of_steps(steps):
    network = seeded(linear())
    score, pixels, start = centered(network), look(network).pixels, look(network).baseline("black")
    for question in (EQUAL, {}):
        e = ask(network, "integrated_gradients", steps=steps, baseline="black", **question)
        assert e.result.adds_up.residual < rounding(1000, 1, torch.float64)
        assert close(e.native, by_hand(score, start, pixels, 1))
    assert ask(network, "integrated_gradients", steps=steps).spent.backwards == min(
        steps, 16
    )  # nothing is gained by a second round


def test_t4_on_a_smooth_network_four_times_the_steps_leave_a_sixteenth_of_the_error():
    network = seeded(convolutions(nn.Softplus))
    coarse, fine = (
        ask(network, "integrated_gradients", steps=n, baseline="black", **EQUAL).result.adds_up.residual
        for n in (16, 64)
    )
    assert fine <= coarse / 4


def test_equal_steps_are_the_midpoint_rule():
    network = seeded(convolutions())
    trace = look(network)
    e = ask(network, "integrated_gradients", steps=11, baseline="white", **EQUAL)
    assert close(e.native, by_hand(centered(network), trace.baseline("white"), trace.pixels, 11))


def test_chosen_points_come_to_the_same_map_with_fewer_passes():
    network = seeded(convolutions())
    fine = ask(network, "integrated_gradients", steps=512, baseline="black", **EQUAL).native
    e = ask(network, "integrated_gradients", baseline="black")
    assert e.spent.backwards <= 64
    assert close(e.native, fine, 0.1)
    assert close(ask(network, "integrated_gradients", baseline="black", tolerance=1e-4, steps=512).native, fine, 0.03)


def test_points_go_where_the_score_bends():
    """The score is the brightness beyond 0.78; the straight way bends there, and nowhere else."""

    class Late(nn.Module):
        def forward(self, x):
            late = (x.mean((1, 2, 3)) - 0.78).relu()[:, None]
            return torch.cat([late, -late], 1)

    trace = look(Late(), np.full((SIDE, SIDE, 3), 255, np.uint8)).ask(Target(0), working=True)
    points = []
    original = trace.slopes_at
    trace.slopes_at = lambda pixels, **rest: points.extend(pixels[:, 0, 0, 0].tolist()) or original(pixels, **rest)
    method = ex.registry.find("integrated_gradients").function
    *_, last = method(trace, baseline="black", tolerance=1e-4)
    assert last.adds_up.residual <= 1e-4
    assert last.adds_up.whole == pytest.approx(0.22)
    assert all(abs(p - 0.78) < 1 / 15 for p in points[16:])
    assert len(points) > 18


def test_the_slope_at_the_start_is_that_of_setting_out():
    """Without biases, on gray itself every unit stands at its kink and lets nothing through."""
    framing = Framing(size=(SIDE, SIDE), mode="squash", mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    e = ask(seeded(convolutions(bias=False)), "integrated_gradients", framing=framing)
    assert e.spent.backwards == 16
    assert e.result.adds_up.residual < rounding(1000, 1, torch.float64)


# T5 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [EQUAL, {}])
def test_t5_nothing_changes_nothing(question):
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert ask(seeded(convolutions()), "integrated_gradients", black, baseline="black", **question).blank

    class Constant(nn.Module):
        def forward(self, x):
            return 0 * x.flatten(1)[:, :4] + torch.arange(4.0)

    e = ask(Constant(), "integrated_gradients", **question)
    assert e.blank
    assert e.result.adds_up.residual == 0


def test_t5_it_is_linear_in_the_network():
    class Both(nn.Module):
        def __init__(self, f, g):
            super().__init__()
            self.f, self.g = f, g

        def forward(self, x):
            return 2 * self.f(x) - 3 * self.g(x)

    f, g = seeded(convolutions(), 1), seeded(convolutions(), 2)
    a, b, both = (ask(n, "integrated_gradients", steps=16, **EQUAL).native for n in (f, g, Both(f, g)))
    assert close(both, 2 * a - 3 * b)


@pytest.mark.parametrize("question", [EQUAL, {}])
def test_t5_what_is_not_read_gets_exactly_nothing_and_what_is_read_alike_gets_the_same(question):
    class Twice(nn.Module):
        """Reads pixels (0, 0) and (5, 9) in one way, (3, 3) in another, and no others."""

        def forward(self, x):
            a, b, c = x[:, :, 0, 0].sum(1), x[:, :, 5, 9].sum(1), x[:, :, 3, 3].sum(1)
            return torch.stack([(a + b - c).relu(), (a * b + c).tanh()], 1)

    swapped = NOISE.copy()
    swapped[0, 0], swapped[5, 9] = NOISE[5, 9], NOISE[0, 0]
    first = ask(Twice().double(), "integrated_gradients", baseline="black", **question).native
    second = ask(Twice().double(), "integrated_gradients", swapped, baseline="black", **question).native
    read = [(0, 0), (5, 9), (3, 3)]
    assert all(first[at] for at in read)
    assert sum(first[at] != 0 for at in np.ndindex(first.shape)) == 3
    assert (first[0, 0], first[5, 9]) == pytest.approx((second[5, 9], second[0, 0]), rel=TOLD)


@pytest.mark.parametrize(
    "method", ["input_x_gradient", "integrated_gradients", "guided_integrated_gradients", "smooth_grad"]
)
def test_t5_the_map_does_not_depend_on_how_the_network_normalizes(method):
    mean, std = (0.1, 0.2, 0.7), (0.5, 0.3, 0.2)

    class Normalizes(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))

    network = seeded(convolutions())
    baseline = {} if method == "smooth_grad" else {"baseline": "white"}
    outside = Framing(size=(SIDE, SIDE), mode="squash", mean=mean, std=std)
    a = ask(network, method, framing=outside, **baseline).native
    b = ask(Normalizes(network), method, **baseline).native
    assert close(a, b)


# T6: expected gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["colors", "noise", "shuffled"])
def test_t6_with_one_baseline_and_many_points_it_is_integrated_gradients(kind):
    network = seeded(convolutions())
    trace, score = look(network), centered(network)
    start = expected.drawn(kind, trace.pixels, 1, _after_shifts(1))[0]
    e = ask(network, "expected_gradients", baselines=kind, draws=1, steps=64)
    assert close(e.native, by_hand(score, start, trace.pixels, 64), 0.05)
    with torch.no_grad():
        assert e.result.adds_up.whole == pytest.approx(float(score(trace.pixels) - score(start)))
    # Points are 1/64 apart, and a slope that jumps between two of them is misplaced by as much: two such of the whole.
    assert e.result.adds_up.residual < 0.03


def _after_shifts(draws):
    generator = torch.Generator().manual_seed(0)
    torch.randperm(draws, generator=generator)
    torch.rand(draws, generator=generator)
    return generator


def test_t6_the_sum_comes_to_the_score_less_the_mean_score_of_baselines():
    network = seeded(convolutions())
    e = ask(network, "expected_gradients", draws=128, steps=4)
    assert e.result.adds_up.residual < 0.02  # an even grid over all 128: its points are 1/512 apart
    # Other draws differ by what the standard error says. It comes from 16 draws, and the mean of eight others has an
    # eighth of its variance: Student's t with 15 degrees stays below 3/√(9/8) for .987; pixels are not independent.
    others = np.stack([ask(network, "expected_gradients", draws=16, seed=s).native for s in range(1, 9)])
    one = ask(network, "expected_gradients", draws=16)
    assert np.mean(np.abs(one.native - others.mean(0)) < 3 * one.result.error) > 0.97
    assert others.std(0, ddof=1).mean() == pytest.approx(one.result.error.mean(), rel=0.35)
    # The spread of eight is off by 1/√(2 · 7) = .27 of itself in each pixel, that of 16 by .18: .32 in all.


def test_what_is_drawn_is_what_it_is_called():
    pixels = torch.rand(3, 5, 7, dtype=torch.float64)
    colors, noise, shuffled = (
        expected.drawn(kind, pixels, 4, torch.Generator().manual_seed(1)) for kind in ("colors", "noise", "shuffled")
    )
    assert colors.shape == noise.shape == shuffled.shape == (4, 3, 5, 7)
    assert (colors == colors[:, :, :1, :1]).all()
    assert len(colors.unique()) == 12
    assert len(noise.unique()) == noise.numel()
    own = {tuple(p) for p in pixels.flatten(1).T.tolist()}
    for one in shuffled:
        assert {tuple(p) for p in one.flatten(1).T.tolist()} == own
        assert not torch.equal(one, pixels)


# T13: SmoothGrad -----------------------------------------------------------------------------------------------------


def test_t13_without_noise_or_on_a_linear_network_it_is_the_gradient():
    for network, noise in ((seeded(convolutions()), 0.0), (seeded(linear()), 0.3)):
        plain = ask(network, "gradient", channels="sum").native
        assert close(ask(network, "smooth_grad", noise=noise).native, plain)
        squares = (look(network).ask(Target(1)).pixel_slopes() ** 2).sum(0)
        assert close(ask(network, "smooth_grad", noise=noise, statistic="squared").native, squares)
        assert ask(network, "smooth_grad", noise=noise, statistic="variance").native.max() < rounding(1, plain) ** 2


def test_t13_it_is_the_mean_over_noisy_pictures_and_their_squares_and_variance():
    network = seeded(convolutions())
    pixels, score = look(network).pixels, centered(network)
    noise = torch.randn((20, *pixels.shape), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    slopes = []
    for drawn in noise:
        x = (pixels + 0.2 * drawn).requires_grad_()
        slopes.append(torch.autograd.grad(score(x), x)[0])
    slopes = torch.stack(slopes)
    ours = partial(ask, network, "smooth_grad", noise=0.2, samples=20, seed=5)
    assert close(ours().native, slopes.mean(0).sum(0))
    assert close(ours().result.error, slopes.sum(1).std(0) / 20**0.5)
    assert close(ours(statistic="squared").native, (slopes**2).mean(0).sum(0))
    assert close(ours(statistic="variance").native, slopes.var(0).sum(0))


def test_t13_where_slopes_are_linear_the_noise_averages_out_with_the_root_of_the_samples():
    class Square(nn.Module):
        def forward(self, x):
            return torch.stack([(x**2).sum((1, 2, 3)), x.sum((1, 2, 3)) * 0], 1)

    few, many = (ask(Square().double(), "smooth_grad", target=0, samples=n) for n in (32, 512))
    plain = ask(Square().double(), "gradient", target=0, channels="sum").native
    assert np.mean(np.abs(many.native - plain) < 3 * many.result.error) > 0.98  # .9973 of a normal law
    assert few.result.error.mean() / many.result.error.mean() == pytest.approx(4, rel=0.1)
    # The spread of 32 is off by 1/√62 = .13 of itself in each of thousands of pixels, so the mean of it by far less.
    spread = np.abs(few.native - plain).mean() / np.abs(many.native - plain).mean()
    assert spread == pytest.approx(4, rel=0.25)


def test_draws_are_numpys_mean_and_standard_error():
    samples = torch.from_numpy(np.random.default_rng(0).normal(1e4, 1, (50, 3, 2)))
    draws = RunningMean()
    draws.add(samples[:1])
    assert draws.error is None
    for part in samples[1:].split(13):
        draws.add(part)
    assert close(draws.mean, samples.numpy().mean(0), rounding(50, 1, torch.float64))
    assert close(draws.error, samples.numpy().std(0, ddof=1) / 50**0.5, rounding(200, 1e4, torch.float64))


# T15 -----------------------------------------------------------------------------------------------------------------

SIGNED = [
    ("gradient", {"channels": "sum"}),
    ("input_x_gradient", {}),
    ("integrated_gradients", {**EQUAL, "steps": 16}),
    ("expected_gradients", {}),
    ("smooth_grad", {}),
]


@pytest.mark.parametrize(("method", "options"), SIGNED)
def test_t15_one_class_rather_than_another_is_the_difference_of_their_maps(method, options):
    trace = look(seeded(convolutions()))
    a, b = (ex.explain(trace, method, target=i, score="logit", **options).native for i in (0, 3))
    assert close(ex.explain(trace, method, target=0, versus=3, **options).native, a - b)


# T35 and T39 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["input_x_gradient", "integrated_gradients", "guided_integrated_gradients", "expected_gradients"]
)
def test_t35_a_network_that_flips_first_gives_the_flipped_map(method):
    class Flips(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x.flip(-1))

    network = seeded(convolutions(bend=nn.Softplus))
    flipped = ask(Flips(network), method, np.ascontiguousarray(NOISE[:, ::-1])).native
    assert close(flipped, ask(network, method).native[:, ::-1])


@pytest.mark.parametrize(
    "method",
    ["input_x_gradient", "integrated_gradients", "guided_integrated_gradients", "expected_gradients", "smooth_grad",
     "guided_backpropagation", "deconvnet"],
)  # fmt: skip
def test_t39_a_half_that_is_not_connected_gets_nothing(method):
    class Left(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = convolutions()

        def forward(self, x):
            return self.network(torch.cat([x[..., : SIDE // 2]] * 2, -1))

    heat = ask(seeded(Left()), method).native
    assert not heat[:, SIDE // 2 :].any()
    assert heat[:, : SIDE // 2].any() or method == "deconvnet"


# The others ----------------------------------------------------------------------------------------------------------


def test_a_guided_way_of_which_all_moves_at_once_is_the_straight_one():
    network = seeded(convolutions(nn.Softplus))
    trace, score = look(network), centered(network)
    straight = by_hand(score, trace.baseline("black"), trace.pixels, 64)
    for options in ({"fraction": 1.0}, {"leash": 0.0}):
        e = ask(network, "guided_integrated_gradients", baseline="black", steps=64, **options)
        assert close(e.native, straight, 0.02)  # another rule for the same integral
        assert not e.result.note


def test_a_guided_way_moves_what_matters_least_first():
    """One pixel matters; it moves last, when all others have arrived."""

    class One(nn.Module):
        def forward(self, x):
            value = x[:, 0, 2, 2] * 5 + 1e-3 * x.sum((1, 2, 3))
            return torch.stack([value, -value], 1)

    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    trace = look(One(), white).ask(Target(0))
    seen = []
    original = trace.slopes_at
    trace.slopes_at = lambda pixels, **rest: seen.append(pixels[0].clone()) or original(pixels, **rest)
    *_, last = ex.registry.find("guided_integrated_gradients").function(trace, baseline="black", leash=1.0, steps=8)
    assert float(last.heat.sum()) == pytest.approx(5 + 1e-3 * 3 * SIDE * SIDE, rel=rounding(3 * SIDE**2))
    for k, pixels in enumerate(seen[1:], 1):
        assert float(pixels.sum()) == pytest.approx(k / 8 * 3 * SIDE * SIDE, abs=rounding(3 * SIDE**2, 3 * SIDE**2))
        assert pixels[0, 2, 2] < 0.5 or k == 8


def test_a_guided_way_that_misses_says_so():
    class Jumpy(nn.Module):
        def forward(self, x):
            value = (80 * x.mean((1, 2, 3))).sin() + x[:, :, :2].mean((1, 2, 3))
            return torch.stack([value, -value], 1)

    e = ask(Jumpy().double(), "guided_integrated_gradients", target=0, baseline="black", steps=8)
    assert "miss what the score gains" in e.result.note
    assert e.result.adds_up is None


def test_regions_are_ranked_by_what_they_add_for_their_size():
    parts = np.array([5.0, 3, 1, 1, -1, -3])
    masks = np.array([[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]], np.bool_)
    # First 0 and 1 (mean 4), then what is left of the second (1), then the third (-2); all at once would be 1.
    assert xrai._ranked(masks, parts).tolist() == [4, 4, 1, 1, -2, -2]
    # What no region brings in keeps the mean of the rest.
    assert xrai._ranked(masks[:1], parts).tolist() == [4, 4, -0.5, -0.5, -0.5, -0.5]


def test_regions_are_widened_on_all_sides():
    labels = np.zeros((5, 6), np.int64)
    labels[2, 3] = 1
    wide = xrai._widened(labels, 1)
    assert wide.shape == (2, 5, 6)
    assert np.argwhere(wide[1]).tolist() == [[r, c] for r in (1, 2, 3) for c in (2, 3, 4)]
    assert wide[0].all()


def test_xrai_finds_the_bright_square_that_is_read():
    class Square(nn.Module):
        def forward(self, x):
            value = x[:, :, 4:10, 4:10].mean((1, 2, 3))
            return torch.stack([value, -value], 1)

    picture = np.full((32, 32, 3), 40, np.uint8)
    picture[4:10, 4:10] = 230
    heat = ask(Square(), "xrai", picture, Framing(size=(32, 32), mode="squash"), target=0).native
    assert heat[4:10, 4:10].min() > 0
    assert heat[16:, 16:].max() < heat[4:10, 4:10].min() / 5


# The working ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [EQUAL, {}])
def test_the_working_leads_from_the_baseline_to_the_map(question):
    network = seeded(convolutions())
    trace = look(network)
    e = ex.explain(trace, "integrated_gradients", target=1, baseline="black", working=True, **question)
    assert 4 <= len(e.working) <= 7
    assert all(step.sentence.endswith(".") and "the score" in step.sentence for step in e.working)
    totals = [step.total for step in e.working]
    assert totals == pytest.approx(np.cumsum([step.weight for step in e.working]))
    near = rounding(1, max(np.abs(step.heat).sum() for step in e.working))
    assert [step.heat.sum(dtype=np.float64) for step in e.working] == pytest.approx(totals, abs=near)
    if not question:  # the last point is the picture itself
        assert close(e.working[-1].heat, e.native)
        assert totals[-1] == pytest.approx(e.result.adds_up.parts)
    plain = ex.explain(trace, "integrated_gradients", target=1, baseline="black", **question)
    assert not plain.working
    assert close(plain.native, e.native)


# As captum has them, on real networks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "picture"), [(squeezenet, lambda: photo("goldfinch")), (resnet20, lambda: cifar("cat"))]
)
def test_integrated_gradients_as_captum_has_them(build, picture):
    from captum.attr import InputXGradient, IntegratedGradients

    model = build(torch.float64)  # where no rounding pushes a rectified unit over its kink
    trace = ex.look(model, str(picture()))
    best = trace.top(1)[0].index
    pixels, gray = model.framing.normalize(trace.pixels)[None], model.framing.normalize(trace.baseline("gray"))[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = IntegratedGradients(model.module).attribute(
            pixels, gray, target=best, n_steps=8, method="riemann_middle", internal_batch_size=8
        )
        product = InputXGradient(model.module).attribute(pixels.clone().requires_grad_(), target=best)
    ours = ex.explain(trace, "integrated_gradients", target=best, score="logit", steps=8, tolerance=0.0)
    assert close(ours.native, theirs[0].sum(0))
    assert close(ex.explain(trace, "input_x_gradient", target=best, score="logit").native, product[0].sum(0).detach())
