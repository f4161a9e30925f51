"""Opening a network: company, chance, what it writes into itself, and what it asks of gradients."""

import copy
import random
import threading
from collections import deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import explainers as ex
from explainers.errors import DoesNotApply, ModelError
from explainers.network.opening import ALONE, SEEDED, UNSTEADY, tried
from explainers.network.taps import Conduct, conduct
from explainers.pictures import Framing
from explainers.trace import Target

FRAMING = Framing(size=(24, 24), mode="squash", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
METHODS = ("gradient", "grad_cam", "deeplift", "smooth_grad", "score_cam", "occlusion")


class Network(nn.Module):
    """A small convolutional network; `mixed` stands between its maps and its head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))
        self.head = nn.Linear(8, 4)

    def mixed(self, f):
        return f

    def forward(self, x):
        return self.head(self.mixed(self.stem(x)).relu().mean((2, 3)))


def wrapped(module):
    return ex.wrap(module.eval(), framing=FRAMING, name="mine")


def four(trace):
    return torch.stack([trace.pixels, trace.pixels * 0.3, trace.pixels * 0, trace.pixels.flip(-1)])


def together_and_alone(model):
    trace = ex.look(model, PICTURE).ask(Target(1))
    pictures = four(trace)
    return trace.score(pictures), torch.cat([trace.score(one[None]) for one in pictures])


# Company ------------------------------------------------------------------------------------------------------------


class BatchStatistics(Network):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)

    def mixed(self, f):
        return self.norm(f)


class AcrossPictures(Network):
    """Attention of one picture to the others of its batch."""

    def mixed(self, f):
        flat = f.flatten(1)
        return (torch.softmax(flat @ flat.T / 50, 1) @ flat).view_as(f)


class CenteredOverTheBatch(Network):
    def mixed(self, f):
        return f - f.mean(0, keepdim=True) / 2


class ByTheNumber(Network):
    """Divided by how many there are: the same pictures, and another answer for other numbers of them."""

    def mixed(self, f):
        return f / len(f)


class ScaledByTheLargest(Network):
    def forward(self, x):
        return super().forward(x / x.abs().max())


class NumberedPictures(Network):
    """Each picture of a batch is treated by its place in it."""

    def mixed(self, f):
        return f * (1 + torch.arange(len(f)).view(-1, 1, 1, 1) / 10)


class NextPicture(Network):
    def mixed(self, f):
        return f + f.roll(1, 0) / 4


COMPANY = (BatchStatistics, AcrossPictures, CenteredOverTheBatch, ByTheNumber, ScaledByTheLargest, NextPicture)


@pytest.mark.parametrize("kind", COMPANY)
def test_a_network_that_looks_at_the_batch_is_asked_about_pictures_alone(kind):
    model = wrapped(kind())
    assert ALONE in model.notes
    assert torch.equal(*together_and_alone(model))
    trace = ex.look(model, PICTURE).ask(Target(1))
    assert trace.at_once == 1
    pictures = four(trace)
    with torch.no_grad():
        expected = torch.cat([model.module(FRAMING.normalize(one)[None]) for one in pictures])
    assert torch.equal(trace.logits_at(pictures), expected)


@pytest.mark.parametrize("kind", COMPANY)
def test_slopes_and_maps_are_those_of_a_picture_alone(kind):
    trace = ex.look(wrapped(kind()), PICTURE).ask(Target(1))
    pictures = four(trace)
    slopes, _ = trace.slopes_at(pictures)
    for one, slope, there in zip(pictures, slopes, trace.all_elsewhere(pictures), strict=True):
        assert torch.equal(trace.slopes_at(one[None])[0][0], slope)
        leaf = one.clone().requires_grad_()
        logits = trace.classifier.module(FRAMING.normalize(leaf)[None])
        (by_hand,) = torch.autograd.grad(Target(1).of(logits).sum(), leaf)
        assert torch.allclose(
            slope, by_hand, rtol=0, atol=64 * torch.finfo(slope.dtype).eps * float(by_hand.abs().max())
        )
        assert torch.equal(there.maps(), trace.elsewhere(one).maps())
    maps = trace.maps()
    versions = torch.stack([maps, maps * 0.5, maps.flip(-1)])
    assert torch.equal(trace.score_from(versions), torch.cat([trace.score_from(one[None]) for one in versions]))


class GroupNormed(BatchStatistics):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(2, 8)


class InstanceNormed(BatchStatistics):
    def __init__(self):
        super().__init__()
        self.norm = nn.InstanceNorm2d(8)


class Normed(BatchStatistics):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8)


class LargeLogits(Network):
    """All scores stand at a thousand, and differ by little."""

    def forward(self, x):
        return super().forward(x) / 100 + 1000


class SmallLogits(Network):
    """So small that the type has fewer digits left for them."""

    def forward(self, x):
        return super().forward(x) * 1e-37 * 1e-3


class Attends(Network):
    """Attention within a picture, by torch's own fused layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def mixed(self, f):
        return self.layer(f.flatten(2).mT).mT.view_as(f)


class Calm(Network):
    """Drops nothing, draws nothing that reaches the scores."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def mixed(self, f):
        return F.dropout(self.drop(f), 0.0)


class Draws(Network):
    def mixed(self, f):
        torch.rand(3)
        return f


@pytest.mark.parametrize(
    "kind", [Network, GroupNormed, InstanceNormed, Normed, LargeLogits, SmallLogits, Attends, Calm, Draws]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_ordinary_network_is_run_in_batches_and_nothing_is_said(kind, dtype):
    model = wrapped(kind().to(dtype))
    assert model.notes == ()
    if kind is not Draws:
        assert conduct(model.module) == Conduct()


class OnePictureOnly(Network):
    def forward(self, x):
        return super().forward(x.reshape(1, 3, 24, 24))


class OneRowOnly(Network):
    def forward(self, x):
        f = self.stem(x).relu().mean((2, 3))
        return self.head(f.reshape(1, 8))


class Flattened(Network):
    """Takes any batch, and gives one row."""

    def forward(self, x):
        return super().forward(x).reshape(1, -1)


@pytest.mark.parametrize("kind", [OnePictureOnly, OneRowOnly, Flattened])
def test_a_network_for_one_picture_is_asked_about_one(kind):
    model = wrapped(kind())
    assert model.manner.alone
    assert model.notes == ()
    together, alone = together_and_alone(model)
    assert torch.equal(together, alone)
    assert np.array_equal(
        *(ex.explain(ex.look(m, PICTURE), "grad_cam", target=1).native for m in (model, wrapped(Network())))
    )


# Chance -------------------------------------------------------------------------------------------------------------


class Dropout(Network):
    def mixed(self, f):
        return F.dropout(f, 0.5)


class Dropout2d(Network):
    def mixed(self, f):
        return F.dropout2d(f, 0.3, training=True)


class AlphaDropout(Network):
    def mixed(self, f):
        return F.alpha_dropout(f, 0.3, training=True)


class DropPath(Network):
    def mixed(self, f):
        return f * (torch.rand(len(f), 1, 1, 1) > 0.3) / 0.7 + f


class Noise(Network):
    def mixed(self, f):
        return f + torch.randn_like(f) / 10


class Gumbel(Network):
    def mixed(self, f):
        return f * F.gumbel_softmax(f, dim=1)


class PythonsRandom(Network):
    def mixed(self, f):
        return f * (0.5 + random.random())


class NumPysRandom(Network):
    def mixed(self, f):
        return f * (0.5 + float(np.random.rand()))  # noqa: NPY002 - as networks have it


class RandomDepth(Network):
    """A block that is skipped now and then."""

    def mixed(self, f):
        return f if random.random() < 0.5 else f.relu() * 2


CHANCE = (Dropout, Dropout2d, AlphaDropout, DropPath, Noise, Gumbel, PythonsRandom, NumPysRandom, RandomDepth)


@pytest.mark.parametrize("kind", CHANCE)
def test_the_same_question_gets_the_same_answer(kind):
    model = wrapped(kind())
    assert SEEDED in model.notes
    assert ALONE not in model.notes
    first = ex.look(model, PICTURE)
    state, python = torch.get_rng_state(), random.getstate()
    answers = {name: ex.explain(first, name, target=1).native for name in METHODS}
    assert torch.equal(torch.get_rng_state(), state)  # the caller's numbers are the caller's
    assert random.getstate() == python
    torch.manual_seed(99)
    random.seed(99)
    again = ex.look(model, PICTURE)
    assert torch.equal(first.logits, again.logits)
    for name, native in answers.items():
        assert np.array_equal(ex.explain(again, name, target=1).native, native), name
    assert torch.equal(*together_and_alone(model))
    assert torch.equal(
        first.ask(Target(1)).score_from(first.maps()[None]), first.ask(Target(1)).score(first.pixels[None])
    )


def test_wrapping_disturbs_no_random_numbers():
    torch.manual_seed(3)
    expected = torch.rand(3)
    for kind in (Network, Dropout, Draws):
        module = kind()
        torch.manual_seed(3)
        wrapped(module)
        if kind is not Draws:
            assert torch.equal(torch.rand(3), expected)


def test_many_who_ask_at_once_get_the_same():
    trace = ex.look(wrapped(Dropout()), PICTURE).ask(Target(1))
    expected = trace.logits_at(four(trace))
    found, errors = [], []

    def ask():
        try:
            found.append(ex.look(trace.classifier, PICTURE).logits_at(four(trace)))
        except RuntimeError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(torch.equal(each, expected) for each in found)


def test_a_source_of_chance_that_no_seed_holds_is_said():
    class Unheld(Network):
        source = random.SystemRandom()

        def mixed(self, f):
            return f * (0.5 + self.source.random())

    assert UNSTEADY in wrapped(Unheld()).notes


def test_a_generator_of_its_own_begins_anew_with_every_pass():
    class Own(Network):
        def __init__(self):
            super().__init__()
            self.draw = torch.Generator().manual_seed(7)

        def mixed(self, f):
            return f + torch.randn(f.shape[1:], generator=self.draw)

    module = Own()
    state = module.draw.get_state()
    model = wrapped(module)
    assert torch.equal(ex.look(model, PICTURE).logits, ex.look(model, PICTURE).logits)
    assert torch.equal(module.draw.get_state(), state)
    assert any("writes into itself" in note for note in model.notes)


# What it writes into itself -----------------------------------------------------------------------------------------


class Center(Network):
    """A running center, updated in evaluation mode as well."""

    def __init__(self):
        super().__init__()
        self.register_buffer("center", torch.zeros(8))

    def mixed(self, f):
        with torch.no_grad():
            self.center.mul_(0.9).add_(f.mean((0, 2, 3)) / 10)
        return f - self.center.view(1, -1, 1, 1)


class Reassigned(Network):
    def __init__(self):
        super().__init__()
        self.register_buffer("center", torch.zeros(8))

    def mixed(self, f):
        self.center = 0.9 * self.center + f.detach().mean((0, 2, 3)) / 10
        return f - self.center.view(1, -1, 1, 1)


class Counter(Network):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def mixed(self, f):
        self.steps += 1
        return f * (1 + 1 / self.steps)


class PlainCounter(Network):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def mixed(self, f):
        self.steps += 1
        return f * (1 + 1 / self.steps)


class MemoryBank(Network):
    def __init__(self):
        super().__init__()
        self.bank = [torch.ones(8)]

    def mixed(self, f):
        self.bank.append(f.detach().mean((0, 2, 3)))
        return f - torch.stack(self.bank).mean(0).view(1, -1, 1, 1)


class Ring(MemoryBank):
    def __init__(self):
        super().__init__()
        self.bank = deque([torch.ones(8)], maxlen=3)

    def mixed(self, f):
        self.bank.append(f.detach().mean((0, 2, 3)))
        return f - torch.stack([*self.bank]).mean(0).view(1, -1, 1, 1)


class Teacher(Network):
    """An average of its own weights, kept by the forward itself."""

    def __init__(self):
        super().__init__()
        self.slow = copy.deepcopy(self.head)
        with torch.no_grad():
            self.slow.weight.mul_(0.5)

    def forward(self, x):
        with torch.no_grad():
            self.slow.weight.lerp_(self.head.weight, 0.1)
        f = self.stem(x).relu().mean((2, 3))
        return self.head(f) + self.slow(f)


class Storing(Network):
    """Keeps its features for whoever reads them later, and reads them itself."""

    def mixed(self, f):
        self.features = f
        return self.features * 2


class ByData(Network):
    def __init__(self):
        super().__init__()
        self.register_buffer("largest", torch.ones(1))

    def mixed(self, f):
        self.largest.data.copy_(torch.maximum(self.largest, f.detach().abs().max()))
        return f / self.largest


def observed():
    """Prepared for quantization-aware training: its observers look at every pass, in evaluation mode, too."""
    module = nn.Sequential(*Network().stem, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Network().head)
    observer = torch.ao.quantization.FakeQuantize.with_args(
        observer=torch.ao.quantization.MovingAverageMinMaxObserver, quant_min=0, quant_max=255
    )
    return nn.Sequential(module[0], observer(), *module[1:])


WRITES = (Center, Reassigned, Counter, PlainCounter, MemoryBank, Ring, Teacher, Storing, ByData, observed)


def held(module):
    """Everything that a module holds, by name, as numbers."""
    found = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[f"{path}.{name}"] = torch.tensor(value)
            elif isinstance(value, (list, deque)) and value:
                found[f"{path}.{name}"] = torch.stack([*value])
    return found


def ruled(kind):
    """The methods that can be asked: not DeepLIFT, where the network needs a true graph on its way."""
    return [name for name in METHODS if name != "deeplift" or kind not in (observed, OwnGradient)]


@pytest.mark.parametrize("kind", [observed, lambda: OwnGradient()], ids=["observed", "own gradient"])
def test_a_network_that_stands_no_rules_is_refused_deeplift_in_words(kind):
    with pytest.raises(DoesNotApply, match="under the rules of DeepLIFT"):
        ex.explain(ex.look(wrapped(kind()), PICTURE), "deeplift", target=1)


@pytest.mark.parametrize("kind", WRITES)
def test_looking_never_changes_a_network_that_writes_into_itself(kind):
    module = kind()
    module.eval()
    before = held(module)
    model = wrapped(module)
    assert any("writes into itself" in note for note in model.notes)
    first = ex.look(model, PICTURE)
    answers = {name: ex.explain(first, name, target=1).native for name in ruled(kind)}
    after = held(module)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    again = ex.look(model, PICTURE)
    for name, native in answers.items():
        assert np.array_equal(ex.explain(again, name, target=1).native, native), name
    with torch.no_grad():  # the same that the network itself says when it is asked next
        assert torch.equal(copy.deepcopy(module)(FRAMING.normalize(first.pixels)[None])[0], first.logits)


def test_a_network_that_writes_is_left_as_it_was_when_opening_it_fails():
    class Fails(Center):
        def mixed(self, f):
            f = super().mixed(f)
            raise RuntimeError("no such thing")

    module = Fails()
    module.center += 3
    with pytest.raises(ModelError, match="no such thing"):
        wrapped(module)
    assert torch.equal(module.center, torch.full((8,), 3.0))


def test_a_network_that_writes_and_cannot_be_copied_is_refused_and_left_as_it_was():
    class Uncopied(Center):
        def __deepcopy__(self, memo):
            raise TypeError("a network like this there is only once")

    module = Uncopied()
    with pytest.raises(ModelError, match=r"writes into itself.*center.*only once"):
        wrapped(module)
    assert not module.center.any()


def test_copies_follow_weights_that_are_loaded_later():
    module = Center()
    model = wrapped(module)
    before = ex.look(model, PICTURE).logits
    with torch.no_grad():
        module.head.bias += 1
    assert torch.allclose(ex.look(model, PICTURE).logits, before + 1, rtol=0, atol=1e-5)


def test_many_who_ask_a_network_that_writes_do_not_see_each_other():
    trace = ex.look(wrapped(MemoryBank()), PICTURE)
    expected = trace.logits
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ex.look(trace.classifier, PICTURE).logits)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(torch.equal(each, expected) for each in found)


class Caching(Network):
    """Fills in a table on the first pass, as position embeddings are; it holds nothing of the picture."""

    def __init__(self):
        super().__init__()
        self.table, self.size = None, None

    def mixed(self, f):
        if self.table is None:
            self.table = torch.linspace(0, 1, f.shape[-1])
        self.size = f.shape[-2:]
        return f + self.table


def test_a_table_that_is_filled_in_once_is_no_writing():
    model = wrapped(Caching())
    assert model.notes == ()
    assert conduct(model.module).fresh is None


# What its own forward asks of gradients -----------------------------------------------------------------------------


class Hooked(Network):
    """Its forward registers a hook on a tensor, which torch allows only where gradients are on."""

    def keep(self, slope):
        self.slope = slope

    def mixed(self, f):
        f.register_hook(self.keep)
        return f


class Retained(Network):
    def mixed(self, f):
        f = f * 1
        f.retain_grad()
        return f


class OwnGradient(Network):
    """Takes a gradient on the way, as Grad-CAM built into a network does."""

    def mixed(self, f):
        (slope,) = torch.autograd.grad(f.square().sum(), f, retain_graph=True)
        return f + slope.detach() / 10


@pytest.mark.parametrize("kind", [Hooked, Retained, OwnGradient])
def test_a_forward_that_asks_for_slopes_works(kind):
    module = kind()
    model = wrapped(module)
    assert conduct(module).graph
    state = set(vars(module))
    trace = ex.look(model, PICTURE)
    answers = [ex.explain(trace, name, target=1).native for name in ruled(kind)]
    assert all(np.isfinite(each).all() and each.any() for each in answers)
    assert set(vars(module)) <= state | {"slope"}
    if kind is not OwnGradient:
        plain = ex.look(wrapped(Network()), PICTURE)
        for name, native in zip(METHODS, answers, strict=True):
            other = ex.explain(plain, name, target=1).native
            assert np.allclose(native, other, rtol=0, atol=64 * np.finfo(np.float32).eps * np.abs(other).max()), name


def test_a_network_that_stands_no_gradients_is_asked_without():
    class InferenceOnly(Network):
        def mixed(self, f):
            if torch.is_grad_enabled():
                raise RuntimeError("for inference only")
            return f

    model = wrapped(InferenceOnly())
    trace = ex.look(model, PICTURE)
    assert ex.explain(trace, "occlusion", target=1).native.any()
    for name in ("gradient", "grad_cam", "deeplift", "smooth_grad"):
        with pytest.raises(DoesNotApply, match="for inference only"):
            ex.explain(trace, name, target=1)


# What it costs ------------------------------------------------------------------------------------------------------


def test_trying_takes_one_pass_alone_and_two_of_two_pictures():
    class Counted(Network):
        def forward(self, x):
            COUNTED.append(len(x))
            return super().forward(x)

    module = Counted().eval()
    COUNTED.clear()
    tried(module, torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)), "mine")
    assert COUNTED == [1, 2, 2]


COUNTED: list[int] = []
