"""A missing slope is never a zero: where slopes are cut, on all ways or on some, the answer says so."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply
from explainers.network.taps import conduct
from explainers.pictures import Framing

FRAMING = Framing(size=(24, 24), mode="squash", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
TO_PIXELS = (
    "gradient", "input_x_gradient", "integrated_gradients", "smooth_grad", "guided_backpropagation", "deconvnet",
    "deeplift", "full_grad", "expected_gradients", "guided_integrated_gradients", "xrai", "imagine_class",
)  # fmt: skip
COVERING = ("occlusion", "rise")


class Network(nn.Module):
    """Two branches over one stem; what is under each name can be cut."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.left, self.right = nn.Conv2d(6, 5, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        f = self.stem(x)
        return self.scores(self.left(f).relu(), self.right(f).relu())

    def scores(self, left, right):
        return self.head((left + right).mean((2, 3)))


def wrapped(module):
    return ex.wrap(module.eval(), framing=FRAMING, name="mine")


def notes(model, method, **options):
    return " ".join(ex.explain(ex.look(model, PICTURE), method, target=1, **options).notes)


# All ways are cut ---------------------------------------------------------------------------------------------------


class StemWithout(Network):
    def forward(self, x):
        with torch.no_grad():
            f = self.stem(x)
        return self.scores(self.left(f).relu(), self.right(f).relu())


class StemUnderInference(Network):
    def forward(self, x):
        with torch.inference_mode():
            f = self.stem(x)
        f = f.clone()
        return self.scores(self.left(f).relu(), self.right(f).relu())


class Decorated(Network):
    @torch.no_grad()
    def backbone(self, x):
        return self.stem(x)

    def forward(self, x):
        f = self.backbone(x)
        return self.scores(self.left(f).relu(), self.right(f).relu())


class StemDetached(Network):
    def forward(self, x):
        f = self.stem(x).detach()
        return self.scores(self.left(f).relu(), self.right(f).relu())


class StemData(Network):
    def forward(self, x):
        f = self.stem(x).data
        return self.scores(self.left(f).relu(), self.right(f).relu())


class LeafAgain(Network):
    """Detached, and then made to want gradients again: a graph there is, and it ends before the pixels."""

    def forward(self, x):
        f = self.stem(x).detach().requires_grad_(torch.is_grad_enabled())
        return self.scores(self.left(f).relu(), self.right(f).relu())


class ThroughNumPy(Network):
    def forward(self, x):
        f = torch.from_numpy(self.stem(x).detach().numpy().copy())
        return self.scores(self.left(f).relu(), self.right(f).relu())


CUT = {
    StemWithout: "no_grad", Decorated: "no_grad", StemUnderInference: "inference_mode", StemDetached: "detaches",
    StemData: "detaches", LeafAgain: "detaches", ThroughNumPy: "detaches",
}  # fmt: skip


@pytest.mark.parametrize("kind", CUT, ids=lambda kind: kind.__name__)
def test_where_all_ways_are_cut_methods_of_slopes_are_refused_for_the_true_reason(kind):
    model = wrapped(kind())
    trace = ex.look(model, PICTURE)
    for name in TO_PIXELS:
        with pytest.raises(DoesNotApply, match=f"lets no gradient through: it .*{CUT[kind]}.*Try"):
            ex.explain(trace, name, target=1)
    fits = {fit.method.id: fit.applies for fit in ex.methods(model)}
    assert not any(fits[name] for name in TO_PIXELS)
    assert all(fits[name] for name in COVERING)


@pytest.mark.parametrize("kind", [kind for kind in CUT if kind is not ThroughNumPy])
def test_from_the_last_maps_on_slopes_are_what_they_are_without_the_cut(kind):
    cut, whole = (ex.look(wrapped(each()), PICTURE) for each in (kind, Network))
    assert torch.equal(cut.logits, whole.logits)
    one, other = (ex.explain(each, "grad_cam", target=1).native for each in (cut, whole))
    assert np.array_equal(one, other)
    assert other.any()


