"""Nothing is written on the model: T37, and what happens in every mode, after errors and after a stop."""

import gc
import hashlib
import itertools
import random
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import Transformer
from tolerance import close, operations, rounding
from torch import nn
from torch.nn.modules import module as hooks

import explainers as ex
from explainers.errors import DoesNotApply, QuestionError, SightglassError, Stopped
from explainers.pictures import Framing

FRAMING = Framing(size=(32, 32), mode="squash")
PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)


class Network(nn.Module):
    """Convolutions with normalization, an in-place ReLU, dropout and a linear head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)
        self.fail = False

    def forward(self, x):
        x = self.body(self.stem(x))
        if self.fail:
            raise ZeroDivisionError("in the middle")
        return self.head(self.drop(x.mean((2, 3))))


class Attending(Transformer):
    """Patches and blocks of attention, for the methods that want those."""

    def __init__(self):
        super().__init__((32, 32), 4)
        self.fail = False

    def read(self, tokens):
        if self.fail:
            raise ZeroDivisionError("in the middle")
        return super().read(tokens)


def network(kind=Network):
    torch.manual_seed(0)
    return kind().eval()


def wrapped(module):
    return ex.wrap(module, framing=FRAMING)


def suited(change=lambda kind: kind):
    """Each method with the first of the two kinds of network, changed so, that it applies to."""
    models = {kind: wrapped(network(change(kind))) for kind in (Network, Attending)}
    return pytest.mark.parametrize(
        ("method", "kind"),
        [
            pytest.param(m.id, fits[0], id=m.id)
            for m in ex.methods()
            if m.lays_heat and (fits := [kind for kind, model in models.items() if not m.why_not(model)])
        ],
    )


def applying(model):
    return [m.id for m in ex.methods() if m.lays_heat and not m.why_not(model)]


def state(module):
    """All that could be written on a network, on its classes or on the process."""
    digest = hashlib.sha256()
    for tensor in module.state_dict().values():
        digest.update(tensor.detach().float().numpy().tobytes())
    tables = [value for name, value in vars(hooks).items() if name.startswith("_global_") and isinstance(value, dict)]
    assert tables
    return {
        "values": digest.hexdigest(),
        "versions": [t._version for t in module.state_dict(keep_vars=True).values()],
        "modes": [m.training for m in module.modules()],
        "learns": [p.requires_grad for p in module.parameters()],
        "grad": [p.grad for p in module.parameters()],
        "modules": [(name, id(m), type(m), sorted(vars(m))) for name, m in module.named_modules()],
        "hooks": [
            [len(v) for k, v in vars(m).items() if k.endswith(("_hooks", "_hooks_with_kwargs"))]
            for m in module.modules()
        ],
        "process hooks": [dict(table) for table in tables],
        "forwards": [type(m).forward for m in module.modules()],
        "random": [torch.get_rng_state().tolist(), random.getstate()],
        "mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()),
    }


def tensors_alive():
    gc.collect()
    return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())


# T37 ----------------------------------------------------------------------------------------------------------------


def test_t37_wrapping_looking_and_explaining_write_nothing():
    module = network()
    module.head.weight.requires_grad_(False)  # what was frozen stays frozen, and what learns goes on learning
    before = state(module)
    model = wrapped(module)
    assert state(module) == before
    trace = ex.look(model, PICTURE)
    trace.top()
    for method in applying(model):
        ex.explain(trace, method)
        ex.explain(ex.look(model, PICTURE), method, target=1, versus=2, score="log_prob")
        assert state(module) == before
    ex.compare(ex.look(model, PICTURE), applying(model))
    assert state(module) == before


def test_t37_a_gradient_that_was_there_stays():
    module = network()
    module(torch.rand(1, 3, 32, 32)).sum().backward()
    before = [(p.grad, p.grad.clone()) for p in module.parameters()]
    model = wrapped(module)
    for method in applying(model):
        ex.explain(ex.look(model, PICTURE), method)
    for p, (grad, value) in zip(module.parameters(), before, strict=True):
        assert p.grad is grad
        assert torch.equal(grad, value)


def test_t37_training_goes_on_as_if_nobody_had_asked():
    torch.manual_seed(0)
    batch = torch.rand(4, 3, 32, 32)
    outcomes = []
    for asked in (False, True):
        module = network()
        optimizer = torch.optim.SGD(module.parameters(), 0.1)
        torch.manual_seed(1)
        for _ in range(3):
            if asked:
                module.eval()
                trace = ex.look(wrapped(module), PICTURE)
                for method in applying(trace.classifier):
                    ex.explain(trace, method)
            module.train()
            optimizer.zero_grad()
            module(batch).square().sum().backward()
            optimizer.step()
        outcomes.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*outcomes)


@suited()
def test_t37_an_error_in_the_middle_of_the_model_leaves_nothing(method, kind):
    module = network(kind)
    model = wrapped(module)
    module.fail = True
    before = state(module)
    trace = ex.look(model, PICTURE)
    with pytest.raises(ZeroDivisionError):
        ex.explain(trace, method)
    assert state(module) == before
    module.fail = False
    assert np.array_equal(ex.explain(trace, method).native, ex.explain(ex.look(model, PICTURE), method).native)


@suited()
def test_t37_a_stop_in_the_middle_leaves_nothing(method, kind):
    module = network(kind)
    model = wrapped(module)
    before = state(module)
    trace = ex.look(model, PICTURE)
    looks = []

    def stop():
        looks.append(None)
        return len(looks) > 2

    with pytest.raises(Stopped):
        ex.explain(trace, method, stop=stop)
    assert len(looks) == 3
    assert state(module) == before
    assert np.array_equal(ex.explain(trace, method).native, ex.explain(ex.look(model, PICTURE), method).native)


def test_t37_a_question_that_is_refused_leaves_nothing_and_runs_nothing():
    module, ran = network(), []
    model = wrapped(module)
    handle = module.register_forward_hook(lambda *_: ran.append(None))
    before = state(module)
    trace = ex.look(model, PICTURE)
    for question in ({"target": "no such class"}, {"target": 99}, {"score": "loudness"}, {"target": 1, "versus": 1}):
        with pytest.raises(QuestionError):
            ex.explain(trace, "gradient", **question)
    with pytest.raises(QuestionError):
        ex.explain(trace, "astrology")
    with pytest.raises(QuestionError):
        ex.explain(trace, "gradient", sugar=2)
    assert state(module) == before
    handle.remove()
    assert not ran


def test_t37_fifty_explanations_keep_no_memory():
    model = wrapped(network())

    def fifty():
        for i, method in zip(range(50), itertools.cycle(applying(model)), strict=False):
            ex.explain(ex.look(model, PICTURE), method, target=i % 4)

    fifty()
    tensors = tensors_alive()
    tracemalloc.start()
    began = tracemalloc.get_traced_memory()[0]
    fifty()
    grown = tracemalloc.get_traced_memory()[0] - began
    tracemalloc.stop()
    assert grown < 5e6
    assert tensors_alive() <= tensors


def test_t37_a_trace_that_is_let_go_of_frees_its_graph():
    model = wrapped(network())
    trace = ex.look(model, PICTURE)
    kept = [ex.explain(trace, method) for method in applying(model)]  # answers are numbers, and hold no graph
    with_trace = tensors_alive()
    del trace
    assert tensors_alive() < with_trace
    assert all(isinstance(e.heat, np.ndarray) for e in kept)


# What callers do -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@suited()
def test_a_caller_without_gradients_gets_the_same_map(mode, method, kind):
    model = wrapped(network(kind))
    plain = ex.explain(ex.look(model, PICTURE), method).native
    with mode():
        trace = ex.look(model, PICTURE)
        trace.top()
        inside = ex.explain(trace, method).native
    assert np.array_equal(inside, plain)
    again = ex.explain(trace, method, target=1).native  # and the passes made in there serve outside
    assert np.array_equal(again, ex.explain(ex.look(model, PICTURE), method, target=1).native)


@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
    ],
)
def test_a_network_is_read_in_any_mode(mode):
    module = network()
    plain = wrapped(module).anatomy
    with mode():
        inside = wrapped(module).anatomy
    assert inside.sites == plain.sites
    assert inside.sites
    assert type(inside.head) is type(plain.head)


def test_frozen_parameters_are_no_hindrance():
    plain, frozen = network(), network()
    for p in frozen.parameters():
        p.requires_grad_(False)
    for method in applying(wrapped(plain)):
        maps = [ex.explain(ex.look(wrapped(m), PICTURE), method).native for m in (plain, frozen)]
        assert np.array_equal(*maps)


@suited()
def test_a_network_in_half_precision_is_asked_in_half_precision(method, kind):
    half, full = wrapped(network(kind).to(torch.bfloat16)), wrapped(network(kind))
    assert type(half.anatomy.head) is type(full.anatomy.head)
    e, exact = (ex.explain(ex.look(model, PICTURE), method, target=1) for model in (half, full))
    assert half.module.head.weight.dtype is torch.bfloat16
    assert e.native.dtype == np.float32
    assert exact.native.any()
    assert np.corrcoef(e.native.ravel(), exact.native.ravel())[0, 1] > 0.9
    # Roundings of 2⁻⁸ in 30 operations there and 30 back walk to √60 · 2⁻⁸ = .03 of the largest number; where maps have
    # a spread of a tenth of it, .09 of the variance is noise, and the correlation 1/√1.09 = .96.


@suited()
def test_a_network_in_half_precision_may_give_its_scores_in_full(method, kind):
    class Upcast(kind):
        def forward(self, x):
            return super().forward(x).float()

    torch.manual_seed(0)
    model = wrapped(Upcast().eval().to(torch.bfloat16))
    e = ex.explain(ex.look(model, PICTURE), method, target=1)
    same = ex.explain(ex.look(wrapped(network(kind).to(torch.bfloat16)), PICTURE), method, target=1)
    assert e.native.any()
    # The same pass but for the scores: five roundings of 2⁻⁸ where they are not given in full.
    assert np.abs(e.native - same.native).max() <= 0.02 * same.native.max()


def cut(kind, count=1):
    """Networks of a kind that give only the first of their scores."""

    class Some(kind):
        def forward(self, x):
            return super().forward(x)[:, :count]

    return Some


@suited(cut)
def test_a_network_with_a_single_score_is_asked_about_that(method, kind):
    one, two = (wrapped(network(cut(kind, count))) for count in (1, 2))
    centered = ex.explain(ex.look(one, PICTURE), method)
    if any(option.name == "alike" for option in centered.method.options):
        assert np.isfinite(centered.native).all()  # with a second class it is held against that
        return
    bare = ex.explain(ex.look(two, PICTURE), method, target=0, score="logit")
    assert close(centered.native, bare.native, rounding(2 * operations(one.module), bare.native))
    assert ex.explain(ex.look(one, PICTURE), "gradient").native.any()


def test_a_network_that_normalizes_its_input_in_place_is_read_like_any_other():
    class InPlace(Network):
        def forward(self, x):
            x.mul_(2).sub_(0.5)
            return super().forward(x)

    class Beside(Network):
        def forward(self, x):
            return super().forward(2 * x - 0.5)

    answers = []
    for kind in (InPlace, Beside):
        torch.manual_seed(0)
        model = wrapped(kind().eval())
        trace = ex.look(model, PICTURE)
        answers.append([model.anatomy.sites, *(ex.explain(trace, m, target=1).native for m in applying(model))])
        assert torch.equal(trace.pixels, FRAMING.frame(trace.picture))
    assert answers[0][0] == answers[1][0]
    for one, other in zip(answers[0][1:], answers[1][1:], strict=True):
        assert close(one, other, rounding(2 * operations(model.module), one))


def test_a_network_built_under_inference_mode_is_answered_with_a_sentence():
    with torch.inference_mode():
        module = network()
    with pytest.raises(SightglassError, match="inference_mode"):
        ex.explain(ex.look(wrapped(module), PICTURE), "gradient")


def test_a_network_without_gradient_inside_is_answered_with_a_sentence():
    class Shut(Network):
        def forward(self, x):
            with torch.no_grad():
                x = self.body(self.stem(x))
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    trace = ex.look(wrapped(Shut().eval()), PICTURE)
    with pytest.raises(DoesNotApply, match="no gradient"):
        ex.explain(trace, "gradient")
    torch.manual_seed(0)
    open_to_slopes = ex.look(wrapped(Network().eval()), PICTURE)  # from the last maps on, both are the same
    assert np.array_equal(ex.explain(trace, "grad_cam").native, ex.explain(open_to_slopes, "grad_cam").native)
    assert len(trace.top(2)) == 2


def test_a_side_branch_without_gradient_is_no_hindrance():
    class Beside(Network):
        def forward(self, x):
            x = self.body(self.stem(x))
            with torch.no_grad():
                scale = x.square().mean() + 1
            return self.head((x / scale).mean((2, 3)))

    torch.manual_seed(0)
    model = wrapped(Beside().eval())
    assert str(model.anatomy.sites["last"].point) == "body"
    assert not ex.explain(ex.look(model, PICTURE), "gradient").blank


def test_a_module_used_twice_is_read_each_time():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 4, stride=4)
            self.mix = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(inplace=True))
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            return self.head(self.mix(self.mix(self.stem(x))).mean((2, 3)))

    torch.manual_seed(0)
    module = Twice().eval()
    model = wrapped(module)
    assert str(model.anatomy.sites["last"].point) == "mix#1"
    trace = ex.look(model, PICTURE)
    with torch.no_grad():
        maps = module.mix(module.mix(module.stem(FRAMING.normalize(trace.pixels)[None])))[0]
    assert torch.equal(trace.maps("last"), maps)
    weights = (module.head.weight[1] - module.head.weight.mean(0)).detach()
    heat = torch.einsum("k,khw->hw", weights, maps).numpy()
    assert close(
        ex.explain(trace, "cam", target=1, signed=True).native,
        heat,
        rounding(8, maps.abs().max() * weights.abs().sum()),
    )


def test_functions_in_place_after_the_last_module_are_not_taken_for_its_output():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 4, stride=4)
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            x = self.conv(x)
            F.relu_(x)
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    module = InPlace().eval()
    model = wrapped(module)
    trace = ex.look(model, PICTURE)
    maps = module.conv(FRAMING.normalize(trace.pixels)[None])[0].detach()
    assert maps.min() < 0
    assert torch.equal(trace.maps("last"), maps)
    with pytest.raises(DoesNotApply, match="linear head"):  # the head reads the ReLU of these maps
        ex.explain(trace, "cam")
    slopes = ((module.head.weight[2] - module.head.weight.mean(0)) / 64).detach()[:, None, None] * (maps > 0)
    assert close(trace.ask(ex.trace.Target(2)).slopes("last"), slopes, rounding(8, slopes))


def test_modules_that_hand_on_tuples_are_no_hindrance():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 4, stride=4)

        def forward(self, x):
            x = self.conv(x)
            return x, ({"size": x.shape}, (x,))

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.head = Pair(), nn.Linear(8, 4)

        def forward(self, x):
            x, (_, (same,)) = self.pair(x)
            assert same.shape == x.shape
            return self.head(x.mean((2, 3)))

    torch.manual_seed(0)
    model = wrapped(Reader().eval())
    for method in applying(model):
        assert not ex.explain(ex.look(model, PICTURE), method, target=ex.look(model, PICTURE).top(1)[0].label).blank


def test_a_backbone_has_nothing_to_ask_about_and_says_so():
    model = ex.wrap(network(), labels=(), framing=FRAMING)
    trace = ex.look(model, PICTURE)
    for method in ex.registry.laying_heat():
        if method.class_specific:
            with pytest.raises(DoesNotApply, match="without classes"):
                ex.explain(trace, method.id)
    with pytest.raises(DoesNotApply, match="no classes"):
        trace.top()
    with pytest.raises(QuestionError, match="no classes"):
        trace.classifier.index("tabby")


def test_the_winning_class_is_not_held_against_itself():
    trace = ex.look(wrapped(network()), PICTURE)
    first, second = trace.top(2)
    with pytest.raises(QuestionError, match="itself"):
        ex.explain(trace, "gradient", versus=first.label)
    assert ex.explain(trace, "gradient", versus=second.label).versus == second


def test_what_was_read_stays_after_the_graphs_are_released():
    model = wrapped(network())
    trace = ex.look(model, PICTURE)
    before = {method: ex.explain(trace, method, target=1).native for method in applying(model)}
    trace.release()
    for method, native in before.items():
        again = ex.explain(trace, method, target=1)
        assert np.array_equal(again.native, native)
        if sum(again.method.passes) <= 2:  # the others ask about other pictures, too, which nobody keeps
            assert again.spent.forwards == 0
            assert again.spent.backwards == 0 or any(o.name == "alike" for o in again.method.options)
    fresh = ex.explain(trace, "gradient", target=2)  # a new question is answered all the same
    assert np.array_equal(fresh.native, ex.explain(ex.look(model, PICTURE), "gradient", target=2).native)


def test_a_network_without_maps_is_compared_by_what_applies():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)).eval()
    trace = ex.look(wrapped(module), PICTURE)
    assert [e.method.id for e in ex.compare(trace, applying(trace.classifier))] == applying(trace.classifier)
    trace.prepare(["last"])  # what a method with neither maps nor slopes asks for
    with pytest.raises(DoesNotApply, match="no maps over a grid"):
        ex.explain(trace, "grad_cam")
    with pytest.raises(DoesNotApply, match=r"^Sequential keeps no maps over a grid that its scores depend on, so CAM"):
        ex.explain(trace, "cam")
