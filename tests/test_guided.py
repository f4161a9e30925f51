"""Guided backpropagation and the deconvnet: T16, T27, hand-worked signals, and what captum's module hooks give."""

import threading
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import cifar, photo, resnet20, squeezenet
from tolerance import close, rounding
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.network.rules.guided import Guided, rectifies
from explainers.pictures import Framing

PLAIN = Framing(size=(16, 16), mode="squash", mean=(0, 0, 0), std=(1, 1, 1))
NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)

IN_PLACE = {
    "relu_": lambda x: torch.relu_(x),
    "F.relu_": lambda x: F.relu_(x),
    "F.relu(inplace=True)": lambda x: F.relu(x, inplace=True),
    "F.relu(…, True)": lambda x: F.relu(x, True),
    "Tensor.relu_": lambda x: x.relu_(),
    "clamp_": lambda x: x.clamp_(min=0),
    "clamp_min_": lambda x: x.clamp_min_(0),
    "nn.ReLU(inplace)": nn.ReLU(inplace=True),
    "nn.ReLU6(inplace)": nn.ReLU6(inplace=True),
    "nn.Threshold(inplace)": nn.Threshold(0.0, 0.0, inplace=True),
}
RECTIFIERS = {
    **IN_PLACE,
    "torch.relu": torch.relu,
    "F.relu": F.relu,
    "F.relu(input=…)": lambda x: F.relu(input=x),
    "Tensor.relu": lambda x: x.relu(),
    "F.relu6": F.relu6,
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU6": nn.ReLU6(),
    "F.threshold": lambda x: F.threshold(x, 0, 0),
    "clamp(min=0)": lambda x: x.clamp(min=0),
    "torch.clamp(…, 0, 6)": lambda x: torch.clamp(x, 0, 6),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "F.hardtanh(…, 0, 6)": lambda x: F.hardtanh(x, 0.0, 6.0),
}


def slope(function, at, signal, rule=None):
    """What comes back to `at` when `signal` comes to what `function` puts out."""
    leaf = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    with rule or torch.enable_grad():
        out = function(leaf * 1)
    return torch.autograd.grad(out, leaf, torch.tensor(signal, dtype=torch.float64))[0].tolist()


# By hand -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECTIFIERS)
def test_each_rectifier_hands_back_what_the_rules_say(name):
    at, signal = [2.0, 2.0, -1.0, -1.0], [3.0, -3.0, 3.0, -3.0]
    assert slope(RECTIFIERS[name], at, signal) == [3, -3, 0, 0]
    assert slope(RECTIFIERS[name], at, signal, Guided("guided")) == [3, 0, 0, 0]
    assert slope(RECTIFIERS[name], at, signal, Guided("deconvnet")) == [3, 0, 3, 0]
    assert slope(RECTIFIERS[name], at, signal) == [3, -3, 0, 0]


def test_beyond_its_limit_a_capped_unit_is_not_active():
    assert slope(F.relu6, [5.0, 7.0], [1.0, 1.0], Guided("guided")) == [1, 0]


@pytest.mark.parametrize(
    "function",
    [F.gelu, torch.sigmoid, torch.exp, lambda x: x.clamp(min=1e-6), lambda x: x.clamp(-1, 1), lambda x: x.clamp(max=0)],
)
def test_what_does_not_rectify_keeps_its_slope(function):
    at, signal = [2.0, 0.5, -0.5, -2.0], [1.0, -1.0, 1.0, -1.0]
    assert slope(function, at, signal, Guided("guided")) == slope(function, at, signal)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_everyone_who_holds_the_tensor_sees_the_change(name):
    leaf = torch.tensor([1.0, -1.0], requires_grad=True)
    with Guided("guided"):
        held = leaf * 2
        out = IN_PLACE[name](held)
        assert held.tolist() == out.tolist() == [2, 0]
        total = (held + out).sum()  # and the graph goes on from it
    assert torch.autograd.grad(total, leaf)[0].tolist() == [4, 0]


def test_calls_are_counted():
    x = torch.ones(2, requires_grad=True)
    rule = Guided("guided")
    assert rule.note is None
    with rule:
        F.relu(x)
        F.gelu(F.relu(x))
        torch.softmax(x, -1)
    assert (rule.covered, rule.others) == (2, 2)
    assert rule.note.startswith("2 of the 4 functions")
    assert rectifies(torch.relu, (), {})
    assert not rectifies(torch.clamp, (x, None), {"max": 3})


# T16 and T27 ---------------------------------------------------------------------------------------------------------


def network(bias=5.0, positive=True):
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 3),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for layer in (made[0], made[3]):
            layer.bias.fill_(bias)
        if positive:
            made[3].weight.abs_()
            made[6].weight.abs_()
    return made


def maps(made, picture=NOISE, **question):
    trace = ex.look(ex.wrap(made, framing=PLAIN), picture)
    question = {"target": 1, "score": "logit", **question}

    def ask(method, **rest):
        return ex.explain(trace, method, **question, **rest).native

    return ask("gradient", channels="sum"), ask("guided_backpropagation"), ask("deconvnet")


def test_t16_where_all_units_are_active_and_all_signals_positive_they_are_the_gradient():
    gradient, guided, deconvnet = maps(network())
    assert np.array_equal(gradient, guided)
    assert np.array_equal(gradient, deconvnet)


def test_t16_and_otherwise_they_are_not():
    gradient, guided, deconvnet = maps(network(bias=0.0))  # some are not active, no signal is negative
    assert np.array_equal(gradient, guided)
    assert not np.allclose(gradient, deconvnet)
    gradient, guided, deconvnet = maps(network(positive=False))  # all are active, some signals are negative
    assert not np.allclose(gradient, guided)
    assert np.allclose(guided, deconvnet)


