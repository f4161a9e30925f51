"""Recording: what is kept, what flows on, and that neither the network nor anybody else notices."""

import copy

import pytest
import torch
import torch.nn.functional as F
from tolerance import close, rounding
from torch import nn
from torch.nn.modules import module as hooks

from explainers.errors import Stopped
from explainers.network.taps import Point, first_tensor, run, watch

X = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def seeded(network):
    """The network in evaluation mode, with the same random weights each time."""
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape, generator=noise) / 3)
    return network.eval()


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


# What is kept -------------------------------------------------------------------------------------------------------


def test_a_tap_is_what_the_module_put_out():
    network = seeded(Small())
    done = run(network, X, taps=[Point("conv"), Point("relu")])
    assert torch.equal(done.taps[Point("conv")], F.conv2d(X, network.conv.weight, network.conv.bias, padding=1))
    assert torch.equal(done.taps[Point("relu")], done.taps[Point("conv")].relu())


def test_an_in_place_relu_after_the_tap_changes_neither_the_maps_nor_their_slopes():
    network = seeded(Small())
    start = Point("conv")
    done = run(network, X, taps=[start], start=start)
    (slope,) = torch.autograd.grad(done.output[0, 2], done.taps[start])

    maps = F.conv2d(X, network.conv.weight, network.conv.bias, padding=1)
    assert maps.min() < 0
    assert torch.equal(done.taps[start], maps)
    by_hand = (network.head.weight[2] / 64)[None, :, None, None] * (maps > 0)
    assert close(slope, by_hand, rounding(2, by_hand))  # a division, and once more for the mean