def test_maps_before_a_cut_have_no_slopes_and_can_still_be_covered():
    class AllDetached(Network):
        def scores(self, left, right):
            return super().scores(left.detach(), right.detach())

    trace = ex.look(wrapped(AllDetached()), PICTURE)
    with pytest.raises(DoesNotApply, match=r"no gradient.*detaches"):
        ex.explain(trace, "grad_cam", target=1)
    assert ex.explain(trace, "score_cam", target=1).native.any()


def test_a_head_under_no_grad_leaves_no_slopes_anywhere():
    class HeadWithout(Network):
        @torch.no_grad()
        def scores(self, left, right):
            return super().scores(left, right)

    class Everything(Network):
        @torch.no_grad()
        def forward(self, x):
            return super().forward(x)

    for kind in (HeadWithout, Everything):
        trace = ex.look(wrapped(kind()), PICTURE)
        for name in TO_PIXELS:
            with pytest.raises(DoesNotApply, match=r"lets no gradient through: it .*no_grad"):
                ex.explain(trace, name, target=1)
        for name in COVERING:
            assert ex.explain(trace, name, target=1).native.any()


def test_no_method_ends_in_a_traceback_or_in_zeros():
    trace, whole = (ex.look(wrapped(kind()), PICTURE) for kind in (StemWithout, Network))
    for fit in ex.methods(trace.classifier):
        if fit.applies and fit.method.lays_heat and not fit.method.given[1:]:
            try:
                answer = ex.explain(trace, fit.method.id, target=1)
            except DoesNotApply:
                continue
            assert not answer.blank or ex.explain(whole, fit.method.id, target=1).blank, fit.method.id


def test_slopes_at_a_depth_behind_which_all_is_cut_are_refused_and_not_zero():
    class Deeper(Network):
        def forward(self, x):
            f = self.stem(x)
            return self.scores(self.left(f).relu().detach(), self.right(f.detach()).relu())

    trace = ex.look(wrapped(Deeper()), PICTURE)
    for depth in ("stem", "left"):
        with pytest.raises(DoesNotApply, match="no gradient"):
            trace.slopes(depth)
    assert trace.slopes("right").any()


# Some ways are cut --------------------------------------------------------------------------------------------------


class OneBranchDetached(Network):
    def forward(self, x):
        f = self.stem(x)
        return self.scores(self.left(f).relu(), self.right(f).relu().detach())


class OneBranchWithout(Network):
    def forward(self, x):
        f = self.stem(x)
        with torch.no_grad():
            right = self.right(f).relu()
        return self.scores(self.left(f).relu(), right)


class Gated(Network):
    """Attention of a kind whose gate is detached: the gate moves the score, and no slope goes through it."""

    def forward(self, x):
        f = self.stem(x)
        return self.scores(self.left(f).relu() * self.right(f).sigmoid().detach(), self.right(f).relu())


class Scaled(Network):
    """Normalized by statistics that are taken without gradients."""

    def forward(self, x):
        with torch.no_grad():
            spread = x.std((1, 2, 3), keepdim=True) + 1e-3
        return super().forward(x / spread)


class StraightThrough(Network):
    """Rounded on the way forward, as if it were not on the way back."""

    def forward(self, x):
        f = self.stem(x)
        f = f + ((4 * f).round() / 4 - f).detach()
        return self.scores(self.left(f).relu(), self.right(f).relu())


class ByItem(Network):
    def forward(self, x):
        f = self.stem(x)
        return self.scores(self.left(f).relu() * f.mean().item(), self.right(f).relu())


class OneBranchQuantized(Network):
    def forward(self, x):
        f = self.stem(x)
        coarse = torch.quantize_per_tensor(self.right(f).relu().detach(), 0.05, 0, torch.quint8).dequantize()
        return self.scores(self.left(f).relu(), coarse)


