"""What every registered method keeps to, whoever wrote it: the registry is swept, and no method is named here."""

import json
import math
import re
from functools import cache
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from networks import Transformer, galleries_of
from tolerance import operations, rounding
from torch import nn

import explainers as ex
from explainers.errors import QuestionError
from explainers.pictures import Framing, laid
from explainers.results import Heatmap, Result
from explainers.trace import Trace

SIZE = (32, 48)
FRAMING = Framing(size=SIZE, mode="squash")
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
LABELS = ("crane", "heron", "crane", "newt", "water flea")  # two share a label, as in ImageNet

METHODS = ex.methods()
SPENT = ("steps", "samples", "designs", "draws", "pictures", "points")  # options by which an answer costs more
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.id)
each_option = pytest.mark.parametrize(
    ("method", "option"),
    [(m, o) for m in METHODS for o in m.options],
    ids=lambda value: getattr(value, "id", None) or value.name,
)


class Convolutions(nn.Module):
    """Convolutions, pooling and a linear head."""

    def __init__(self):
        super().__init__()
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(i, o, 3, stride=2, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
                for i, o in ((3, 6), (6, 8), (8, 10))
            )
        )
        self.head = nn.Linear(10, len(LABELS))

    def forward(self, x):
        return self.head(self.stages(x).mean((2, 3)))


class Attention(Transformer):
    """Patches, a class token and two blocks of attention."""

    def __init__(self):
        super().__init__(SIZE, len(LABELS))


@cache
def models():
    """The two networks, opened once: that nothing is ever written on them is what is tested here, and relied on."""
    opened = []
    for kind in (Convolutions, Attention):
        torch.manual_seed(0)
        opened.append(ex.wrap(kind().eval(), labels=LABELS, framing=FRAMING, name=kind.__name__))
    return tuple(opened)


@pytest.fixture(autouse=True, scope="module")
def galleries():
    """A gallery of 24 pictures for each of the two networks, where methods find it that want one."""
    with galleries_of(models()):
        yield


def suited(method):
    """The networks here that the method applies to."""
    return [model for model in models() if not method.why_not(model)]


def state(model):
    return [(t.clone(), t._version) for t in model.module.state_dict(keep_vars=True).values()]


def ask(model, method, **question):
    """The method's answer on a fresh trace, or, where it is about the network alone, of the network."""
    if Trace in method.given:
        return ex.explain(ex.look(model, PICTURE), method.id, **question)
    return ex.explain(model, method.id, **{"target": 0} | question)


def few(method):
    """Options for an answer that is made with little, where nothing is asked about how good it is."""
    return {o.name: int(o.minimum) for o in method.options if o.name in SPENT}


def stream(model, method):
    about = ex.look(model, PICTURE) if Trace in method.given else model
    return list(ex.engine.stream(about, method.id, target=0, **few(method)))


def same(a, b):
    one, other = a.result.arrays(), b.result.arrays()
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# What it says --------------------------------------------------------------------------------------------------------


def test_there_are_methods_and_no_two_are_called_alike():
    assert len(METHODS) >= 3
    assert len({m.id for m in METHODS}) == len({m.title for m in METHODS}) == len(METHODS)


@each_method
def test_it_says_what_the_screen_has_to_say(method):
    assert method.question.endswith("?")
    for words in (method.how, method.read_it_as, method.beware):
        assert words.endswith((".", "!"))
        assert words[0] == words[0].upper()
    assert method.paper.startswith("https://")
    assert method.function.__name__ == method.id == method.function.__module__.rpartition(".")[2]
    assert min(method.passes) >= 0
    if method.class_specific:
        assert "the chosen class" in method.question
    names = [o.name for o in method.options]
    assert len(set(names)) == len(names)
    for option in method.options:
        assert option.description.endswith((".", "?"))


