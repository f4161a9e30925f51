"""What networks come wrapped in: the same map as the module inside, or the true reason why not."""

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

import explainers as ex
from explainers.errors import DoesNotApply, ModelError
from explainers.network.taps import conduct
from explainers.network.wrappers import AsWritten, unwrapped
from explainers.pictures import Framing
from explainers.trace import Target

FRAMING = Framing(size=(24, 24), mode="squash")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
METHODS = ("gradient", "grad_cam", "guided_backpropagation", "deeplift", "occlusion")


def network():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU())
    return nn.Sequential(features, nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), *head(8)).eval()


def head(channels):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4)


def wrapped(module, **more):
    return ex.wrap(module, framing=FRAMING, name="mine", **more)


def answers(model, methods=METHODS):
    trace = ex.look(model, PICTURE)
    return [ex.explain(trace, name, target=1).native for name in methods]


def scores(model):
    """The scores of four pictures, from black to the picture."""
    trace = ex.look(model, PICTURE).ask(Target(1))
    return trace.score(torch.stack([trace.pixels * share for share in (0, 0.25, 0.5, 1)]))


def same_as(module, plain, methods=METHODS):
    for name, one, other in zip(methods, answers(wrapped(module), methods), answers(wrapped(plain), methods)):  # noqa: B905
        assert np.array_equal(one, other), name


@pytest.fixture(autouse=True)
def fresh_compiler():
    yield
    torch.compiler.reset()


# Wrapped as a whole -------------------------------------------------------------------------------------------------


def eager(given):
    return torch.compile(given, backend="eager")


class Learner:
    """What fastai hands around: no module, but it has one."""

    def __init__(self, model):
        self.model, self.dls = model, "data"


class Lit(nn.Module):
    """A Lightning module in structure: the network under another name, and a trainer that is not there."""

    def __init__(self, inside):
        super().__init__()
        self.net = inside

    def forward(self, x):
        return self.net(x)

    @property
    def trainer(self):
        raise RuntimeError("not attached to a trainer")


