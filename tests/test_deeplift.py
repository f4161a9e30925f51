"""DeepLIFT: hand-worked cases for both rules, the sum on any architecture, and parity where a peer's sum holds."""

import gc
import threading
import warnings

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from networks import cifar, photo, resnet20, squeezenet
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.network.rules.differences import Differences
from explainers.pictures import Framing

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def multipliers(function, x, x0, rule="rescale"):
    """Multipliers of a function's output, which is one number, and that output for both."""
    passes = Differences(rule)
    with passes.reference():
        before = function(x0)
    leaf = x.clone().requires_grad_()
    with passes.compared():
        after = function(leaf)
    (slopes,) = torch.autograd.grad(after.sum(), leaf)
    return slopes, after.detach().sum(), before.detach().sum()


def shares(function, x, x0, rule="rescale"):
    slopes, _, _ = multipliers(function, x, x0, rule)
    return (slopes * (x - x0)).tolist()


def residual(function, x, x0, rule="rescale"):
    slopes, after, before = multipliers(function, x, x0, rule)
    parts = slopes * (x - x0)
    return abs(float(parts.sum() - (after - before))) / float(parts.abs().sum() + 1e-9)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


# By hand -------------------------------------------------------------------------------------------------------------


class Minimum(nn.Module):
    """min(a, b) = a − relu(a − b), with the difference in a linear layer."""

    def __init__(self):
        super().__init__()
        self.difference = nn.Linear(2, 1, bias=False).double()
        with torch.no_grad():
            self.difference.weight.copy_(torch.tensor([[1.0, -1.0]]))

    def forward(self, x):
        return x[0] - F.relu(self.difference(x))[0]


def test_rescale_gives_the_smaller_of_two_all_of_the_minimum_and_reveal_cancel_half_to_each():
    x, x0 = numbers(3, 1), numbers(0, 0)
    # a − b = 2 has risen by 2: the rectifier's multiplier is 1, so a gets 3 − 3 = 0 and b gets +1.
    assert shares(Minimum(), x, x0) == pytest.approx([0, 1])
    # Apart, +3 and −1: ½(relu 3 − relu 0) + ½(relu 2 − relu −1) = 2.5; ½(relu −1 − relu 0) + ½(relu 2 − relu 3) = −.5.
    assert shares(Minimum(), x, x0, "reveal_cancel") == pytest.approx([0.5, 0.5])


def test_one_rectifier_is_worth_the_share_of_its_change_that_it_lets_through():
    assert shares(lambda x: F.relu(x - 1), numbers(3), numbers(-1)) == pytest.approx([2])  # from 0 to 2
    slopes, _, _ = multipliers(lambda x: F.relu(x - 1), numbers(3), numbers(-1))
    assert slopes.tolist() == pytest.approx([0.5])  # integrated gradients says the same of a single unit


def test_a_product_is_split_at_the_midpoints():
    # 3 · 5 − 1 · 2 = 13: (3 − 1) · 3.5 and (5 − 2) · 2
    assert shares(lambda x: x[0] * x[1], numbers(3, 5), numbers(1, 2)) == pytest.approx([7, 6])


def test_a_quotient_is_split_by_both_divisors_the_larger_counting_for_more():
    # 6/2 − 1/1 = 2: (2 + 1) · 5/(4 + 1) and −(2 · 1 + 1 · 3) · 1/(4 + 1)
    assert shares(lambda x: x[0] / x[1], numbers(6, 2), numbers(1, 1)) == pytest.approx([3, -1])
    # 6/2 − 0/1e-9: all of it is what the dividend added, as in a slope, whatever the divisor was
    assert shares(lambda x: x[0] / x[1], numbers(6, 2), numbers(0, 1e-9)) == pytest.approx([3, 0], abs=1e-8)
    # across zero: 6/2 − 6/−2 = 6, all of it by the divisor, whose change is 4
    assert shares(lambda x: x[0] / x[1], numbers(6, 2), numbers(6, -2)) == pytest.approx([0, 6])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_one_after_another_stay_calm_where_the_reference_is_plain(dtype):
    """Each had twice the slope of the one before where the reference had no spread: 2⁶⁰ in sixty layers."""
    torch.manual_seed(0)
    layers = [each for _ in range(60) for each in (nn.Linear(16, 16, bias=False), nn.LayerNorm(16), nn.ReLU())]
    network = nn.Sequential(*layers, nn.Linear(16, 1, bias=False)).to(dtype).eval()
    x = torch.randn(1, 16, dtype=dtype)
    slopes, after, before = multipliers(network, x, torch.zeros_like(x))
    assert before == 0
    assert slopes.abs().max() < 1e3
    # Rounding grows with each layer's size of sums: sixty layers of sixteen terms at the multipliers' size.
    assert abs(float((slopes * x).sum() - after)) < 60 * 16 * float(slopes.abs().max()) * torch.finfo(dtype).eps