@each_method
def test_it_applies_to_one_of_two_ordinary_networks_or_says_why_not(method):
    assert suited(method), "neither convolutions with pooling nor attention with a class token suit it"
    for model in models():
        if why := method.why_not(model):
            assert why.startswith(model.name)
            assert method.title in why
            with pytest.raises(ex.engine.SightglassError, match="Try") as caught:
                ask(model, method)
            way_out = [m.id for m in METHODS if m.id in re.findall(r"\w+", str(caught.value).split("Try")[-1])]
            assert way_out
            assert method.id not in way_out


# What it does --------------------------------------------------------------------------------------------------------


@each_method
def test_it_returns_what_it_declares_finite_and_in_shape(method):
    returned = get_type_hints(method.function)["return"]
    declared = returned if isinstance(returned, type) and issubclass(returned, Result) else get_args(returned)[0]
    for model in suited(method):
        e = ask(model, method, **few(method))
        assert type(e.result) is declared is method.gives
        assert e.result.finite
        assert min(e.picture().size) >= 8
        if declared is not Heatmap:
            with pytest.raises(QuestionError, match=f"gives {e.result.kind}"):
                _ = e.heat
            continue
        assert e.native.dtype == e.heat.dtype == np.float32
        assert e.heat.shape == (40, 60)
        assert np.isfinite(e.native).all()
        assert np.isfinite(e.heat).all()
        assert e.result.signed or e.native.min() >= 0
        assert e.result.unit
        assert not e.native.flags.writeable
        assert e.picture().size == (60, 40)


@each_method
def test_it_gives_the_same_twice_on_one_trace_and_on_two(method):
    for model in suited(method):
        about = ex.look(model, PICTURE) if Trace in method.given else model
        first = ex.explain(about, method.id, target=0, **few(method))
        assert same(ex.explain(about, method.id, target=0, **few(method)), first)
        torch.manual_seed(99)  # nor does the caller's random state matter
        assert same(ask(model, method, target=0, **few(method)), first)


@each_method
def test_it_leaves_what_the_trace_remembers_as_it_was(method):
    for model in suited(method):
        trace = ex.look(model, PICTURE)
        before = trace.logits.clone(), trace.pixels.clone()
        quick = [m for m in METHODS if m.lays_heat and not m.why_not(model) and sum(m.passes) <= 4]
        others = {m.id: ex.explain(trace, m.id).native for m in quick}
        ex.explain(trace if Trace in method.given else model, method.id, target=0, **few(method))
        assert torch.equal(trace.logits, before[0])
        assert torch.equal(trace.pixels, before[1])
        for other, native in others.items():
            assert np.array_equal(ex.explain(trace, other).native, native)