def test_t16_signals_at_rectified_units_are_never_negative():
    made = network(bias=0.0, positive=False)
    for rule, least in ((None, -1e-3), (Guided("guided"), 0), (Guided("deconvnet"), 0)):
        x, signals = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0)).requires_grad_(), []
        with rule or torch.enable_grad():
            for layer in made:
                if isinstance(layer, nn.ReLU):
                    x.register_hook(lambda slope, signals=signals: signals.append(float(slope.min())))
                    x = F.relu(x)
                else:
                    x = layer(x)
        x[0, 1].backward()
        assert len(signals) == 2
        assert min(signals) >= least if rule else min(signals) < least


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("build", [squeezenet, resnet20])
def test_t27_forward_is_the_same_to_the_bit_and_the_gradient_afterwards_too(build, rule):
    model = build()
    x = torch.randn((2, 3, *model.framing.size), generator=torch.Generator().manual_seed(0))

    def gradient():
        leaf = x.clone().requires_grad_()
        out = model.module(leaf)
        return out.detach(), torch.autograd.grad(out[:, 3].sum(), leaf)[0]

    before = gradient()
    with Guided(rule):
        under = gradient()
    after = gradient()
    assert torch.equal(before[0], under[0])
    assert not torch.equal(before[1], under[1])
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in model.module.modules())


def test_a_rule_stays_in_its_thread():
    made, x = network(bias=0.0, positive=False), torch.rand(1, 3, 16, 16)

    def gradient():
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(made(leaf)[0, 1], leaf)[0]

    plain, meanwhile = gradient(), []
    with Guided("guided"):
        thread = threading.Thread(target=lambda: meanwhile.append(gradient()))
        thread.start()
        thread.join()
        assert not torch.equal(gradient(), plain)
    assert torch.equal(meanwhile[0], plain)


# As methods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["guided_backpropagation", "deconvnet"])
def test_as_captums_module_hooks_where_these_see_all_units(method):
    import captum.attr

    model = squeezenet(torch.float64)
    theirs = {"guided_backpropagation": captum.attr.GuidedBackprop, "deconvnet": captum.attr.Deconvolution}[method]
    trace = ex.look(model, str(photo("goldfinch")))
    best = trace.top(1)[0].index
    leaf = model.framing.normalize(trace.pixels)[None].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attributed = theirs(model.module).attribute(leaf, target=best)[0].detach()
    wanted = (attributed / torch.tensor(model.framing.std)[:, None, None]).sum(0).numpy()  # slopes per brightness
    ours = ex.explain(trace, method, target=best, score="logit").native
    assert np.abs(wanted).max() > 0
    assert close(ours, wanted, rounding(1, wanted))


def test_where_relu_is_a_function_module_hooks_see_nothing_and_the_rule_does():
    from captum.attr import GuidedBackprop

    model = resnet20(torch.float64)
    trace = ex.look(model, str(cifar("frog")))
    leaf = model.framing.normalize(trace.pixels)[None].clone().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = GuidedBackprop(model.module).attribute(leaf, target=6)[0].detach()
    plain = torch.autograd.grad(model.module(leaf)[0, 6], leaf)[0][0]
    assert close(theirs, plain, rounding(100_000, plain, torch.float64))  # the plain gradient, under another name
    ours = ex.explain(trace, "guided_backpropagation", target=6, score="logit").native
    gradient = ex.explain(trace, "gradient", target=6, score="logit", channels="sum").native
    assert np.abs(ours - gradient).max() > 0.1 * np.abs(gradient).max()


def test_guided_grad_cam_is_the_product_of_both():
    made = network(bias=0.0, positive=False)
    trace = ex.look(ex.wrap(made, framing=PLAIN), NOISE)
    for depth in ("early", "last"):
        place = torch.from_numpy(ex.explain(trace, "grad_cam", depth=depth, target=2).native.copy())
        wide = F.interpolate(place[None, None], size=(16, 16), mode="bilinear", align_corners=False)[0, 0].numpy()
        detail = ex.explain(trace, "guided_backpropagation", target=2).native
        both = ex.explain(trace, "guided_grad_cam", depth=depth, target=2).native
        assert close(both, detail * wide, rounding(10, both))  # four neighbors weighed in single precision


class Half(nn.Module):
    """One rectified unit, and one that is not."""

    def __init__(self, first, second):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3, stride=2), nn.Linear(4, 3)
        self.first, self.second = first, second

    def forward(self, x):
        return self.head(self.second(self.b(self.first(self.a(x)))).mean((2, 3)))


@pytest.mark.parametrize("method", ["guided_backpropagation", "deconvnet", "guided_grad_cam"])
def test_it_is_refused_without_rectified_units_and_says_where_they_are_few(method):
    torch.manual_seed(0)
    smooth = ex.wrap(Half(nn.GELU(), nn.SiLU()).eval(), framing=PLAIN)
    with pytest.raises(DoesNotApply, match="no rectified units"):
        ex.explain(ex.look(smooth, NOISE), method)
    mixed = ex.wrap(Half(nn.ReLU6(), nn.GELU()).eval(), framing=PLAIN)
    assert ex.explain(ex.look(mixed, NOISE), method).result.note.startswith("1 of the 2 functions")
    plain = ex.wrap(Half(nn.ReLU(), nn.ReLU()).eval(), framing=PLAIN)
    assert ex.explain(ex.look(plain, NOISE), method).result.note is None