def test_of_a_maximum_the_place_that_wins_carries_the_change():
    x, x0 = numbers(5, 1, 2).view(1, 1, 1, 3), numbers(0, 3, 2).view(1, 1, 1, 3)
    assert shares(lambda x: F.max_pool2d(x, (1, 3)), x, x0) == [[[[2, 0, 0]]]]  # from 3, elsewhere, to 5
    assert shares(lambda x: F.max_pool2d(x, (1, 3)), x0, x) == [[[[-2, 0, 0]]]]
    assert shares(lambda x: x.amax(3), x, x0) == [[[[2, 0, 0]]]]


def test_where_nothing_differs_the_gradient_of_the_same_sample_is_taken():
    slopes, _, _ = multipliers(lambda x: F.silu(x), numbers(0.7, 2.0), numbers(0.7 + 4e-8, 0.0))
    leaf = numbers(0.7, 2.0).requires_grad_()
    (gradient,) = torch.autograd.grad(F.silu(leaf).sum(), leaf)
    assert float(slopes[0]) == pytest.approx(float(gradient[0]), rel=rounding(1000, 1, torch.float64))
    assert float(slopes[1]) == pytest.approx(float(F.silu(numbers(2.0))) / 2)


def test_on_a_linear_network_it_is_the_gradient_times_the_difference():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 1))
    network = network.double().eval()
    x, x0 = torch.rand(2, 1, 3, 8, 8, dtype=torch.float64)
    for rule in ("rescale", "reveal_cancel"):
        slopes, _, _ = multipliers(network, x, x0, rule)
        leaf = x.clone().requires_grad_()
        expected = torch.autograd.grad(network(leaf).sum(), leaf)[0]
        assert close(slopes, expected, rounding(1000, expected, torch.float64))


# The sum -------------------------------------------------------------------------------------------------------------

OPERATIONS = {
    "softmax": lambda x: (x.softmax(-1) * torch.arange(6.0)).sum(),
    "log softmax": lambda x: F.log_softmax(x, -1)[..., 2].sum(),
    "logsumexp": lambda x: torch.logsumexp(3 * x, -1).sum(),
    "layer norm": lambda x: (F.layer_norm(x, (6,), torch.arange(6.0), torch.ones(6)) ** 3).sum(),
    "group norm": lambda x: (F.group_norm(x.view(1, 6, 4), 3) ** 2)[:, 1].sum(),
    "root mean square norm": lambda x: (F.rms_norm(x, (6,)) * torch.arange(6.0)).sum(),
    "norm written out": lambda x: (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))[0].sum(),
    "unit length": lambda x: (F.normalize(x, dim=-1) @ F.normalize(x, dim=-1).mT)[0].sum(),
    "standard deviation": lambda x: ((x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)).square().sum(),
    "attention": lambda x: F.scaled_dot_product_attention(x, 2 * x, x.flip(-1))[0].sum(),
    "masked attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True)[:, 2].sum(),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x.exp()).tanh().sum(),
    "a grid of places": lambda x: torch.mul(*torch.meshgrid(x[0], x[1], indexing="ij")).tanh().sum(),
    "gate": lambda x: F.glu(x, -1).sum() + (x * torch.sigmoid(x)).sum(),
    "activations": lambda x: sum(f(x).sum() for f in (F.gelu, F.silu, F.mish, F.hardswish, F.elu, F.softplus, F.relu6)),
    "in place": lambda x: F.relu_(F.hardswish(x.clone() - 0.2, inplace=True).mul_(x)).add_(1).sum(),
    "written into": lambda x: _written_into(x).square().sum(),
    "larger of two": lambda x: torch.maximum(x, x.flip(0)).sum() + torch.max(x, -1).values.sum(),
    "clamped powers": lambda x: x.clamp(min=1e-3).pow(3).mean(-1).pow(1 / 3).sum() + (2.0 / (x + 5)).sum(),
    "weights that move": lambda x: F.conv2d(x.view(1, 1, 4, 6), x[:3, :3].view(1, 1, 3, 3)).relu().sum(),
    "encoder layer": lambda x: _encoder(x[None]).square().sum(),
}  # fmt: skip