@each_method
def test_it_leaves_the_model_as_it_was_after_success_and_failure(method):
    for model in suited(method):
        before, random = state(model), torch.get_rng_state()
        ask(model, method, **few(method))
        if method.passes[0]:
            handle = model.module.head.register_forward_pre_hook(lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                ask(model, method, **few(method))
            handle.remove()
        for (value, version), (old, old_version) in zip(state(model), before, strict=True):
            assert torch.equal(value, old)
            assert version == old_version
        assert torch.equal(torch.get_rng_state(), random)
        assert all(p.grad is None for p in model.module.parameters())
        assert not any(m._forward_hooks or m._forward_pre_hooks or m.training for m in model.module.modules())


@each_method
def test_it_takes_no_more_passes_than_it_declares(method):
    for model in suited(method):
        ran = []
        handle = model.module.register_forward_hook(lambda m, i, out, ran=ran: ran.append(len(out)))
        e = ask(model, method)
        handle.remove()
        assert e.spent.forwards <= method.passes[0]
        assert e.spent.backwards <= method.passes[1]
        assert e.spent.forwards >= len(ran)
        assert bool(ran) == bool(method.passes[0])
        assert math.isfinite(e.spent.seconds)


@each_method
def test_another_class_gives_another_map_exactly_where_that_is_promised(method):
    for model in suited(method):
        about = ex.look(model, PICTURE) if Trace in method.given else model
        maps = [ex.explain(about, method.id, target=i, **few(method)) for i in range(len(LABELS))]
        if method.class_specific:
            assert sum(not same(maps[0], other) for other in maps[1:]) >= len(LABELS) - 2  # two may be blank
            assert not any(e.notes and "does not depend on the class" in " ".join(e.notes) for e in maps)
        else:
            assert all(same(maps[0], other) for other in maps[1:])
            assert not method.lays_heat or all("does not depend on the class" in " ".join(e.notes) for e in maps)


@each_method
def test_it_says_how_well_its_sum_holds_exactly_where_it_promises_one(method):
    for model in suited(method) if method.lays_heat else ():
        for target in (None, 1):
            e = ex.explain(ex.look(model, PICTURE), method.id, target=target)
            assert (e.result.adds_up is not None) == method.sums
            if method.sums:
                told = float(e.native.sum(dtype=np.float64))
                assert e.result.adds_up.parts == pytest.approx(
                    told, abs=rounding(operations(model.module), np.abs(e.native).sum())
                )
                # What is drawn misses by its spread over the root of the draws; one as large as the whole is allowed.
                draws = e.options.get("draws")
                assert e.result.adds_up.residual < (0.05 if draws is None else draws**-0.5)
                assert e.payload()["adds_up"]["residual"] == e.result.adds_up.residual


@each_method
def test_a_method_that_streams_ends_with_all_of_its_work_done(method):
    for model in suited(method):
        answers = stream(model, method)
        done = [e.result.done for e in answers]
        assert done == sorted(done)
        assert done[-1] == 1
        assert all(0 < share <= 1 for share in done)
        assert same(answers[-1], ask(model, method, target=0, **few(method)))


# What can be chosen --------------------------------------------------------------------------------------------------


@each_method
def test_the_defaults_are_the_options_that_nobody_chose(method):
    assert method.check({}) == {o.name: o.default for o in method.options}
    model = suited(method)[0]
    assert same(ask(model, method), ask(model, method, **method.check({})))
    with pytest.raises(QuestionError, match="sugar"):
        method.check({"sugar": 1})


@each_option
def test_what_is_within_bounds_runs(method, option):
    values = {
        "choice": option.choices,
        "switch": (False, True),
        "integer": (option.minimum, option.maximum)
        and tuple(int(v) for v in (option.minimum or 0, option.maximum or 0)),
        "number": (option.minimum, option.maximum),
        "cell": (None, (0, 0), [1, 1]),
        "text": (option.default,),
        "numbers": (option.default, [option.minimum], (option.maximum,) * 2),
    }[option.kind]
    assert option.default in values or option.kind in ("integer", "number")
    model = suited(method)[0]
    for value in values:
        e = ask(model, method, **few(method) | {option.name: value})
        assert e.options[option.name] == (tuple(value) if isinstance(value, list) else value)
        assert e.result.finite


@each_option
def test_what_is_beyond_bounds_is_refused_in_words(method, option):
    match option.kind:
        case "choice":
            wrong = ["no such choice", 3, None, "", option.choices[0].upper() + "?"]
        case "switch":
            wrong = ["yes", 1, None, 0.0]
        case "integer":
            wrong = [int(option.minimum) - 1, int(option.maximum) + 1, option.minimum + 0.5, "7", None, True, 10**400]
        case "cell":
            wrong = [(-1, 0), (0, 4096), (1,), (1, 2, 3), (0.5, 1), "a1", 7, True]
        case "text":
            wrong = ["x" * (option.longest + 1), 3, None, True]
        case "numbers":
            wrong = [(option.minimum - 1e-3,), (float("nan"),), (0.0,) * (option.longest + 1), "0.5", 0.5, None]
        case _:
            wrong = [option.minimum - 1e-3, option.maximum + 1e-3, float("nan"), float("inf"), "0.5", None, 10**400]
    model = suited(method)[0]
    for value in wrong:
        with pytest.raises(QuestionError) as caught:
            ask(model, method, **{option.name: value})
        assert str(caught.value).endswith((".", "path."))
        assert "Traceback" not in str(caught.value)
        if option.kind != "choice":
            assert option.name in str(caught.value)
            assert method.title in str(caught.value)
        with pytest.raises(QuestionError):
            method.check({option.name: value}, named_depths_only=True)


# What is handed on ---------------------------------------------------------------------------------------------------


@each_method
def test_the_payload_is_json_and_comes_back_the_same(method):
    for model in suited(method):
        e = ask(model, method, target=1, versus=3, **few(method))
        text = json.dumps(e.payload(), allow_nan=False)
        assert json.loads(text) == e.payload()
        back = json.loads(text)
        assert back["method"] == method.id
        assert back["model"] == model.name
        assert (back["target"]["label"], back["versus"]["label"]) == ("heron", "newt")
        assert method.check(back["options"]) == method.check(few(method))
        assert back[e.result.kind]["done"] == 1
        if method.lays_heat:
            assert back["heat"]["shape"] == list(e.native.shape)
            assert back["heat"]["maximum"] == float(e.native.max())
        assert back["spent"]["forwards"] == e.spent.forwards
        assert back["alt"]
        if method.class_specific:
            assert "heron rather than newt" in back["question"]


@each_method
def test_its_code_runs_and_gives_the_same_map(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loadable, answers = {model.name: model for model in suited(method)}, []

    def explain(*args, **question):
        answers.append(ex.engine.explain(*args, **question))
        return answers[-1]

    monkeypatch.setattr(ex, "load", loadable.__getitem__)
    monkeypatch.setattr(ex, "explain", explain)
    chosen = {o.name: _another(o) for o in method.options}
    for model in loadable.values():
        trace = ex.look(model, PICTURE)
        trace.picture.image().save("picture.png")
        for question in ({}, {"target": 2, "versus": "newt", "score": "log_prob"}):
            about = trace if Trace in method.given else model
            e = ex.engine.explain(about, method.id, **({} if about is trace else {"target": 0}) | question, **chosen)
            exec(e.code(), {})
            assert same(answers[-1], e)
            assert answers[-1].question == e.question
            assert answers[-1].options == e.options
            assert (tmp_path / "why.png").stat().st_size > 0


def _another(option):
    """A value that is not the default."""
    match option.kind:
        case "choice":
            return next(c for c in option.choices if c != option.default)
        case "switch":
            return not option.default
        case "integer":
            return int(option.minimum if option.default != option.minimum else option.maximum)
        case "cell":
            return (0, 1)
        case "text":
            return option.default
        case "numbers":
            return (option.minimum, option.maximum)
    return option.minimum if option.default != option.minimum else option.maximum


@each_method
def test_it_is_saved_as_picture_numbers_and_words(method, tmp_path):
    e = ask(suited(method)[0], method, **few(method))
    for ending in ("png", "npz", "json"):
        e.save(tmp_path / f"why.{ending}")
    assert json.loads((tmp_path / "why.json").read_text("utf-8")) == e.payload()
    with np.load(tmp_path / "why.npz") as kept:
        assert set(kept) == {*e.result.arrays(), "payload"} | ({"frame", "size"} if method.lays_heat else set())
        assert all(np.array_equal(kept[name], array) for name, array in e.result.arrays().items())
        if method.lays_heat:
            assert np.array_equal(laid(kept["native"], kept["frame"], kept["size"]), e.heat)
    from PIL import Image

    with Image.open(tmp_path / "why.png") as image:
        assert image.size == ((60, 40) if method.lays_heat else e.picture().size)
        assert json.loads(image.text["Sightglass"]) == e.payload()
    with pytest.raises(QuestionError, match=r"\.gif"):
        e.save(tmp_path / "why.gif")