def test_watch_keeps_what_came_out_before_something_in_place_changed_it():
    class InPlaceFunction(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            x = self.conv(x)
            F.relu_(x)
            x += 1
            return x.mean((2, 3))

    network = seeded(InPlaceFunction())
    output, (call,) = watch(network, X)
    assert call.output.min() < 0
    assert call.output.grad_fn.name() == "ConvolutionBackward0"
    assert torch.equal(output, network(X))


def test_a_module_used_twice_has_two_points():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.mix(self.mix(x).relu()).mean((2, 3))

    network = seeded(Twice())
    first, second = Point("mix"), Point("mix", 1)
    done = run(network, X, taps=[first, second])
    assert torch.equal(done.taps[first], network.mix(X))
    assert torch.equal(done.taps[second], network.mix(network.mix(X).relu()))
    assert [str(call.point) for call in watch(network, X)[1]] == ["mix", "mix#1"]
    with pytest.raises(LookupError, match="mix#2"):
        run(network, X, taps=[Point("mix", 2)])


def test_the_first_tensor_of_a_tuple_or_list_is_tapped_and_the_rest_flows_on():
    class Pair(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind = kind

        def forward(self, x):
            return self.kind([2 * x, x, "a word"])

    class Reader(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.pair = Pair(kind)

        def forward(self, x):
            double, single, word = self.pair(x)
            return (double + single).mean((2, 3)) * len(word)

    for kind in (tuple, list):
        network = Reader(kind).eval()
        done = run(network, X, taps=[Point("pair")], start=Point("pair"))
        assert torch.equal(done.taps[Point("pair")], 2 * X)
        assert torch.equal(done.output, network(X))


def test_a_nested_tuple_is_left_alone():
    class Nested(nn.Module):
        def forward(self, x):
            return ((x, x), x)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.nested = Nested()

        def forward(self, x):
            (a, b), c = self.nested(x)
            return (a + b + c).mean((2, 3))

    network = Reader().eval()
    assert first_tensor(network.nested(X)) is None
    assert torch.equal(watch(network, X)[0], network(X))
    with pytest.raises(LookupError, match="no tensor came out of nested"):
        run(network, X, taps=[Point("nested")])


def test_a_point_that_did_not_run_is_named():
    with pytest.raises(LookupError, match="no tensor came out of attic"):
        run(seeded(Small()), X, taps=[Point("attic")])


# Where the graph begins ---------------------------------------------------------------------------------------------


def test_no_graph_is_recorded_before_the_start():
    network = seeded(Small())
    done = run(network, X, taps=[Point("conv"), Point("relu")], start=Point("relu"))
    assert not done.taps[Point("conv")].requires_grad
    assert done.taps[Point("relu")].is_leaf
    assert done.output.requires_grad


def test_the_slope_at_a_start_is_the_slope_of_a_whole_graph():
    network = seeded(Small())
    point = Point("conv")
    late = run(network, X, taps=[point], start=point)
    whole = run(network, X.clone().requires_grad_(), taps=[point])
    slopes = [torch.autograd.grad(done.output[0, 1], done.taps[point])[0] for done in (late, whole)]
    assert torch.equal(*slopes)


def test_a_cut_says_what_flows_around_a_point():
    class Around(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip, self.branch = nn.Identity(), nn.Identity()

        def forward(self, x):
            x = self.skip(x)
            return (3 * x + self.branch(4 * x)).sum((2, 3))

    done = run(Around(), X, taps=[Point("skip")], start=Point("skip"), cut=[Point("branch")])
    (slope,) = torch.autograd.grad(done.output.sum(), done.taps[Point("skip")])
    assert torch.equal(slope, torch.full_like(X, 3))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_mode_of_the_caller_is_as_before_afterwards(mode):
    network = seeded(Small())
    with mode():
        run(network, X, taps=[Point("conv")], start=Point("conv"))
        assert not torch.is_grad_enabled()
        with pytest.raises(Stopped):
            run(network, X, start=Point("conv"), stop=lambda: True)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_the_inside_of_a_fused_encoder_layer_can_be_tapped():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, enable_nested_tensor=False
            )

        def forward(self, x):
            return self.layers(F.pad(x.flatten(2).mT, (0, 1)))[:, 0]

    network = seeded(Encoder())
    for p in network.parameters():
        p.requires_grad_(False)
    inside = Point("layers.layers.1.norm1")
    done = run(network, X, taps=[inside], start=inside)
    assert done.taps[inside].is_leaf
    (slope,) = torch.autograd.grad(done.output.sum(), done.taps[inside])
    assert slope.shape == (1, 64, 4)
    assert X.grad is None
    assert not X.requires_grad


# T27: the forward pass and ordinary gradients are what they were -----------------------------------------------------


def test_t27_recording_changes_no_bit_of_the_forward_pass():
    network = seeded(Small())
    with torch.no_grad():
        plain = network(X)
    for done in (
        run(network, X, graph=False),
        run(network, X, taps=[Point("conv"), Point("relu"), Point("head")]),
        run(network, X, taps=[Point("conv")], start=Point("conv")),
    ):
        assert torch.equal(done.output, plain)
    assert torch.equal(watch(network, X)[0], plain)


def test_t27_ordinary_gradients_are_as_before_afterwards():
    network = seeded(Small())
    twin = copy.deepcopy(network)
    run(network, X, taps=[Point("conv")], start=Point("conv"))
    watch(network, X)
    for each in (network, twin):
        each(X)[0, 3].backward()
    for p, q in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


# Nothing stays ------------------------------------------------------------------------------------------------------


def test_no_hook_stays_after_success_error_or_stop():
    class Broken(Small):
        def forward(self, x):
            self.conv(x)
            raise ZeroDivisionError

    tables = (hooks._global_forward_hooks, hooks._global_forward_pre_hooks, hooks._global_backward_hooks)
    before = [dict(table) for table in tables]
    run(seeded(Small()), X, taps=[Point("conv")])
    with pytest.raises(ZeroDivisionError):
        run(seeded(Broken()), X, taps=[Point("conv")])
    with pytest.raises(ZeroDivisionError):
        watch(seeded(Broken()), X)
    with pytest.raises(Stopped):
        run(seeded(Small()), X, stop=lambda: True)
    assert [dict(table) for table in tables] == before


def test_stop_is_looked_at_in_the_middle_of_a_pass():
    seen = []

    def stop():
        seen.append(None)
        return len(seen) == 2

    with pytest.raises(Stopped):
        run(seeded(Small()), X, stop=stop)
    assert len(seen) == 2


def test_a_recording_does_not_see_another_network_that_runs_inside_it():
    inner = seeded(Small())

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return run(inner, self.conv(x), taps=[Point("conv")]).output

    outer = seeded(Outer())
    done = run(outer, X, taps=[Point("conv")])
    assert torch.equal(done.taps[Point("conv")], outer.conv(X))
    assert torch.equal(done.output, inner(outer.conv(X)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_that_arrive_with_the_channels_last_are_right_behind_a_batch_norm(dtype):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6).to(dtype)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    mix = torch.randn(20, 6, dtype=dtype)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return (self.norm(x).flatten(2).mT * mix).sum((1, 2))[:, None]

    x = torch.randn(1, 6, 4, 5, dtype=dtype).requires_grad_()
    (slope,) = torch.autograd.grad(run(Tokens().eval(), x).output.sum(), x)
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]
    expected = (mix.T.view(6, 4, 5) * scale).detach()
    assert close(slope[0], expected, rounding(5, expected, dtype))