def _written_into(x):
    y = x.exp()
    z = F.gelu(y)
    y[0] = 3 * z[1]
    y += z
    return y


torch.manual_seed(0)
_encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True).double().eval()


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_parts_add_up_through(name, rule):
    torch.manual_seed(1)
    x = torch.randn(4, 6, dtype=torch.float64)
    for x0 in (torch.zeros_like(x), torch.randn_like(x), x.roll(1, 0)):
        torch.set_default_dtype(torch.float64)
        try:
            assert residual(OPERATIONS[name], x, x0, rule) < 1e-9
        finally:
            torch.set_default_dtype(torch.float32)


def classifier(name, **options):
    torch.manual_seed(0)
    module = timm.create_model(name, num_classes=6, **options).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():  # gates that start at zero would hide what they gate
            if not parameter.any():
                parameter.normal_(std=0.1)
    return ex.wrap(module, framing=Framing(size=(64, 64), mode="squash"), name=name)


FAMILIES = {
    "resnet10t": {},
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 2},
    "swin_tiny_patch4_window7_224": {"img_size": 64, "window_size": 2, "depths": (1, 1, 2, 1)},
    "convnext_atto": {},
    "test_efficientnet": {},
    "mobilevit_xxs": {},
    "poolformer_s12": {},
    "efficientvit_b0": {},
    "levit_128s": {"img_size": 64},
    "xcit_nano_12_p8_224": {"img_size": 64, "depth": 2},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_parts_add_up_on_any_architecture(name):
    model = classifier(name, **FAMILIES[name])
    for reference in ("gray", "blur"):
        e = ex.explain(ex.look(model, PICTURE), "deeplift", target=3, reference=reference)
        assert e.result.adds_up.residual < 1e-6
        assert e.result.adds_up.whole


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_the_parts_add_up_on_real_networks_written_with_functions_and_in_place(rule):
    for build, picture in ((resnet20, cifar("frog")), (squeezenet, photo("tabby"))):
        assert ex.explain(ex.look(build(), picture), "deeplift", rule=rule).result.adds_up.residual < 1e-4
        model = build(torch.float64)
        for score in ("centered_logit", "log_prob", "probability"):
            e = ex.explain(ex.look(model, picture), "deeplift", rule=rule, score=score)
            assert e.result.adds_up.residual < 1e-9


def test_over_several_references_the_sum_is_the_mean_of_theirs():
    model = classifier("convnext_atto")
    trace = ex.look(model, PICTURE)
    alone = [ex.explain(trace, "deeplift", reference=name) for name in ("gray", "black", "white", "blur", "noise")]
    together = ex.explain(trace, "deeplift", reference="all")
    assert close(together.native, np.mean([e.native for e in alone], 0), rounding(6, together.native))
    assert together.result.adds_up.whole == pytest.approx(np.mean([e.result.adds_up.whole for e in alone]))
    assert together.result.adds_up.residual < 1e-9


# Beside others -------------------------------------------------------------------------------------------------------