WRAPPINGS = {
    "compiled": eager,
    "parallel": nn.DataParallel,
    "compiled parallel": lambda m: eager(nn.DataParallel(m)),
    "parallel compiled": lambda m: nn.DataParallel(eager(m)),
    "learner": Learner,
    "learner of compiled": lambda m: Learner(eager(m)),
    "lightning": lambda m: Lit(m).eval(),
    "averaged": lambda m: torch.optim.swa_utils.AveragedModel(m).eval(),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_as_a_whole_is_what_is_inside(wrapping):
    same_as(WRAPPINGS[wrapping](network()), network())


def test_what_is_passed_on_whole_is_looked_past():
    inside = network()
    for wrapping in ("compiled", "parallel", "compiled parallel", "parallel compiled", "learner"):
        assert unwrapped(WRAPPINGS[wrapping](inside)) is inside
    assert unwrapped(inside) is inside
    assert unwrapped("no network") == "no network"


# Wrapped in parts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapping", ["compiled", "parallel", "compiled parallel"])
@pytest.mark.parametrize("part", [0, 2, 5])
def test_wrapped_parts_are_what_is_inside(wrapping, part):
    module = network()
    module[part] = WRAPPINGS[wrapping](module[part])
    before = {name: type(child) for name, child in module.named_modules()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same_as(module, network())
    assert {name: type(child) for name, child in module.named_modules()} == before


def test_parts_compiled_in_place_are_seen():
    module = network()
    module[1].compile(backend="eager")
    module.compile(backend="eager")
    same_as(module, network())
    assert module._compiled_call_impl is not None
    assert unwrapped(module)[1].weight is module[1].weight


@torch.compile(backend="eager")
def halved(x):
    return F.relu(x) / 2


class CompiledFunction(nn.Module):
    def __init__(self, inside, function):
        super().__init__()
        self.features, self.rest, self.function = inside[:2], inside[3:], function

    def forward(self, x):
        return self.rest(self.function(self.features(x)))


def test_a_compiled_function_in_a_forward_is_seen():
    module = CompiledFunction(network(), halved).eval()
    same_as(module, CompiledFunction(network(), lambda x: F.relu(x) / 2).eval())
    assert conduct(module).within
    assert torch._dynamo.eval_frame._stance.stance == "default"  # nothing stays set for anybody else


def test_what_torch_compiles_for_itself_is_no_compiled_network():
    module = network()
    wrapped(module)
    assert not conduct(module).within


# Parametrized, pruned, adapted --------------------------------------------------------------------------------------


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x


class Adapted(nn.Module):
    """A layer with a low-rank addition to its weight, as LoRA has it."""

    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base
        self.down, self.up = (
            nn.Linear(base.in_features, rank, bias=False),
            nn.Linear(rank, base.out_features, bias=False),
        )
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.base(x) + self.up(self.down(self.drop(x)))


class Peft(nn.Module):
    """A PeftModel in structure: the base model two modules deep, called with whatever comes."""

    def __init__(self, model):
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model = model

    def forward(self, *args, **kwargs):
        return self.base_model.model(*args, **kwargs)


def pruned(module):
    prune.l1_unstructured(module[1], "weight", amount=0.5)
    return module


def pruned_for_good(module):
    prune.remove(pruned(module)[1], "weight")
    return module


def weight_normed(module):
    parametrizations.weight_norm(module[1])
    return module.eval()


def spectrally_normed(module):
    parametrizations.spectral_norm(module[1])
    return module.eval()


def parametrized(module):
    parametrize.register_parametrization(module[1], "weight", Twice())
    return module.eval()


def weights_as_they_are_used(module):
    """The same network with the weight of its convolution written down as the forward uses it."""
    plain = network()
    with torch.no_grad():
        module(torch.zeros(1, 3, 24, 24))
        plain[1].weight.copy_(module[1].weight)
    return plain


@pytest.mark.parametrize("change", [pruned, pruned_for_good, weight_normed, spectrally_normed, parametrized])
def test_weights_that_are_computed_are_as_good_as_weights_written_down(change):
    module = change(network())
    same_as(module, weights_as_they_are_used(change(network())))
    assert wrapped(module).manner.notes == ()


def test_adapters_are_looked_through():
    torch.manual_seed(1)
    module = network()
    module[5] = Adapted(module[5])
    merged = network()
    with torch.no_grad():
        merged[5].weight += module[5].up.weight @ module[5].down.weight
    for one, other in zip(answers(wrapped(Peft(module).eval())), answers(wrapped(merged)), strict=True):
        # (W + BA)x and Wx + B(Ax) add 8 + 2 terms in another order, twice
        assert np.allclose(one, other, rtol=0, atol=64 * np.finfo(np.float32).eps * np.abs(other).max())


# TorchScript --------------------------------------------------------------------------------------------------------


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(module)


def traced(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(module, torch.zeros(1, 3, 24, 24))


@pytest.mark.parametrize("kind", [scripted, traced])
def test_of_torchscript_what_can_be_had_is_right_and_the_rest_is_refused_for_its_reason(kind):
    model = wrapped(kind(network()))
    assert np.array_equal(answers(model, ("gradient",))[0], answers(wrapped(network()), ("gradient",))[0])
    assert torch.equal(*(scores(m) for m in (model, wrapped(network()))))
    for name in (
        "grad_cam",
        "guided_backpropagation",
        "deconvnet",
        "deeplift",
        "full_grad",
        "cam",
    ):
        with pytest.raises(DoesNotApply, match="TorchScript"):
            ex.explain(ex.look(model, PICTURE), name)


@pytest.mark.parametrize("kind", [scripted, traced])
def test_a_scripted_part_hides_what_is_in_it_and_nothing_else(kind):
    plain = network()
    module = nn.Sequential(scripted(plain[0]), *plain[1:]).eval()
    model = wrapped(module)
    assert np.array_equal(*(answers(m, ("grad_cam",))[0] for m in (model, wrapped(network()))))
    for name in ("guided_backpropagation", "deeplift", "full_grad"):
        with pytest.raises(DoesNotApply, match="TorchScript"):
            ex.explain(ex.look(model, PICTURE), name)


def swish(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


def test_a_scripted_function_hides_from_the_rules_only_what_is_in_it():
    model = wrapped(CompiledFunction(network(), scripted(swish)).eval())
    trace = ex.look(model, PICTURE)
    with pytest.raises(DoesNotApply, match="compiled code"):
        ex.explain(trace, "deeplift")
    ex.explain(trace, "grad_cam")
    ex.explain(trace, "guided_backpropagation")  # all of its rectifiers are in sight


def test_no_method_of_torchscript_ends_in_a_traceback():
    trace = ex.look(wrapped(scripted(network())), PICTURE)
    for fit in ex.methods(trace.classifier):
        if fit.method.lays_heat and fit.applies and sum(fit.method.passes) < 300:
            ex.explain(trace, fit.method.id)


# Exported programs --------------------------------------------------------------------------------------------------


def exported(module, batch=1, **more):
    return torch.export.export(module, (torch.zeros(batch, 3, 24, 24),), **more).module()


def test_an_exported_program_is_explained_as_what_it_was_made_from():
    methods = ("gradient", "guided_backpropagation", "deeplift", "full_grad")
    module = exported(network())
    with pytest.raises(NotImplementedError):
        module.eval()
    same_as(module, network(), methods)
    with pytest.raises(DoesNotApply, match="maps"):
        answers(wrapped(module), ("grad_cam",))


def test_a_program_for_one_picture_is_asked_about_one_at_a_time():
    model = wrapped(exported(network()))
    assert model.manner.alone
    assert ex.look(model, PICTURE).at_once == 1
    assert model.notes == ()  # it is no matter to the person who asks


def test_a_program_for_any_batch_is_asked_in_batches():
    batch = torch.export.Dim("batch", min=1, max=64)
    module = exported(network(), 2, dynamic_shapes=({0: batch},))
    assert not wrapped(module).manner.alone
    assert torch.equal(scores(wrapped(module)), scores(wrapped(network())))


def test_attention_of_an_exported_program_is_seen():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.qkv, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 24), nn.Linear(8, 3)

        def forward(self, x):
            tokens = self.stem(x).flatten(2).transpose(1, 2)
            q, k, v = self.qkv(tokens).reshape(1, 36, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
            mixed = F.scaled_dot_product_attention(q, k, v)
            return self.head(mixed.transpose(1, 2).reshape(1, 36, 8).mean(1))

    methods = ("attention", "deeplift")
    same_as(exported(Attends().eval()), Attends().eval(), methods)


def test_operations_are_called_by_the_functions_people_write():
    x = torch.randn(2, 3, 5, 5)
    names = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            names.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Seen(), AsWritten():
        out = torch.ops.aten.relu.default(x), torch.ops.aten.add.Tensor(x, x), torch.ops.aten.gelu.default(x)
    assert names == ["relu", "add", "gelu"]
    assert all(map(torch.equal, out, (x.relu(), x + x, F.gelu(x))))


# Quantized ----------------------------------------------------------------------------------------------------------


def quantized(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8).eval()


def test_a_quantized_head_lets_no_slope_through_and_is_told_so():
    if torch.backends.quantized.engine == "none":
        pytest.skip("this build of torch has no engine for quantized layers")
    model = wrapped(quantized(network()))
    trace = ex.look(model, PICTURE).ask(Target(1))
    for name in ("gradient", "smooth_grad", "grad_cam", "deeplift", "guided_backpropagation", "imagine_class"):
        with pytest.raises(DoesNotApply, match=r"no gradient through.*Try"):
            ex.explain(trace, name, target=1)
    occluded = ex.explain(trace, "occlusion", target=1)
    one_by_one = [trace.score(trace.pixels[None] * share) for share in (0, 0.25, 0.5, 1)]
    assert torch.equal(scores(model), torch.cat(one_by_one))  # the head scales a whole batch by its largest value
    assert np.isfinite(occluded.native).all()
    assert occluded.native.any()


# Modes --------------------------------------------------------------------------------------------------------------


def test_a_network_in_training_mode_is_still_refused():
    for module in (network().train(), eager(network().train()), Learner(network().train())):
        with pytest.raises(ModelError, match="training mode"):
            wrapped(module)
    part = network()
    part[0][1].train()
    with pytest.raises(ModelError, match="training mode"):
        wrapped(part)


def test_a_copy_of_the_structure_leaves_the_network_alone():
    module = network()
    module[0] = eager(module[0])
    kept = copy.deepcopy(module.state_dict())
    answers(wrapped(module))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, kept[name])
    assert all(p.grad is None for p in module.parameters())