PARTLY = (OneBranchDetached, OneBranchWithout, Gated, Scaled, StraightThrough, ByItem, OneBranchQuantized)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", PARTLY)
def test_where_some_ways_are_cut_the_answer_says_so(kind):
    model = wrapped(kind())
    assert model.manner.detached
    for name in ("gradient", "smooth_grad", "guided_backpropagation", "deeplift"):
        assert "Part of the way from picture to score is cut" in notes(model, name)
    assert "is cut" not in notes(model, "occlusion")


def test_what_is_cut_before_the_last_maps_is_nothing_to_methods_that_begin_there():
    model = wrapped(Scaled())
    assert model.manner.detached
    assert not model.manner.detached_maps
    assert "is cut" not in notes(model, "grad_cam")


def test_the_slopes_that_there_are_are_those_of_the_ways_that_are_open():
    class LeftOnly(Network):
        def forward(self, x):
            f = self.stem(x)
            left = self.left(f).relu()
            return self.scores(left, torch.zeros_like(left))

    for kind in (OneBranchDetached, OneBranchWithout):
        cut, left = (ex.explain(ex.look(wrapped(each()), PICTURE), "gradient", target=1) for each in (kind, LeftOnly))
        assert np.array_equal(cut.native, left.native)


# Nothing is cut, though it looks like it ----------------------------------------------------------------------------


class StableSoftmax(Network):
    """The largest is taken off, detached, and cancels: the derivative is complete all the same."""

    def forward(self, x):
        z = super().forward(x)
        z = (z - z.amax(1, keepdim=True).detach()).exp()
        return (z / z.sum(1, keepdim=True)).log()


class Statistics(Network):
    """Something is counted without gradients that does not reach the scores."""

    def forward(self, x):
        f = self.stem(x)
        with torch.no_grad():
            float(f.shape[1]), f.detach().abs().mean()
        return self.scores(self.left(f).relu(), self.right(f).relu())


class OwnDerivative(Network):
    """A function with a derivative of its author's own, whose body runs without gradients."""

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return (x * 3 - x).clone()

        @staticmethod
        def backward(ctx, slope):
            return 2 * slope

    def forward(self, x):
        f = self.Double.apply(self.stem(x))
        return self.scores(self.left(f).relu(), self.right(f).relu())


class Frozen(Network):
    def __init__(self):
        super().__init__()
        self.requires_grad_(requires_grad=False)


class PartlyFrozen(Network):
    """Weights are detached, as in weight sharing; the picture's own way is open."""

    def forward(self, x):
        f = self.stem(x)
        right = F.conv2d(f, self.left.weight.detach(), self.left.bias.data, padding=1)
        return self.scores(self.left(f).relu(), right.relu())


class Indexed(Network):
    """The place of the largest is taken, which no slope goes through, here or on paper."""

    def forward(self, x):
        f = self.stem(x).flatten(2)
        place = f.detach().sum(1).argmax(1)
        best = f[torch.arange(len(f)), :, place]
        return self.head(best[:, :5])


class MadeAlike(Network):
    """Constants are brought to the type and shape of what is computed; no value goes into them."""

    def forward(self, x):
        f = self.stem(x)
        ramp = torch.linspace(0, 1, 12).to(f).expand_as(f) + torch.zeros(()).type_as(f) + torch.zeros_like(f)
        return self.scores(self.left(f * ramp).relu(), self.right(f).relu() + f.new_ones(1))


@pytest.mark.parametrize(
    "kind", [Network, MadeAlike, StableSoftmax, Statistics, OwnDerivative, Frozen, PartlyFrozen, Indexed]
)
def test_where_nothing_is_cut_nothing_is_said(kind):
    model = wrapped(kind())
    assert not model.manner.cut
    assert "cut" not in " ".join(model.notes)
    assert "cut" not in notes(model, "gradient")
    assert not conduct(model.module).graph