def test_it_is_what_captum_has_where_captum_sums():
    import captum.attr as captum

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 5, 2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 12, 4), nn.Sigmoid(), nn.AvgPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(432, 40), nn.ELU(), nn.Linear(40, 5)).eval()
    model = ex.wrap(network.double(), framing=Framing(size=(64, 64), mode="squash"))
    trace = ex.look(model, PICTURE)
    e = ex.explain(trace, "deeplift", target=2, score="logit", reference="noise")
    framed, reference = (model.framing.normalize(each)[None] for each in (trace.pixels, trace.baseline("noise")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer, delta = captum.DeepLift(network).attribute(framed, reference, target=2, return_convergence_delta=True)
    assert abs(float(delta)) < 1e-9
    theirs = peer[0].sum(0).detach().numpy()
    assert close(e.native, theirs, rounding(1, theirs))  # of single precision is only the map that is told


# What it leaves alone ------------------------------------------------------------------------------------------------


def test_the_pass_is_what_it_always_is_and_the_gradient_afterwards_too():
    model = classifier("vit_tiny_patch16_224", img_size=64, depth=2)
    pixels = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    plain = model.module(pixels)
    passes = Differences()
    with passes.reference():
        model.module(torch.zeros_like(pixels))
    with passes.compared():
        ruled = model.module(pixels)
    assert close(plain, ruled, rounding(1000, plain, torch.float64))
    leaf = pixels.clone().requires_grad_()
    first = torch.autograd.grad(model.module(leaf)[0, 0], leaf)[0]
    ex.explain(ex.look(model, PICTURE), "deeplift")
    assert torch.equal(torch.autograd.grad(model.module(leaf)[0, 0], leaf)[0], first)


def test_other_threads_do_not_see_the_rules():
    model, seen = classifier("resnet10t"), []
    leaf = torch.rand(1, 3, 64, 64, dtype=torch.float64).requires_grad_()
    alone = torch.autograd.grad(model.module(leaf)[0, 0], leaf)[0]
    passes = Differences()
    with passes.reference():
        model.module(torch.zeros_like(leaf))
    with passes.compared():
        model.module(leaf)
        worker = threading.Thread(target=lambda: seen.append(torch.autograd.grad(model.module(leaf)[0, 0], leaf)[0]))
        worker.start()
        worker.join()
    assert torch.equal(seen[0], alone)


def test_a_network_that_takes_another_course_on_the_reference_is_refused_in_words():
    class Fickle(nn.Module):
        def forward(self, x):
            y = F.gelu(x).mean((2, 3))
            return y.sigmoid() if float(x.detach().mean()) > 1e-3 else y

    model = ex.wrap(Fickle().eval(), framing=Framing(size=(8, 8), mode="squash"))
    with pytest.raises(DoesNotApply, match="another course"):
        ex.explain(ex.look(model, np.full((8, 8, 3), 255, np.uint8)), "deeplift")


def test_a_slope_for_each_channel_is_taken_in_its_channel():
    weight = torch.tensor([0.1, 0.5], dtype=torch.float64)
    x = torch.tensor([-1.0, -1.0], dtype=torch.float64).view(1, 2, 1, 1)
    slopes, _, _ = multipliers(lambda t: F.prelu(t, weight), x, x.clone())  # nothing differs: slopes, as they are
    assert slopes.flatten().tolist() == pytest.approx([0.1, 0.5])


def test_nothing_is_left_in_memory():
    model = classifier("vit_tiny_patch16_224", img_size=64, depth=2)

    def kept():
        ex.explain(ex.look(model, PICTURE), "deeplift", target=1, score="log_prob")
        gc.collect()
        return sum(type(each) is torch.Tensor for each in gc.get_objects())

    kept()
    assert kept() == kept() == kept()


@pytest.mark.parametrize("within", [False, True])
def test_a_rectifier_worked_out_by_hand(within):
    """On one side of zero the whole difference passes or none; across zero, the share that lies above it."""
    x0 = torch.tensor([1.0, 1.0, -1.0, -3.0, 1.0, 0.0, -2.0])
    x = torch.tensor([2.0, -1.0, 3.0, -2.0, 1.0, 0.0, -2.0])
    leaf, d = x.clone().requires_grad_(), Differences()
    rectified = torch.relu_ if within else torch.relu
    with d.reference():
        rectified(x0 * 1)
    with d.compared():
        out = rectified(leaf * 1)
    assert out.tolist() == [2, 0, 3, 0, 1, 0, 0]
    (multipliers,) = torch.autograd.grad(out.sum(), leaf)
    assert multipliers.tolist() == [1, 0.5, 0.75, 0, 1, 0, 0]
    assert torch.equal(multipliers * (x - x0), x.relu() - x0.relu())
